"""What is handed to a journal: appends of own facts, heard records with their offsets; and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

ANY = -1
"""Expected version of an append that needs no state."""
FACTS_MAX = 100
"""Facts of one append. sql/0005_note.sql relies on it."""
UNKNOWN_DIGEST = bytes(16)
"""Of a command whose facts were taken back from the topic: what it said is not known. See sql/0027_recover.sql."""
DATA_BYTES_MAX = 512 * 1024
"""Size of one fact; Kafka takes records up to 1 MiB, headers included."""


@dataclass(frozen=True, slots=True)
class Append:
    """The facts that one command decided, for one stream, all or nothing.

    `facts`: (event id, type, schema version, JSON bytes); the first id is derived_id(command_id, "0"): by it a repeated
    command is found. `digest`: 16 bytes of the payload's SHA-256. Raises ValueError for what no journal can take.
    """

    stream: UUID
    expected: int
    facts: tuple[tuple[UUID, str, int, bytes], ...]
    tenant: str
    subject: UUID
    actor: str
    command_id: UUID
    digest: bytes
    causation_id: UUID | None
    correlation_id: UUID
    traceparent: str
    basis: int | None
    occurred_at: datetime

    def __post_init__(self) -> None:
        if not 1 <= len(self.facts) <= FACTS_MAX:
            raise ValueError(
                f"an append has 1 to {FACTS_MAX} facts, not {len(self.facts)}: decide less, or nothing without asking"
            )
        if self.expected < ANY:
            raise ValueError(f"expected={self.expected}: give the stream's version (0: it is new) or ANY")
        if len(self.digest) != 16:
            raise ValueError(f"digest has {len(self.digest)} bytes, not 16: cut the SHA-256 of the payload")
        for _, type_, _, data in self.facts:
            check_size(type_, data)

    @property
    def size(self) -> int:
        """Bytes of data in it."""
        return sum(len(data) for _, _, _, data in self.facts)


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the last fact of an append stands. `known`: it was accepted before, and this is the first result."""

    position: int
    version: int
    noted_at: datetime
    known: bool


class Heard(msgspec.Struct, frozen=True, gc=False):
    """A record of another owner, as it came. `epoch` is that of the owner's journal."""

    id: UUID
    type: str
    schema_version: int
    stream: UUID
    version: int
    tenant: str
    subject: UUID
    actor: str
    command_id: UUID
    causation_id: UUID | None
    correlation_id: UUID
    traceparent: str
    basis: int | None
    epoch: int
    occurred_at: datetime
    recorded_at: datetime
    backfilled: bool
    data: bytes

    @property
    def digest(self) -> bytes:
        """16 bytes over everything that a record says: the same id must always bring the same. Not the epoch (facts
        are published again in a new one), the trace, the basis, or what the listener added (`backfilled`).
        """
        said = (
            self.type,
            self.schema_version,
            self.stream,
            self.version,
            self.tenant,
            self.subject,
            self.actor,
            self.command_id,
            self.causation_id,
            self.correlation_id,
            self.occurred_at.astimezone(UTC),
            self.recorded_at.astimezone(UTC),
        )
        return hashlib.sha256(msgspec.json.encode(said) + self.data).digest()[:16]


class HeardOutcome(NamedTuple):
    """What became of a heard record. `position` of its entry; None for an altered one.

    `altered`: its id is known with other bytes. Then nothing of the call was written, neither records nor offsets.
    """

    outcome: Literal["noted", "duplicate", "altered"]
    position: int | None


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a partition was heard: the next offset in Kafka, the last sequence of its owner, in which epoch.

    `reread_until`: see judging.Place; it is only read, and forgotten by sql/0030_read_again.sql.
    """

    topic: str
    topic_id: str
    partition: int
    next_offset: int
    epoch: int
    sequence: int
    reread_until: int = 0


class Head(NamedTuple):
    """The end of a journal. `instant`: nothing will ever be noted at or before it."""

    position: int
    sequence: int
    instant: datetime
    epoch: int


class AsOf(NamedTuple):
    """The last position noted up to an instant; `final`: that can never change any more."""

    position: int
    final: bool


def check_size(type_: str, data: bytes) -> None:
    """Raises ValueError for a fact that is too large to travel."""
    if len(data) > DATA_BYTES_MAX:
        raise ValueError(
            f"data of {type_} has {len(data)} bytes, over {DATA_BYTES_MAX}: keep what is large outside and refer to it"
        )
