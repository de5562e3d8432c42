"""Where every escalation stands: which rung was asked, and until when it may answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from libs.events.contracts.sla import EscalationEnded, EscalationRaised
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Escalation:
    """`state`: open, or the outcome: ruled, accepted or closed. `due_at`: when the next rung is asked."""

    case_id: UUID
    state: str
    ladder: str
    ladder_version: int
    level: int
    rung: str
    asked: tuple[str, ...]
    departments: tuple[str, ...]
    because: str
    raised_at: datetime
    asked_at: datetime
    ended_at: datetime | None
    due_at: datetime | None
    stream_version: int
    timeline: str = ""


def _raised(row: Escalation | None, fact: EscalationRaised, entry: Entry) -> Escalation:
    climbing = row is not None and row.state == "open"
    return Escalation(
        case_id=entry.subject,
        state="open",
        ladder=fact.ladder,
        ladder_version=fact.ladder_version,
        level=fact.level,
        rung=fact.rung,
        asked=fact.asked,
        departments=fact.departments,
        because=fact.because,
        raised_at=row.raised_at if row is not None and climbing else entry.occurred_at,
        asked_at=entry.occurred_at,
        ended_at=None,
        due_at=fact.answer_by,
        stream_version=entry.version,
    )


def _ended(row: Escalation | None, fact: EscalationEnded, entry: Entry) -> Escalation | None:
    return row and replace(
        row, state=fact.outcome, ended_at=entry.occurred_at, due_at=None, stream_version=entry.version
    )


ESCALATIONS = View(
    name="escalations",
    version=1,
    row=Escalation,
    key=("case_id",),
    folds=(on(EscalationRaised, _raised), on(EscalationEnded, _ended)),
    indexes=(("due_at",), ("state",)),
)
