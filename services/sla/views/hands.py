"""Who has a case now, and which departments have had to do with it."""

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

UNTAKEN = ("offered", "unruled")


@dataclass(frozen=True, slots=True)
class Hand:
    """`state`: holding, offered or unruled. `departments`: of an open conflict, else whoever was offered the case and
    whoever holds it; never more than the organisation has.
    """

    case_id: UUID
    timeline: str
    state: str
    holder: str
    departments: tuple[str, ...]


def _opened(row: Hand | None, fact: CaseOpened, entry: Entry) -> Hand:
    return Hand(entry.subject, fact.timeline, "holding", fact.holder, (fact.holder,))


def _offered(row: Hand | None, fact: HandoffOffered, entry: Entry) -> Hand:
    known = row or Hand(entry.subject, "", "holding", fact.sender, (fact.sender,))
    departments = tuple(dict.fromkeys((*known.departments, fact.sender, fact.receiver)))
    return replace(known, state="offered", departments=departments)


def _accepted(row: Hand | None, fact: HandoffAccepted, entry: Entry) -> Hand | None:
    return row and replace(row, state="holding", holder=fact.receiver, departments=(fact.receiver,))


def _rejected(row: Hand | None, fact: HandoffRejected, entry: Entry) -> Hand | None:
    return row and replace(row, state="holding")


def _conflict(row: Hand | None, fact: ConflictOpened, entry: Entry) -> Hand | None:
    return row and replace(row, state="unruled", departments=fact.departments)


def _ruled(row: Hand | None, fact: ConflictRuled, entry: Entry) -> Hand | None:
    return row and replace(row, state="holding", departments=(row.holder,))


HANDS = View(
    name="hands",
    version=1,
    row=Hand,
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
