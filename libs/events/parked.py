"""A parked record: what a listener could not take, why, and the facts that tell of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from uuid import UUID, uuid5

import msgspec

from libs.events.entries import NAMESPACE, Fact

REASON_CHARS_MAX = 500
KEY_CHARS_MAX = 256
"""Of a record's key; PostgreSQL's indexes hold entries of some 2,700 bytes."""

Headers = tuple[tuple[str, bytes], ...]


class Problem(StrEnum):
    """Why a record is not taken. `blocks`: later records of its key wait behind it."""

    UNREADABLE = "unreadable"  # headers or data that no contract here can read
    FUTURE = "future"  # its owner's clock runs ahead of ours
    REFUSED = "refused"  # a rule of the service that takes it says no
    ALTERED = "altered"  # an id that was heard before with other content
    FOREIGN = (
        "foreign"  # in another owner's name, or at a place of the chain or for an instant that its owner had passed
    )
    OLD_EPOCH = "old-epoch"  # from a journal that was recovered in the meantime
    WAITING = "waiting"  # nothing wrong but an earlier record of its key
    GAP = "gap"  # the records between it and the one before are missing; the partition waits
    REACTION = "reaction"  # heard, but a reaction to it was refused

    @property
    def blocks(self) -> bool:
        return self in (Problem.UNREADABLE, Problem.FUTURE, Problem.REFUSED)


class State(StrEnum):
    PARKED = "parked"
    WAITING = "waiting"
    RELEASED = "released"
    DROPPED = "dropped"


PENDING = (State.PARKED, State.WAITING)


class Parked(msgspec.Struct, frozen=True, gc=False):
    """One row of journal.parked: the record as it came and what is known about it. `mended`: the value that an operator
    put in the place of the record's own.
    """

    id: UUID
    kind: Problem
    state: State
    topic: str
    topic_id: str
    partition: int
    record_offset: int
    key: str
    reason: str
    headers: Headers = ()
    value: bytes = b""
    event_id: UUID | None = None
    type: str | None = None
    tenant: str = ""
    subject: UUID | None = None
    sequence: int | None = None
    previous: int | None = None
    mended: bytes | None = None
    ended_by: str | None = None


def parked_id(topic: str, topic_id: str, partition: int, offset: int) -> UUID:
    """The id of the row of one record: the same record is parked once, however often it is read."""
    return uuid5(NAMESPACE, f"parked/{topic}/{topic_id}/{partition}/{offset}")


def key_text(key: bytes | None) -> str:
    """The record's key as text that can be stored. What is no UTF-8 or holds a zero byte is shown in hexadecimal; of a
    long one the beginning and its SHA-256, so that two keys never look the same.
    """
    raw = key or b""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = f"hex:{raw.hex()}"
    if "\x00" in text:
        text = f"hex:{raw.hex()}"
    if len(text) > KEY_CHARS_MAX:
        return f"{text[:KEY_CHARS_MAX]}… sha256:{hashlib.sha256(raw).hexdigest()}"
    return text


def shortened(reason: str) -> str:
    """A reason without the characters that PostgreSQL cannot store, bounded."""
    return reason.replace("\x00", "\\0")[:REASON_CHARS_MAX]


def headers_json(headers: Headers) -> list[list[str]]:
    return [[name.replace("\x00", "\\0"), base64.b64encode(value).decode()] for name, value in headers]


def headers_from(stored: Iterable[Sequence[str]]) -> Headers:
    return tuple((name, base64.b64decode(value)) for name, value in stored)


def parked_json(rows: Sequence[Parked]) -> str:
    """The rows as the `parked` argument of journal.note_listening; bytes travel as base64."""
    return msgspec.json.encode(
        [
            {
                **{name: getattr(row, name) for name in _PLAIN},
                "reason": shortened(row.reason),
                "headers": headers_json(row.headers),
                "value": base64.b64encode(row.value).decode(),
                "mended": None if row.mended is None else base64.b64encode(row.mended).decode(),
            }
            for row in rows
        ]
    ).decode()


_PLAIN = tuple(name for name in Parked.__struct_fields__ if name not in ("reason", "headers", "value", "mended"))


class RecordParked(Fact, frozen=True):
    """A record of another owner could not be taken; later records of its key wait when its kind says so.

    `reason` may quote what the record says.
    """

    parked: UUID
    topic: str
    partition: int
    offset: int
    key: str
    kind: str
    reason: str
    event: UUID | None = None
    type: str | None = None


class ParkedRecordReleased(Fact, frozen=True):
    """A parked record was taken after all. `mended`: with other data than it came with."""

    parked: UUID
    mended: bool
    event: UUID | None = None


class ParkedRecordDropped(Fact, frozen=True):
    """A person decided that a parked record will not be taken."""

    parked: UUID
    event: UUID | None = None
