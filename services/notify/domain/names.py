"""What parameters of messages are made of: names of departments and people, legs in words, instants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from libs.clocks import legs_minutes
from libs.events.contracts.sla import Leg
from libs.events.views import Look
from libs.organisation import Words, departments_named

PARAM_CHARS_MAX = 1_000
NOBODY = Words("nobody", "无人")
Params = dict[str, str]


def departments(look: Look, name: str, codes: Iterable[str]) -> Params:
    """`<name>_en` and `<name>_zh`: the departments by their names."""
    return in_both(name, departments_named(look, codes))


def in_both(name: str, words: Words) -> Params:
    """`<name>_en` and `<name>_zh`."""
    return {f"{name}_en": words.en, f"{name}_zh": words.zh}


def legs(look: Look, found: tuple[Leg, ...]) -> Params:
    """`legs_en` and `legs_zh`: who had the case how long, in minutes."""
    en, zh = [], []
    for leg, minutes in zip(found, legs_minutes(found), strict=True):
        who = NOBODY if leg.department is None else departments_named(look, (leg.department,))
        en.append(f"{who.en} {minutes:g} min")
        zh.append(f"{who.zh} {minutes:g} 分钟")
    return in_both("legs", Words(", ".join(en), "、".join(zh)))


def instant(at: datetime | None) -> str:
    """An instant as a parameter whose name ends in `_at`; "" for none."""
    return "" if at is None else at.astimezone(UTC).isoformat()


def short(text: str) -> str:
    """What somebody wrote, no longer than a parameter may be."""
    return text if len(text) <= PARAM_CHARS_MAX else text[: PARAM_CHARS_MAX - 1] + "…"
