"""What messages say of a case, and who has it now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from libs.events.contracts.tasks import (
    CaseOpened,
    ConflictOpened,
    ConflictRuled,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
)
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Case:
    """`receiver`: the department that it is offered to now; `parties`: the departments of its last conflict."""

    case_id: UUID
    title: str
    reference: str
    template: str
    timeline: str
    holder: str
    receiver: str | None = None
    parties: tuple[str, ...] = ()
    unruled: bool = False
    template_version: int = 0


def _opened(row: Case | None, fact: CaseOpened, entry: Entry) -> Case:
    return Case(
        case_id=entry.subject,
        title=fact.title,
        reference=fact.reference,
        template=fact.template,
        timeline=fact.timeline,
        holder=fact.holder,
        template_version=fact.template_version,
    )


def _offered(row: Case | None, fact: HandoffOffered, entry: Entry) -> Case | None:
    return row and replace(row, receiver=fact.receiver)


def _accepted(row: Case | None, fact: HandoffAccepted, entry: Entry) -> Case | None:
    return row and replace(row, holder=fact.receiver, receiver=None)


def _rejected(row: Case | None, fact: HandoffRejected, entry: Entry) -> Case | None:
    return row and replace(row, receiver=None)


def _conflict(row: Case | None, fact: ConflictOpened, entry: Entry) -> Case | None:
    return row and replace(row, receiver=None, parties=fact.departments, unruled=True)


def _ruled(row: Case | None, fact: ConflictRuled, entry: Entry) -> Case | None:
    return row and replace(row, unruled=False)


CASES = View(
    name="cases",
    version=2,
    row=Case,
    key=("case_id",),
    folds=(
        on(CaseOpened, _opened),
        on(HandoffOffered, _offered),
        on(HandoffAccepted, _accepted),
        on(HandoffRejected, _rejected),
        on(ConflictOpened, _conflict),
        on(ConflictRuled, _ruled),
    ),
)


def who_acts(case: Case) -> tuple[str, ...]:
    """The departments that are to act now: those of the conflict, or who is offered the case, or who holds it."""
    if case.unruled:
        return case.parties
    return (case.receiver or case.holder,)
