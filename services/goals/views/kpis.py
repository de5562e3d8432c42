"""Where every KPI stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from libs.events.contracts.goals import KpiMeasured, KpiShared
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Kpi:
    """`value`: in `unit`; it and `met` are None before the first sample."""

    kpi: str
    goal: str
    name_en: str
    name_zh: str
    comparator: str
    threshold: Decimal
    unit: str
    departments: tuple[str, ...]
    measure: str
    hits: int = 0
    misses: int = 0
    value: Decimal | None = None
    met: bool | None = None


def _shared(row: Kpi | None, fact: KpiShared, entry: Entry) -> Kpi:
    shared = Kpi(
        kpi=fact.kpi,
        goal=fact.goal,
        name_en=fact.name_en,
        name_zh=fact.name_zh,
        comparator=fact.comparator,
        threshold=fact.threshold,
        unit=fact.unit,
        departments=fact.departments,
        measure=fact.measure,
    )
    return shared if row is None else _counted(shared, row.hits, row.misses, row.value)


def _measured(row: Kpi | None, fact: KpiMeasured, entry: Entry) -> Kpi | None:
    return None if row is None else _counted(row, fact.hits, fact.misses, fact.value)


def _counted(row: Kpi, hits: int, misses: int, value: Decimal | None) -> Kpi:
    """`value` is rounded; whether it is met is not decided by that."""
    met, samples = None, hits + misses
    if samples:
        share, wanted = 100 * hits, row.threshold * samples
        met = share >= wanted if row.comparator == ">=" else share <= wanted
    return replace(row, hits=hits, misses=misses, value=value, met=met)


KPIS = View(
    name="kpis",
    version=2,
    row=Kpi,
    key=("kpi",),
    folds=(
        on(KpiShared, _shared, lambda fact, entry: (fact.kpi,)),
        on(KpiMeasured, _measured, lambda fact, entry: (fact.kpi,)),
    ),
    indexes=(("measure",), ("goal",)),
)
