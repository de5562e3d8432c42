"""Appends of an imaginary owner `probe`, and records that it hears from an imaginary owner `bells`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from libs.events.entries import NAMESPACE, derived_id, new_id, stream_id
from libs.events.journal import Append, Heard
from tests.integration.said import heard

TENANT = "main"
DATA = b'{"note": "what a fact looks like", "filler": "' + b"x" * 200 + b'"}'
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def stream(name: str) -> UUID:
    return stream_id(TENANT, "probe", "errand", derived_id(NAMESPACE, name))


def append(
    to: UUID | None = None,
    expected: int = 0,
    *,
    facts: int = 1,
    command: UUID | None = None,
    payload: str = "",
    cause: UUID | None = None,
    actor: str = "prod-1",
    ids: Iterable[UUID] = (),
) -> Append:
    """An append to `to` (none: a new stream). `ids` take the place of the ids from the second fact on."""
    command = command or new_id()
    chosen = [derived_id(command, str(i)) for i in range(facts)]
    chosen[1:] = list(ids) or chosen[1:]
    return Append(
        stream=to or command,
        expected=expected,
        facts=tuple((id_, "probe.ErrandGiven", 1, DATA) for id_ in chosen),
        tenant=TENANT,
        subject=command,
        actor=actor,
        command_id=command,
        digest=hashlib.sha256(payload.encode()).digest()[:16],
        causation_id=cause,
        correlation_id=command,
        traceparent=TRACEPARENT,
        basis=None,
        occurred_at=datetime.now(UTC),
    )


def record(name: str, recorded_at: datetime, *, data: bytes = DATA, backfilled: bool = False) -> Heard:
    """The record called `name`; the same arguments give the same record."""
    command = derived_id(NAMESPACE, name)
    return heard(
        "bells.BellRung",
        1,
        data,
        recorded_at,
        id=derived_id(command, "0"),
        stream=stream_id(TENANT, "bells", "bell", command),
        tenant=TENANT,
        subject=command,
        actor="bells/ringer",
        command_id=command,
        correlation_id=command,
        traceparent=TRACEPARENT,
        basis=7,
        epoch=3,
        backfilled=backfilled,
    )
