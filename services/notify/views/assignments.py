"""The RACI seats of every step of a case."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from libs.events.contracts.tasks import TaskAssigned
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Assignment:
    case_id: UUID
    step: str
    responsible: tuple[str, ...]
    accountable: str
    informed: tuple[str, ...]


def _assigned(row: Assignment | None, fact: TaskAssigned, entry: Entry) -> Assignment:
    return Assignment(entry.subject, fact.step, fact.responsible, fact.accountable, fact.informed)


ASSIGNMENTS = View(
    name="assignments",
    version=1,
    row=Assignment,
    key=("case_id", "step"),
    folds=(on(TaskAssigned, _assigned, lambda fact, entry: ((entry.subject, fact.step),)),),
)
