"""Every message: to whom, why, and whether it was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.events.contracts.notify import MessageAcknowledged, MessagePosted
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Message:
    """`because`: the rule by which it went to this person; `cause`: the id of the event behind it."""

    message: UUID
    to: str
    template: str
    template_version: int
    params: dict[str, str]
    because: str
    cause: UUID
    case_id: UUID
    posted_at: datetime
    acknowledged: bool = False
    acknowledged_at: datetime | None = None


def _posted(row: Message | None, fact: MessagePosted, entry: Entry) -> Message:
    return Message(
        message=fact.message,
        to=fact.to,
        template=fact.template,
        template_version=fact.template_version,
        params=fact.params,
        because=fact.because,
        cause=fact.cause,
        case_id=fact.case_id or entry.subject,
        posted_at=entry.occurred_at,
    )


def _acknowledged(row: Message | None, fact: MessageAcknowledged, entry: Entry) -> Message | None:
    return row and replace(row, acknowledged=True, acknowledged_at=entry.occurred_at)


def _message(fact: Any, entry: Entry) -> tuple[UUID]:
    return (fact.message,)


MESSAGES = View(
    name="messages",
    version=1,
    row=Message,
    key=("message",),
    folds=(on(MessagePosted, _posted, _message), on(MessageAcknowledged, _acknowledged, _message)),
    indexes=(("to", "posted_at"), ("case_id", "posted_at")),
)
