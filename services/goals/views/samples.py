"""The samples of every KPI: what was measured, and the event that shows it. A corrected sample has a past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.events.contracts.goals import KpiMeasured
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Sample:
    """`evidence`: the id of the event behind it; `about`: what was measured, such as a clock."""

    kpi: str
    about: UUID
    case_id: UUID
    hit: bool
    evidence: UUID
    corrects: bool
    measured_at: datetime


def _measured(row: Sample | None, fact: KpiMeasured, entry: Entry) -> Sample:
    return Sample(
        kpi=fact.kpi,
        about=fact.about or fact.evidence,
        case_id=entry.subject,
        hit=fact.hit,
        evidence=fact.evidence,
        corrects=fact.corrects,
        measured_at=entry.occurred_at,
    )


SAMPLES = View(
    name="samples",
    version=1,
    row=Sample,
    key=("kpi", "about"),
    folds=(on(KpiMeasured, _measured, lambda fact, entry: ((fact.kpi, fact.about or fact.evidence),)),),
    indexes=(("kpi", "measured_at"), ("case_id",)),
)
