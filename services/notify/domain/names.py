"""What parameters of messages are made of: names of departments and people, legs in words, instants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from libs.clocks import legs_minutes
from libs.events.contracts.sla import Leg
from libs.events.views import Look
from libs.organisation import DEPARTMENTS, PEOPLE

PARAM_CHARS_MAX = 1_000
NOBODY = ("nobody", "无人")
Params = dict[str, str]


def departments(look: Look, name: str, codes: Iterable[str]) -> Params:
    """`<name>_en` and `<name>_zh`: the departments by their names; those that directory never named by their codes."""
    rows = [(code, look.row(DEPARTMENTS, code)) for code in codes]
    return {
        f"{name}_en": ", ".join(code if row is None else row.name_en for code, row in rows),
        f"{name}_zh": "、".join(code if row is None else row.name_zh for code, row in rows),
    }


def person(look: Look, code: str) -> str:
    row = look.row(PEOPLE, code)
    return code if row is None else row.name


def legs(look: Look, found: tuple[Leg, ...]) -> Params:
    """`legs_en` and `legs_zh`: who had the case how long, in minutes."""
    en, zh = [], []
    for leg, minutes in zip(found, legs_minutes(found), strict=True):
        nobody = leg.department is None
        names = departments(look, "name", () if leg.department is None else (leg.department,))
        en.append(f"{NOBODY[0] if nobody else names['name_en']} {minutes:g} min")
        zh.append(f"{NOBODY[1] if nobody else names['name_zh']} {minutes:g} 分钟")
    return {"legs_en": ", ".join(en), "legs_zh": "、".join(zh)}


def instant(at: datetime | None) -> str:
    """An instant as a parameter whose name ends in `_at`; "" for none."""
    return "" if at is None else at.astimezone(UTC).isoformat()


def short(text: str) -> str:
    """What somebody wrote, no longer than a parameter may be."""
    return text if len(text) <= PARAM_CHARS_MAX else text[: PARAM_CHARS_MAX - 1] + "…"
