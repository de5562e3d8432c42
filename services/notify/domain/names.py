"""What parameters of messages are made of: names of departments, steps and seats, legs in words, instants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from libs.clocks import legs_minutes, length
from libs.events.contracts.sla import Leg
from libs.events.views import Look
from libs.organisation import Words, departments_named
from services.notify.views.cases import Case
from services.notify.views.steps import STEPS

PARAM_CHARS_MAX = 1_000
IN_DISPUTE = Words("in dispute", "争议待裁决")
NOBODY_HAD_IT = Words("It was due before anybody had it.", "到期时尚无部门经手。")
UNITS_ZH = {"d": "天", "h": "小时", "min": "分钟", "s": "秒"}
RACI = {"R": Words("responsible", "负责"), "A": Words("accountable", "最终负责"), "I": Words("informed", "知会")}
OUTCOMES = {
    "satisfied": Words("the customer is satisfied", "客户满意"),
    "not-satisfied": Words("the customer is not satisfied", "客户不满意"),
    "shipped": Words("shipped", "已发货"),
}
"""The outcomes that Baton itself gives; a source's own words stay as they are."""
Params = dict[str, str]


def departments(look: Look, name: str, codes: Iterable[str]) -> Params:
    """`<name>_en` and `<name>_zh`: the departments by their names."""
    return in_both(name, departments_named(look, codes))


def step(look: Look, case: Case, code: str) -> Params:
    """`step`, and its names `step_en` and `step_zh` in the template that the case was opened with."""
    row = look.row(STEPS, (case.template, case.template_version))
    words = Words(code, code) if row is None else Words(row.en.get(code, code), row.zh.get(code, code))
    return {"step": code, **in_both("step", words)}


def seat(letters: Sequence[str]) -> Params:
    """`seat`, the letters of RACI, and what they mean: `seat_en` and `seat_zh`."""
    words = Words(", ".join(RACI[letter].en for letter in letters), "、".join(RACI[letter].zh for letter in letters))
    return {"seat": ", ".join(letters), **in_both("seat", words)}


def outcome(said: str) -> Params:
    """`outcome`, `outcome_en` and `outcome_zh`: how a case ended."""
    text = short(said)
    return {"outcome": text, **in_both("outcome", OUTCOMES.get(said, Words(text, text)))}


def in_both(name: str, words: Words) -> Params:
    """`<name>_en` and `<name>_zh`."""
    return {f"{name}_en": words.en, f"{name}_zh": words.zh}


def legs(look: Look, found: tuple[Leg, ...]) -> Params:
    """`legs_en` and `legs_zh`: where the case was for how long; `had_it_en` and `had_it_zh`: as a sentence."""
    en, zh = [], []
    for leg, minutes in zip(found, legs_minutes(found), strict=True):
        where = IN_DISPUTE if leg.department is None else departments_named(look, (leg.department,))
        took = length(minutes)
        en.append(" ".join((where.en, *(f"{amount:g} {unit}" for amount, unit in took))))
        zh.append(" ".join((where.zh, *(f"{amount:g} {UNITS_ZH[unit]}" for amount, unit in took))))
    had = Words(", ".join(en), "、".join(zh))
    sentence = Words(f"Where it was: {had.en}.", f"各环节用时：{had.zh}。") if found else NOBODY_HAD_IT
    return {**in_both("legs", had), **in_both("had_it", sentence)}


def instant(at: datetime | None) -> str:
    """An instant as a parameter whose name ends in `_at`; "" for none."""
    return "" if at is None else at.astimezone(UTC).isoformat()


def short(text: str) -> str:
    """What somebody wrote, no longer than a parameter may be."""
    return text if len(text) <= PARAM_CHARS_MAX else text[: PARAM_CHARS_MAX - 1] + "…"
