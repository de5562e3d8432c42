"""A KPI that departments share, and the count of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never
from uuid import UUID

from libs.events.contracts.goals import KpiMeasured, KpiShared
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import NotFound, Refusal
from services.goals.commands import MeasureKpi, ShareKpi
from services.goals.domain.measures import MEASURES, share_of
from services.goals.views.goals import GOALS

KpiFact = KpiShared | KpiMeasured


@dataclass(frozen=True, slots=True)
class Kpi:
    """`missed`: what counts as a miss now, so that a miss about the same thing counts once and can be corrected."""

    shared: KpiShared | None = None
    hits: int = 0
    missed: frozenset[UUID] = frozenset()


def evolve(state: Kpi, fact: KpiFact) -> Kpi:
    match fact:
        case KpiShared():
            return replace(state, shared=fact)
        case KpiMeasured():
            about = {fact.about or fact.evidence}
            missed = state.missed - about if fact.hit else state.missed | about
            return replace(state, hits=fact.hits, missed=missed)
        case _:
            assert_never(fact)


def share(state: Kpi, command: ShareKpi, asked: Asked) -> Sequence[Fact]:
    _measurable(command)
    if asked.views.row(GOALS, command.goal) is None:
        raise NotFound(
            "unknown-goal",
            f"goal={command.goal} is not set; set the goal first",
            f"目标 {command.goal} 尚未设定，请先设定",
        )
    known = state.shared
    if known is not None and (known.goal, known.measure) != (command.goal, command.measure):
        raise Refusal(
            "kpi-is-counted",
            f"kpi={command.kpi} counts {known.measure} for {known.goal}; share another KPI for another measure or goal",
            f"指标 {command.kpi} 已按 {known.measure} 为目标 {known.goal} 计数，请另设指标",
        )
    fact = KpiShared(**command.model_dump())
    return [] if fact == known else [fact]


def measure(state: Kpi, command: MeasureKpi, asked: Asked) -> Sequence[Fact]:
    """A hit about what counted as a miss corrects it: then the miss was reported too early."""
    if state.shared is None:
        raise NotFound(
            "unknown-kpi", f"kpi={command.kpi} is not shared; share it first", f"指标 {command.kpi} 尚未设立"
        )
    missed = command.about in state.missed
    if missed and not command.hit:
        return []
    hits = state.hits + command.hit
    misses = len(state.missed) + (not command.hit) - missed
    return [
        KpiMeasured(
            kpi=command.kpi,
            hit=command.hit,
            evidence=command.evidence,
            hits=hits,
            misses=misses,
            value=share_of(hits, misses),
            about=command.about,
            corrects=missed,
        )
    ]


def _measurable(command: ShareKpi) -> None:
    name, _, parameter = command.measure.partition(":")
    known = MEASURES.get(name)
    if known is None or not known.parameter.fullmatch(parameter):
        forms = ", ".join(f"{name}:{known.parameter.pattern}" for name, known in sorted(MEASURES.items()))
        raise Refusal(
            "unknown-measure",
            f"measure={command.measure} cannot be computed; take one of the form: {forms}",
            f"无法计算 {command.measure}，可用的计量方式：{forms}",
        )
    if command.unit != known.unit:
        raise Refusal(
            "unit-does-not-fit",
            f"unit={command.unit} does not fit {name}, which is measured in {known.unit}",
            f"{name} 的单位是 {known.unit}，不能用 {command.unit}",
        )


def _key(command: ShareKpi | MeasureKpi) -> UUID:
    return entity_id("", "kpi", command.kpi)


def _case(command: MeasureKpi) -> UUID:
    return command.case_id


KPI = Decider("kpi", Kpi(), evolve)
COMMANDS = (
    Handle(ShareKpi, KPI, share, key=_key),
    Handle(MeasureKpi, KPI, measure, key=_key, subject=_case),
)
