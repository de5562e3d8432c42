"""Which requests did a source send, and which of them does it say are done?"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.entries import Entry
from libs.events.views import View, on


class RequestRow(msgspec.Struct, frozen=True):
    """`state`: open or closed. Instants are those of the world; `timeline` is "" outside an import."""

    case_id: UUID
    source: str
    reference: str
    template: str
    category: str
    title: str
    priority: str
    department: str | None
    state: str
    received_at: datetime
    target_at: datetime | None
    timeline: str
    closed_at: datetime | None = None
    outcome: str | None = None


def _received(row: RequestRow | None, fact: RequestReceived, entry: Entry) -> RequestRow:
    return RequestRow(
        case_id=entry.subject,
        source=fact.source,
        reference=fact.reference,
        template=fact.template,
        category=fact.category,
        title=fact.title,
        priority=fact.priority,
        department=fact.department,
        state="open",
        received_at=entry.occurred_at,
        target_at=fact.target_at,
        timeline=fact.timeline,
    )


def _closed(row: RequestRow | None, fact: RequestClosed, entry: Entry) -> RequestRow | None:
    if row is None:
        return None
    return msgspec.structs.replace(row, state="closed", closed_at=entry.occurred_at, outcome=fact.outcome)


REQUESTS = View(
    name="requests",
    version=1,
    row=RequestRow,
    key=("case_id",),
    folds=(on(RequestReceived, _received), on(RequestClosed, _closed)),
    indexes=(("source", "reference"), ("reference",), ("received_at",)),
)
