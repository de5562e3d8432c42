"""The reactor: runs reactions on noted entries, in order per subject, once each.

A reaction's commands have ids derived from the entry and the reaction's name, so running it again changes nothing; the
checkpoint only saves work. It follows the views: a reaction sees them as of its entry's position. Backfilled entries
and entries from before a reaction was registered are passed over. One that is refused or raises is parked with its
reason, and the subjects' later entries go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol
from uuid import UUID

import asyncpg
from opentelemetry import trace

from libs.events.entries import Entry, Fact, derived_id
from libs.events.errors import CommandReused, Refusal, Unavailable, VersionConflict
from libs.events.handling import Handler, Request
from libs.events.journal import Journal, is_full
from libs.events.leading import leading
from libs.events.line import DATABASE_ERRORS
from libs.events.looking import DatabaseLooks
from libs.events.progress import Progress
from libs.events.projector import Decoded, Decoder, Projector
from libs.events.reactions import Reaction
from libs.events.service import Service
from libs.events.tracing import following
from libs.events.unreadable import Unreadable

ROLE = "reactor"
BATCH_ENTRIES_MAX = 2_000
"""So many that there are far more subjects in a batch than SUBJECTS_AT_ONCE_MAX where it is behind: of one subject's
entries one follows the other, so that with 500 of eight cases eight reactions were under way, and it never caught up.
"""
SUBJECTS_AT_ONCE_MAX = 32
CHECKPOINT_EVERY = 100
"""Positions. Timers wait until what fired is reacted to, and who begins anew begins there: not with a whole batch."""
COMMANDS_MAX = 1_000
TRIES_MAX = 5
BACKOFF_S = 0.2
FOLD_WITHIN_S = 5.0
POLL_S = 1.0
_Subject = tuple[str, UUID]
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("baton")


class ParksReactions(Protocol):
    """Where a reaction that is refused or raises is put on record (libs.events.parking.Parking)."""

    async def park_reaction(self, name: str, entry: Entry, reason: str) -> UUID: ...


class Reactor:
    """Runs one service's reactions until it is stopped; one process does it at a time."""

    def __init__(
        self,
        service: Service,
        journal: Journal,
        projector: Projector,
        looks: DatabaseLooks,
        handler: Handler,
        parking: ParksReactions,
        pool: asyncpg.Pool,
        *,
        dsn: str,
    ) -> None:
        self._dsn = dsn
        self._service, self._journal, self._projector = service, journal, projector
        self._looks, self._handler, self._parking, self._pool = looks, handler, parking, pool
        self._reactions = {reaction.name: reaction for reaction in service.reactions}
        self._decoder = Decoder(service.language, (fact for reaction in service.reactions for fact in reaction.on))
        self._starts: dict[str, int] = {}
        self._at = 0
        self.progress = Progress("the reactions", self._stored if self._reactions else journal.position)
        self.more = True

    async def prepare(self) -> None:
        """Reactions, where there were none before, begin at what is noted from now on (on an empty journal: at all)."""
        await self._pool.execute(
            "insert into views.checkpoint (name, position) values ('reactions', $1) on conflict do nothing",
            await self._journal.position(),
        )

    async def register(self) -> None:
        """Begin where a predecessor ended. Reactions that are new act on what no reaction has come to yet. Only
        who leads may say where that is: a predecessor that does not know them goes on until it ends.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into views.reaction (name, start_position) select n.name, c.position "
                "from unnest($1::text[]) n (name), views.checkpoint c where c.name = 'reactions' "
                "on conflict do nothing",
                list(self._reactions),
            )
            records = await connection.fetch("select name, start_position from views.reaction")
        self._starts = {record["name"]: record["start_position"] for record in records}
        self._at = await self._stored()  # nobody else moves it while this process leads

    async def run(self) -> None:
        """React for ever."""
        async with leading(self._dsn, ROLE) as lead:
            await self.register()
            while True:
                lead.check()
                seen = self._journal.wake.count
                await self.step()
                if not self.more and self._reactions:
                    await self._journal.wake.wait(POLL_S, since=seen)
                elif not self.more:
                    await asyncio.sleep(POLL_S)  # nobody waits: where reactions would begin only has to keep up

    async def position(self) -> int:
        """The position up to which every reaction has run; where there is none, the end of the journal."""
        return await self.progress.position()

    async def _stored(self) -> int:
        found: int | None = await self._pool.fetchval("select position from views.checkpoint where name = 'reactions'")
        return found or 0

    async def step(self) -> bool:
        """React to one batch; False when there was none. `more`: there is probably more behind it."""
        entries = await self._journal.read(self._at, BATCH_ENTRIES_MAX)
        self.more = is_full(entries, BATCH_ENTRIES_MAX)
        if not entries:
            self.progress.reached(self._at)
            return False
        last = entries[-1].position
        _, batch, unreadable = self._decoder.sift([entry for entry in entries if not entry.backfilled])
        for found in unreadable:
            await self._park(found)
        if batch:
            await self._projector.wait(last, FOLD_WITHIN_S)
            queue = _Queue(batch)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(SUBJECTS_AT_ONCE_MAX, queue.subjects)):
                    tasks.create_task(self._work_off(queue))
        await self._reach(last)
        return True

    async def _reach(self, position: int) -> None:
        self._at = position
        await self._pool.execute(
            "update views.checkpoint set position = $1, updated_at = clock_timestamp() "
            "where name = 'reactions' and position < $1",
            position,
        )
        self.progress.reached(position)

    async def _park(self, found: Unreadable) -> None:
        """Whatever would have reacted to it waits until a contract can read it, or a person gives it up."""
        for reaction in self._reactions.values():
            types = self._service.language.types_of(frozenset(reaction.on))
            if found.entry.position > self._starts[reaction.name] and found.entry.type in types:
                await self._parking.park_reaction(reaction.name, found.entry, found.reason)

    async def retry(self, name: str, position: int) -> None:
        """Run one parked reaction again, on what is known by now: what it lacked may have been made good since. One
        that was done in part goes on, on what was known then. Raises what it raises.
        """
        entry = await self._journal.entry(position)
        begun = await self._journal.find(derived_id(entry.id, name, "0")) is not None
        basis = entry.position if begun else None
        await self._react(self._reactions[name], self._decoder.decode(entry), basis=basis)

    async def _work_off(self, queue: _Queue) -> None:
        """One of several that do; it ends when others have all the subjects that are left."""
        while (decoded := queue.take()) is not None:
            for reaction in self._service.reactions:
                wanted = type(decoded.fact) in reaction.on or Fact in reaction.on
                if wanted and decoded.entry.position > self._starts[reaction.name]:
                    await self._react_or_park(reaction, decoded)
            queue.done(decoded)
            if queue.done_to >= self._at + CHECKPOINT_EVERY:
                await self._reach(queue.done_to)

    async def _react_or_park(self, reaction: Reaction, decoded: Decoded) -> None:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                await self._react(reaction, decoded, basis=decoded.entry.position)
            except (Unavailable, VersionConflict):
                if attempt == TRIES_MAX:
                    raise  # the database is away: the role is started anew and begins again at its checkpoint
                await asyncio.sleep(BACKOFF_S * 2**attempt)
            except Exception as error:  # parked with its reason: a bug in one must not stop the others
                if isinstance(error, DATABASE_ERRORS) and not isinstance(error, asyncpg.DataError):
                    raise  # likewise: nothing is wrong with the reaction
                await self._give_up(reaction.name, decoded.entry, error)
                return
            else:
                return

    async def _give_up(self, name: str, entry: Entry, error: Exception) -> None:
        """Park it. A rule that says no says why; where a bug is, only its stack says."""
        with following(_tracer, f"park {name}", entry.traceparent):
            parked = await self._parking.park_reaction(name, entry, f"{type(error).__name__}: {error}")
            extra = {"parked": str(parked)}
            if isinstance(error, Refusal):
                _log.warning("reaction %s on %s is parked: %s", name, entry.id, error, extra=extra)
            else:
                _log.error("reaction %s on %s is parked", name, entry.id, exc_info=error, extra=extra)

    async def _react(self, reaction: Reaction, decoded: Decoded, *, basis: int | None) -> None:
        """`basis`: on the views as of this position; None: on the newest."""
        entry, fact = decoded
        with following(_tracer, f"react {reaction.name}", entry.traceparent):
            commands, _ = await self._looks.run(
                entry.tenant, lambda look: list(reaction.react(fact, entry, look)), position=basis, after=entry.position
            )
            if len(commands) > COMMANDS_MAX:
                raise ValueError(f"reaction {reaction.name} asks for {len(commands)} commands; at most {COMMANDS_MAX}")
            for number, command in enumerate(commands):
                request = Request(
                    command=command,
                    tenant=entry.tenant,
                    actor=f"{self._service.name}/{reaction.name}",
                    command_id=derived_id(entry.id, reaction.name, str(number)),
                    at=entry.occurred_at,
                    cause=entry,
                    basis=basis,
                )
                try:
                    await self._handler.ask(request)
                except CommandReused:  # by this very reaction, in a version that said it otherwise
                    _log.warning("what reaction %s decided on %s before stands", reaction.name, entry.id)


class _Queue:
    """A batch for several at once: the oldest entry whose subject is free comes first. So no subject falls far behind
    the others, to be left to go on alone at the end, and the position up to which all is done moves on.
    """

    def __init__(self, batch: Sequence[Decoded]) -> None:
        self._waiting: dict[_Subject, deque[Decoded]] = {}
        for decoded in batch:
            self._waiting.setdefault(_subject(decoded), deque()).append(decoded)
        self._free = [(entries[0].entry.position, subject) for subject, entries in self._waiting.items()]
        self._open = deque(decoded.entry.position for decoded in batch)
        self._done: set[int] = set()
        self.done_to = self._open[0] - 1
        """All up to this position is done."""
        self.subjects = len(self._waiting)

    def take(self) -> Decoded | None:
        """Its subject is free again once it is done. None: no subject that has entries is free."""
        return self._waiting[heappop(self._free)[1]].popleft() if self._free else None

    def done(self, decoded: Decoded) -> None:
        subject = _subject(decoded)
        if following := self._waiting[subject]:
            heappush(self._free, (following[0].entry.position, subject))
        self._done.add(decoded.entry.position)
        while self._open and self._open[0] in self._done:
            self.done_to = self._open.popleft()
            self._done.remove(self.done_to)


def _subject(decoded: Decoded) -> _Subject:
    return decoded.entry.tenant, decoded.entry.subject
