"""What was said, by whom, when, and because of what? One row per fact of any owner, kept as it came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.entries import Entry, Fact
from libs.events.views import View, on


class LedgerRow(msgspec.Struct, frozen=True):
    """`data` is the fact's JSON text, unchanged. `basis`: the position at which the owner read its views.

    `occurred_at`: in the world; `recorded_at`: by its owner; `noted_at`: here.
    """

    id: UUID
    subject: UUID
    owner: str
    type: str
    schema_version: int
    stream: UUID
    version: int
    actor: str
    command_id: UUID
    causation_id: UUID | None
    correlation_id: UUID
    basis: int | None
    occurred_at: datetime
    recorded_at: datetime
    noted_at: datetime
    data: str


def row_of(entry: Entry) -> LedgerRow:
    """The line that an entry is; also for a replay from the raw journal."""
    return LedgerRow(
        id=entry.id,
        subject=entry.subject,
        owner=entry.owner,
        type=entry.type,
        schema_version=entry.schema_version,
        stream=entry.stream,
        version=entry.version,
        actor=entry.actor,
        command_id=entry.command_id,
        causation_id=entry.causation_id,
        correlation_id=entry.correlation_id,
        basis=entry.basis,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        noted_at=entry.noted_at,
        # A fact that no contract here names was never decoded: what is no text must still not stop the ledger.
        data=entry.data.decode("utf-8", "backslashreplace").replace("\x00", "\\u0000"),
    )


def _said(row: LedgerRow | None, fact: Fact, entry: Entry) -> LedgerRow:
    return row or row_of(entry)


def _by_id(fact: Fact, entry: Entry) -> Iterable[UUID]:
    return (entry.id,)


LEDGER = View(
    name="ledger",
    version=1,
    row=LedgerRow,
    key=("id",),
    folds=(on(Fact, _said, _by_id),),
    indexes=(("subject", "recorded_at", "owner", "id"),),
    past=False,  # a line never changes, and each names the instants at which it was recorded and noted
)
