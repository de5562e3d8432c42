"""Handling a command: load the stream, look at views, decide, append; again from load when somebody was faster."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from opentelemetry import trace

from libs.events.appends import UNKNOWN_DIGEST
from libs.events.deciding import Asked, Command, Handle
from libs.events.entries import Entry, Fact, derived_id, stream_id
from libs.events.errors import CommandReused, VersionConflict
from libs.events.journal import LOADED_ENTRIES_MAX, Append, Journal
from libs.events.looking import DatabaseLooks
from libs.events.service import Service
from libs.events.tracing import link_current, traceparent
from libs.events.views import Look

ATTEMPTS_MAX = 5
STREAM_QUEUES_MAX = 4_096
LONG_STREAMS_MAX = 256
"""Of so many streams that are longer than one load brings, the state is kept from one command to the next."""
_tracer = trace.get_tracer("baton")


@dataclass(frozen=True, slots=True)
class Request:
    """A command with its circumstances. `cause` is the entry that it follows from, if any.

    `expected`: the stream version that must still stand (None: whatever stands). `basis`: decide on the views as of
    this position (None: on the newest, this process's own last append included). `seen`: the position of what the asker
    itself has read in a view; it is the basis of a decision that looks at nothing more.
    """

    command: Command
    tenant: str
    actor: str
    command_id: UUID
    at: datetime
    cause: Entry | None = None
    expected: int | None = None
    basis: int | None = None
    confirmed: bool = True
    seen: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command. `position`: the token for reading one's own write; `facts`: types of what was decided."""

    position: int
    stream: UUID
    version: int
    facts: tuple[str, ...]
    known: bool


class Folded(NamedTuple):
    """The state of a stream, and its last entry."""

    state: Any
    last: Entry | None


class Handler:
    """Handles every command of one service. Commands on one stream queue up inside the process."""

    def __init__(self, service: Service, journal: Journal, looks: DatabaseLooks) -> None:
        self._service, self._journal, self._looks = service, journal, looks
        self._language = service.language
        self._handles = {handle.command: handle for handle in service.commands}
        self._last_position = 0
        self._queues: OrderedDict[UUID, asyncio.Lock] = OrderedDict()
        self._long: OrderedDict[UUID, Folded] = OrderedDict()

    async def ask(self, request: Request) -> Answer:
        """The answer; raises Refusal, VersionConflict, CommandReused or Unavailable. Asking again changes nothing."""
        handle = self._handles[type(request.command)]
        digest = digest_of(request.command)
        stream = self.stream_of(request)
        about = {"baton.subject": str((handle.subject or handle.key)(request.command))}
        with _tracer.start_as_current_span(f"decide {type(request.command).__name__}", attributes=about) as span:
            async with self._queue(stream):
                for attempt in range(1, ATTEMPTS_MAX + 1):
                    span.set_attribute("baton.attempt", attempt)
                    try:
                        return await self._once(handle, stream, digest, request)
                    except VersionConflict as conflict:
                        self._forget_beyond(stream, conflict.actual)
                        if attempt == ATTEMPTS_MAX or request.expected is not None:
                            raise
        raise AssertionError("the last attempt either returned or raised")

    def stream_of(self, request: Request) -> UUID:
        handle = self._handles[type(request.command)]
        return stream_id(request.tenant, self._service.name, handle.decider.category, handle.key(request.command))

    async def _once(self, handle: Handle[Any, Any], stream: UUID, digest: bytes, request: Request) -> Answer:
        folded = await self._fold(handle, stream, request.command_id)
        if folded is None:
            return await self._first_result(digest, stream, request)
        state, last = folded
        version = last.version if last else 0
        if request.expected is not None and request.expected != version:
            raise VersionConflict(stream, request.expected, version)
        link_current(entry.traceparent for entry in (last, request.cause) if entry)

        def decide(look: Look) -> Sequence[Fact]:
            asked = Asked(request.tenant, request.actor, request.at, look, request.confirmed)
            return handle.decide(state, request.command, asked)

        facts, basis = await self._looks.run(request.tenant, decide, position=request.basis, after=self._last_position)
        if not facts:
            position = last.position if last else 0
            return Answer(position=position, stream=stream, version=version, facts=(), known=False)
        append = self._append(handle, stream, version, digest, request, facts, request.seen if basis is None else basis)
        appended = await self._journal.append(append)
        self._last_position = max(self._last_position, appended.position)
        types = tuple(type_ for _, type_, _, _ in append.facts)
        return Answer(
            position=appended.position, stream=stream, version=appended.version, facts=types, known=appended.known
        )

    async def _fold(self, handle: Handle[Any, Any], stream: UUID, command_id: UUID) -> Folded | None:
        """The stream's state; None: the command was accepted before. Of a long stream only what is new is folded."""
        state, last = self._long.get(stream) or Folded(handle.decider.initial, None)
        while True:
            known, entries, more = await self._journal.load(stream, command_id, last.version if last else 0)
            if known:
                return None
            for last in entries:
                state = handle.decider.evolve(state, self._language.decode(last.type, last.schema_version, last.data))
            folded = Folded(state, last)
            if last is not None and last.version > LOADED_ENTRIES_MAX:
                self._keep(stream, folded)
            if not more:
                return folded

    def _keep(self, stream: UUID, folded: Folded) -> None:
        self._long[stream] = folded
        self._long.move_to_end(stream)
        if len(self._long) > LONG_STREAMS_MAX:
            self._long.popitem(last=False)

    def _forget_beyond(self, stream: UUID, version: int) -> None:
        """A journal that went back, as a restored one does, does not have what is kept of it."""
        kept = self._long.get(stream)
        if kept is not None and kept.last is not None and kept.last.version > version:
            del self._long[stream]

    async def _first_result(self, digest: bytes, stream: UUID, request: Request) -> Answer:
        """What the command got when it was accepted; raises CommandReused when it had another payload then."""
        found = await self._journal.find(request.command_id)
        if found is None or found[1] not in (digest, UNKNOWN_DIGEST):
            raise CommandReused(request.command_id)
        appended = found[0]
        return Answer(position=appended.position, stream=stream, version=appended.version, facts=(), known=True)

    def _append(
        self,
        handle: Handle[Any, Any],
        stream: UUID,
        version: int,
        digest: bytes,
        request: Request,
        facts: Sequence[Fact],
        basis: int | None,
    ) -> Append:
        subject = (handle.subject or handle.key)(request.command)
        cause = request.cause
        return Append(
            stream=stream,
            expected=version,
            facts=tuple(
                (derived_id(request.command_id, str(i)), *self._service.contract.encode(fact))
                for i, fact in enumerate(facts)
            ),
            tenant=request.tenant,
            subject=subject,
            actor=request.actor,
            command_id=request.command_id,
            digest=digest,
            causation_id=cause.id if cause else None,
            correlation_id=cause.correlation_id if cause else subject,
            traceparent=traceparent(),
            basis=basis,
            occurred_at=request.at,
        )

    def _queue(self, stream: UUID) -> asyncio.Lock:
        lock = self._queues.setdefault(stream, asyncio.Lock())
        self._queues.move_to_end(stream)
        if len(self._queues) > STREAM_QUEUES_MAX:
            oldest = next(iter(self._queues))
            if not self._queues[oldest].locked():
                del self._queues[oldest]
        return lock


def digest_of(command: Command) -> bytes:
    """16 bytes of the payload's SHA-256: the same key with another payload is refused."""
    text = f"{type(command).__name__}:{command.model_dump_json()}"
    return hashlib.sha256(text.encode()).digest()[:16]
