"""Every handoff: who offered the case to whom, how it ended, and why."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.tasks import HandoffAccepted, HandoffOffered, HandoffRejected
from libs.events.entries import Entry
from libs.events.views import View, on

OFFERED, ACCEPTED, REJECTED = "offered", "accepted", "rejected"


class Handoff(msgspec.Struct, frozen=True):
    """`number` counts from 1 within the case; `ended_by` is the person who accepted or rejected."""

    case_id: UUID
    number: int
    sender: str
    receiver: str
    note: str
    state: str
    offered_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    reason: str | None = None


def _offered(row: Handoff | None, fact: HandoffOffered, entry: Entry) -> Handoff:
    return Handoff(
        case_id=entry.subject,
        number=fact.number,
        sender=fact.sender,
        receiver=fact.receiver,
        note=fact.note,
        state=OFFERED,
        offered_at=entry.occurred_at,
    )


def _accepted(row: Handoff | None, fact: HandoffAccepted, entry: Entry) -> Handoff | None:
    return row and _ended(row, entry, ACCEPTED, None)


def _rejected(row: Handoff | None, fact: HandoffRejected, entry: Entry) -> Handoff | None:
    return row and _ended(row, entry, REJECTED, fact.reason)


def _ended(row: Handoff, entry: Entry, state: str, reason: str | None) -> Handoff:
    return msgspec.structs.replace(row, state=state, ended_at=entry.occurred_at, ended_by=entry.actor, reason=reason)


def _which(fact: HandoffOffered | HandoffAccepted | HandoffRejected, entry: Entry) -> tuple[tuple[UUID, int], ...]:
    return ((entry.subject, fact.number),)


HANDOFFS = View(
    name="handoffs",
    version=1,
    row=Handoff,
    key=("case_id", "number"),
    folds=(
        on(HandoffOffered, _offered, _which),
        on(HandoffAccepted, _accepted, _which),
        on(HandoffRejected, _rejected, _which),
    ),
    indexes=(("receiver", "state"), ("sender", "state")),
)
