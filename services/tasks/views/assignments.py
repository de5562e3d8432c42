"""The RACI of every step of every case, as it stands now."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.tasks import TaskAssigned
from libs.events.entries import Entry
from libs.events.views import View, on


class Assignment(msgspec.Struct, frozen=True):
    """Seats such as `dept:production` or `person:prod-dir`."""

    case_id: UUID
    step: str
    responsible: tuple[str, ...]
    accountable: str
    consulted: tuple[str, ...]
    informed: tuple[str, ...]
    assigned_at: datetime


def _assigned(row: Assignment | None, fact: TaskAssigned, entry: Entry) -> Assignment:
    return Assignment(
        entry.subject,
        fact.step,
        fact.responsible,
        fact.accountable,
        fact.consulted,
        fact.informed,
        entry.occurred_at,
    )


ASSIGNMENTS = View(
    name="assignments",
    version=1,
    row=Assignment,
    key=("case_id", "step"),
    folds=(on(TaskAssigned, _assigned, lambda fact, entry: ((entry.subject, fact.step),)),),
    indexes=(("accountable",),),
)
