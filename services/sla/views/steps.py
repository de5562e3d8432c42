"""Which steps of a case are under way, as tasks says."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from libs.events.contracts.tasks import StepCompleted, StepStarted
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Step:
    case_id: UUID
    step: str
    template: str
    category: str
    priority: str
    timeline: str


def _started(row: Step | None, fact: StepStarted, entry: Entry) -> Step:
    return Step(entry.subject, fact.step, fact.template, fact.category, fact.priority, fact.timeline)


def _completed(row: Step | None, fact: StepCompleted, entry: Entry) -> None:
    return None


STEPS = View(
    name="steps",
    version=1,
    row=Step,
    key=("case_id", "step"),
    folds=(
        on(StepStarted, _started, lambda fact, entry: ((entry.subject, fact.step),)),
        on(StepCompleted, _completed, lambda fact, entry: ((entry.subject, fact.step),)),
    ),
)
