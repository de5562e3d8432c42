"""The entry: one line of a journal, and the identities that everything else derives from it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from datetime import datetime
from functools import lru_cache
from typing import Annotated, TypeGuard
from uuid import UUID, uuid5

import msgspec

NAMESPACE = UUID("6f1d0c1e-6a5e-5d0b-9a53-0b6a70e5ba70")
STREAMS_KNOWN_MAX = 4_096
"""Of so many streams, the ids need not be computed again."""
TENANT_CURE = "a tenant is 1 to 40 of a-z, 0-9 and -, and does not begin with -"
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant in a fact: it has a zone on the wire, and one without is not read."""


class Fact(msgspec.Struct, frozen=True):
    """Base of every fact: immutable, JSON on the wire. Readers ignore fields that they do not know."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One journal entry. Decided entries have a `sequence`; heard ones (another owner's fact) have none.

    `occurred_at`: in the world. `recorded_at`: when its owner recorded it. `noted_at`: when this journal noted it,
    strictly increasing with `position`. `basis`: the position at which the decider read its views.
    """

    position: int
    sequence: int | None
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
    noted_at: datetime
    backfilled: bool
    data: bytes

    @property
    def owner(self) -> str:
        """The service whose fact this is: the part of the type before the dot."""
        return self.type.partition(".")[0]


def is_tenant(name: object) -> TypeGuard[str]:
    """Whether a tenant may be called this. Ids are made of `tenant/…`: with a slash in it, two could share one."""
    return isinstance(name, str) and _TENANT.fullmatch(name) is not None


@lru_cache(STREAMS_KNOWN_MAX)
def stream_id(tenant: str, owner: str, category: str, key: UUID) -> UUID:
    """The stream of one aggregate; the tenant is part of it, so no two tenants ever share one."""
    return uuid5(NAMESPACE, f"{tenant}/{owner}/{category}/{key}")


def entity_id(tenant: str, kind: str, name: str) -> UUID:
    """A pseudonymous id for something that the outside world names (`kind`: person, department, case …)."""
    return uuid5(NAMESPACE, f"{tenant}/{kind}/{name}")


def new_id() -> UUID:
    """A fresh time-ordered id (UUID version 7)."""
    return _uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_id(cause: UUID, *parts: str) -> UUID:
    """The id that follows from a cause. It keeps the cause's time prefix: time-ordered ids double the insert rate."""
    digest = hashlib.sha256(cause.bytes + "/".join(parts).encode()).digest()
    return _uuid7(int.from_bytes(cause.bytes[:6], "big"), digest)


def id_at(instant: datetime, *parts: str) -> UUID:
    """The id of something that is named by an instant and these parts, such as a timer that fell due."""
    return _uuid7(int(instant.timestamp() * 1000), hashlib.sha256("/".join(parts).encode()).digest())


def _uuid7(unix_ms: int, entropy: bytes) -> UUID:
    value = (unix_ms << 80) | int.from_bytes(entropy[:10], "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value & ((1 << 128) - 1))
