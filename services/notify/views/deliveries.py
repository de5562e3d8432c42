"""What was sent out into the world, or is to be: one view per channel, each the work of its effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.events.contracts.notify import (
    DeliveryArrived,
    DeliveryAttempted,
    DeliveryFailed,
    DeliveryPlanned,
    DeliveryRepeated,
    DeliveryUnknown,
)
from libs.events.entries import Entry
from libs.events.views import View, on
from services.notify.commands import EMAIL, WEBHOOK


@dataclass(frozen=True, slots=True)
class Delivery:
    """`state`: waiting, sending, arrived, failed or unknown; `due_at`: of the next attempt, None when there is none.

    `attempt`: the one that is due or under way, or the last one. `said`: what the other side said, or what is known.
    """

    delivery: UUID
    message: UUID
    to: str
    channel: str
    case_id: UUID
    state: str
    due_at: datetime | None
    deadline: datetime | None
    attempt: int
    stream_version: int
    planned_at: datetime
    said: str = ""


def _at_once(entry: Entry) -> datetime:
    """When it happened or was recorded, whichever is earlier: no clock that once stood ahead may hold it back."""
    return min(entry.occurred_at, entry.recorded_at)


def _planned(channel: str) -> Any:
    def planned(row: Delivery | None, fact: DeliveryPlanned, entry: Entry) -> Delivery | None:
        if fact.channel != channel:
            return None
        return Delivery(
            fact.delivery,
            fact.message,
            fact.to,
            channel,
            entry.subject,
            "waiting",
            _at_once(entry),
            None,
            1,
            entry.version,
            entry.occurred_at,
        )

    return planned


def _attempted(row: Delivery | None, fact: DeliveryAttempted, entry: Entry) -> Delivery | None:
    return row and replace(
        row,
        state="sending",
        due_at=None,
        deadline=fact.deadline,
        attempt=fact.attempt,
        stream_version=entry.version,
    )


def _ended(
    row: Delivery | None, entry: Entry, state: str, said: str, next_at: datetime | None = None
) -> Delivery | None:
    return row and replace(
        row,
        state=state,
        due_at=next_at,
        deadline=None,
        attempt=row.attempt + (next_at is not None),
        stream_version=entry.version,
        said=said,
    )


def _arrived(row: Delivery | None, fact: DeliveryArrived, entry: Entry) -> Delivery | None:
    return _ended(row and replace(row, attempt=fact.attempt), entry, "arrived", fact.receipt)


def _failed(row: Delivery | None, fact: DeliveryFailed, entry: Entry) -> Delivery | None:
    state = "failed" if fact.next_at is None else "waiting"
    return _ended(row and replace(row, attempt=fact.attempt), entry, state, fact.reason, fact.next_at)


def _unknown(row: Delivery | None, fact: DeliveryUnknown, entry: Entry) -> Delivery | None:
    return _ended(row and replace(row, attempt=fact.attempt), entry, "unknown", fact.reason, fact.next_at)


def _repeated(row: Delivery | None, fact: DeliveryRepeated, entry: Entry) -> Delivery | None:
    if row is None:
        return None
    attempt = row.attempt + (row.due_at is None)
    return replace(row, state="waiting", due_at=_at_once(entry), attempt=attempt, stream_version=entry.version)


def _delivery(fact: Any, entry: Entry) -> tuple[UUID]:
    return (fact.delivery,)


def _view(name: str, channel: str) -> View[Delivery]:
    return View(
        name=name,
        version=2,
        row=Delivery,
        key=("delivery",),
        folds=(
            on(DeliveryPlanned, _planned(channel), _delivery),
            on(DeliveryAttempted, _attempted, _delivery),
            on(DeliveryArrived, _arrived, _delivery),
            on(DeliveryFailed, _failed, _delivery),
            on(DeliveryUnknown, _unknown, _delivery),
            on(DeliveryRepeated, _repeated, _delivery),
        ),
        indexes=(("due_at",), ("deadline",), ("state", "planned_at"), ("to", "planned_at"), ("case_id", "planned_at")),
    )


EMAILS = _view("emails", EMAIL)
WEBHOOKS = _view("webhooks", WEBHOOK)
DELIVERIES = {EMAIL: EMAILS, WEBHOOK: WEBHOOKS}
