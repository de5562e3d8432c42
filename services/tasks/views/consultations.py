"""Who was consulted, on what, and what they answered."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.tasks import ConsultationAnswered, ConsultationAsked
from libs.events.entries import Entry
from libs.events.views import View, on


class Consultation(msgspec.Struct, frozen=True):
    """`open`: asked and not answered yet."""

    case_id: UUID
    step: str
    department: str
    question: str
    open: bool
    asked_at: datetime
    answered_at: datetime | None = None
    answered_by: str | None = None
    answer: str | None = None


def _asked(row: Consultation | None, fact: ConsultationAsked, entry: Entry) -> Consultation:
    return Consultation(
        case_id=entry.subject,
        step=fact.step,
        department=fact.department,
        question=fact.question,
        open=True,
        asked_at=entry.occurred_at,
    )


def _answered(row: Consultation | None, fact: ConsultationAnswered, entry: Entry) -> Consultation | None:
    return row and msgspec.structs.replace(
        row, open=False, answered_at=entry.occurred_at, answered_by=entry.actor, answer=fact.answer
    )


def _which(fact: ConsultationAsked | ConsultationAnswered, entry: Entry) -> tuple[tuple[UUID, str, str], ...]:
    return ((entry.subject, fact.step, fact.department),)


CONSULTATIONS = View(
    name="consultations",
    version=1,
    row=Consultation,
    key=("case_id", "step", "department"),
    folds=(on(ConsultationAsked, _asked, _which), on(ConsultationAnswered, _answered, _which)),
    indexes=(("department", "open"),),
)
