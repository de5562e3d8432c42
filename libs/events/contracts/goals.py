"""What goals says: company goals, the KPIs that departments share, and each figure with the event behind it."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact, Instant


class GoalSet(Fact, frozen=True):
    """A company goal for a period [`start`, `end`). `bonus_rule`: all-or-nothing, proportional or gated."""

    goal: str
    name_en: str
    name_zh: str
    start: Instant
    end: Instant
    bonus_rule: str


class KpiShared(Fact, frozen=True):
    """A KPI of a goal, shared by `departments`. `comparator`: >= or <=. `measure` names a function over events."""

    goal: str
    kpi: str
    name_en: str
    name_zh: str
    comparator: str
    threshold: Decimal
    unit: str
    departments: tuple[str, ...]
    measure: str


class KpiMeasured(Fact, frozen=True):
    """One more sample of a KPI. `hit`: whether it counts for the goal; `evidence`: the id of the event behind it.

    `hits` and `misses` count all samples so far, this one included; `value` is the KPI now, in its unit. `about` is
    what was measured (a clock); `corrects`: it replaces an earlier miss about the same thing. Subject: the case.
    """

    kpi: str
    hit: bool
    evidence: UUID
    hits: int
    misses: int
    value: Decimal
    about: UUID | None = None
    corrects: bool = False


CONTRACT = Contract(
    "goals",
    (
        Kind("GoalSet", 1, GoalSet),
        Kind("KpiShared", 1, KpiShared),
        Kind("KpiMeasured", 1, KpiMeasured),
    ),
)
