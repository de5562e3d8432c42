"""The courier: sends the deliveries that are due, each attempt at most once, and puts on record what came of it.

An attempt is appended at the version of the delivery's stream that its row was folded from: of several couriers exactly
one wins, and only the winner sends. Whatever has no outcome by the attempt's deadline is appended as unknown, by
whoever leads then. Views can be rebuilt at will: without a new attempt on record nothing is sent. Rows made by
backfilled entries wake nobody. Deadlines are read from one clock, that of the database's machine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from opentelemetry import trace

from libs.events.clock import Clock
from libs.events.deciding import Command
from libs.events.effects import Delivery, Effect, NotSent, storable
from libs.events.entries import Entry, derived_id, new_id
from libs.events.errors import NotYet, Refusal, Unavailable, VersionConflict
from libs.events.handling import Answer, Handler, Request
from libs.events.journal import Journal
from libs.events.leading import leading
from libs.events.line import DATABASE_ERRORS
from libs.events.looking import DatabaseLooks
from libs.events.projector import Projector
from libs.events.service import Service
from libs.events.tracing import following

ROLE = "courier"
POLL_S = 0.25
LOOK_EVERY_S_MIN = 0.05
"""The journal may grow more often than it is worth to look whether something is to be sent."""
BATCH_ROWS_MAX = 500
ATTEMPTS_MAX = 100
"""A backstop: services end their deliveries after far fewer."""
SENDING_SHARE = 0.8
"""Of the time until the deadline; the rest is for recording what came of it."""
RECORD_RETRY_S = 0.2
DRAIN_S = 1.0
STUCK_MAX = 1_000
_NOT_BACKFILLED = "not exists (select from journal.entries e where e.position = t.since_position and e.backfilled)"
T = TypeVar("T")
_AWAY = (Unavailable, VersionConflict, TimeoutError, *DATABASE_ERRORS)
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("baton")
Mark = tuple[str, str, tuple[Any, ...]]


class Courier:
    """Sends one service's deliveries until it is stopped; one process does it at a time."""

    def __init__(
        self,
        service: Service,
        journal: Journal,
        projector: Projector,
        looks: DatabaseLooks,
        handler: Handler,
        clock: Clock,
        pool: asyncpg.Pool,
        *,
        dsn: str,
    ) -> None:
        self._service, self._journal, self._projector, self._looks = service, journal, projector, looks
        self._handler, self._clock, self._pool, self._dsn = handler, clock, pool, dsn
        if len({effect.view for effect in service.effects}) < len(service.effects):
            raise ValueError(f"{service.name}: two effects send the rows of one view; give each a view of its own")
        self._sending: dict[Mark, asyncio.Task[None]] = {}
        self.stuck: dict[tuple[Mark, int], str] = {}

    async def run(self) -> None:
        """Send for ever. Attempts under way go on when this fails, and get DRAIN_S to end when it is cancelled."""
        try:
            async with leading(self._dsn, ROLE) as lead:
                while True:
                    lead.check()
                    seen = self._journal.wake.count
                    await self.step()
                    await asyncio.sleep(LOOK_EVERY_S_MIN)
                    await self._journal.wake.wait(POLL_S, since=seen)
        except asyncio.CancelledError:
            await self._drain()
            raise

    async def step(self) -> int:
        """Begin what is due, as far as there is room, and end what is past its deadline; how many that was."""
        self._reap()
        until, count = (await self._clock.read()).fire_until, 0
        if not await self._something_to_do(until):
            return 0
        for effect in self._service.effects:
            for late in await self._rows(effect, "deadline <= statement_timestamp() order by deadline", BATCH_ROWS_MAX):
                count += await self._give_up(late)
            for due in await self._due(effect, effect.at_once_max + len(self._sending), until):
                running = sum(mark[0] == effect.name for mark in self._sending)
                if running < effect.at_once_max and _mark(due) not in self._sending:
                    self._sending[_mark(due)] = asyncio.create_task(self._deliver(due), name=f"send {effect.name}")
                    count += 1
        return count

    async def waiting(self) -> int:
        """How many deliveries are due by the domain clock and not begun (those set aside left out)."""
        until = (await self._clock.read()).fire_until
        return sum([len(await self._due(effect, BATCH_ROWS_MAX, until)) for effect in self._service.effects])

    async def under_way(self) -> int:
        """How many attempts have no outcome yet."""
        effects = self._service.effects
        return sum([len(await self._rows(effect, "deadline is not null", BATCH_ROWS_MAX)) for effect in effects])

    async def next_due(self) -> datetime | None:
        """The nearest instant on the domain clock at which another delivery will be due."""
        until = (await self._clock.read()).fire_until
        names = [self._projector.tables[effect.view].name for effect in self._service.effects]
        found = [
            await self._pool.fetchval(f"select min(due_at) from {name} where due_at > $1", until) for name in names
        ]
        return min((due for due in found if due is not None), default=None)

    async def oldest_due(self) -> datetime | None:
        """Since when the delivery is due, by the domain clock, that is due for longest and not begun."""
        until = (await self._clock.read()).fire_until
        oldest = [each.row.due_at for effect in self._service.effects for each in await self._due(effect, 1, until)]
        return min(oldest, default=None)

    async def unknown(self) -> int:
        """How many deliveries wait for a person: nobody knows what came of them, and no attempt follows by itself."""
        counted = [
            (self._projector.tables[effect.view].name, effect.unknown_state)
            for effect in self._service.effects
            if effect.unknown_state is not None
        ]
        asked = "select count(*) from {} where state = $1 and due_at is null"
        return sum([await self._pool.fetchval(asked.format(name), state) for name, state in counted])

    async def retrying(self) -> int:
        """How many deliveries failed, or may have, and wait for another attempt."""
        names = [self._projector.tables[effect.view].name for effect in self._service.effects]
        asked = "select count(*) from {} where due_at is not null and attempt > 1"
        return sum([await self._pool.fetchval(asked.format(name)) for name in names])

    async def _something_to_do(self, until: datetime) -> bool:
        """Whether it is worth to look closer, at any effect."""
        tables = [self._projector.tables[effect.view].name for effect in self._service.effects]
        found = (
            f"exists (select from {table} where due_at <= $1 or deadline <= statement_timestamp())" for table in tables
        )
        return bool(await self._pool.fetchval(f"select {' or '.join(found)}", until))

    async def _due(self, effect: Effect, limit: int, until: datetime) -> list[Delivery]:
        return await self._rows(effect, f"due_at <= $1 and {_NOT_BACKFILLED} order by due_at", limit, until)

    async def _rows(self, effect: Effect, where: str, limit: int, *instants: datetime) -> list[Delivery]:
        table = self._projector.tables[effect.view]
        records = await self._pool.fetch(
            f"select {table.select} from {table.name} t where {where} limit {limit + len(self.stuck)}", *instants
        )
        found = (
            Delivery(
                effect, r["tenant"], tuple(r[name] for name in effect.view.key), table.decode(r), r["since_position"]
            )
            for r in records
        )
        return [each for each in found if (_mark(each), each.row.stream_version) not in self.stuck]

    async def _deliver(self, due: Delivery) -> None:
        """One attempt, from its start to its outcome."""
        if due.row.attempt > ATTEMPTS_MAX:
            self._set_aside(due, f"attempt {due.row.attempt} is one too many; its service must end it")
            return
        began_s, attempt_id, cause = machine_s(), new_id(), await self._journal.entry(due.since)
        with following(_tracer, f"send {due.effect.name}", cause.traceparent):
            deadline = await self._machine_now() + timedelta(seconds=due.effect.deadline_s)
            answer = await self._start(due, due.effect.start(due.row, deadline), attempt_id, cause)
            if answer is not None:
                end_s, position = began_s + due.effect.deadline_s, answer.position
                attempt = await _patiently(lambda: self._journal.entry(position), end_s)
                outcome = await self._send(due, attempt, began_s + due.effect.deadline_s * SENDING_SHARE)
                await self._record(due, outcome, attempt, end_s)

    async def _start(self, due: Delivery, command: Command, attempt_id: UUID, cause: Entry) -> Answer | None:
        """The answer to the start of the attempt; None when it is not ours to make.

        The id is fresh, and so an answer, even a repeated one after a lost connection, can only mean this courier.
        """
        try:
            answer = await self._ask(due, command, attempt_id, cause, expected=due.row.stream_version)
        except VersionConflict:
            return None  # another courier, or a fact, came first: if it still waits, the row comes again
        except Unavailable as error:
            _log.warning("an attempt of %s at %s is put off: %s", due.effect.name, due.key, error)
            return None  # should it have been appended after all, it is unknown after its deadline
        except Refusal as refusal:
            self._set_aside(due, f"its attempt was refused: {refusal}")
            return None
        if answer.facts:
            return answer
        self._set_aside(due, "no attempt at it was decided: by its stream it is not due")
        return None

    async def _send(self, due: Delivery, attempt: Entry, end_s: float) -> Command:
        """Send if it is still wanted; what came of it, as the command that records it."""
        effect = due.effect
        try:
            wanted, _ = await self._looks.run(due.tenant, due.as_wanted, after=attempt.position)
        except (NotYet, *_AWAY) as error:
            return effect.failed(due.row, NotSent(f"its row could not be read: {error!r}"))
        if wanted is None:
            return effect.failed(due.row, NotSent("it is no longer wanted", final=True))
        row = wanted.row
        left_s = end_s - machine_s()
        if left_s <= 0:
            return effect.failed(row, NotSent("there was no time left to send it before the deadline"))
        try:
            async with asyncio.timeout(left_s):
                said = await effect.send(wanted.content, due.idempotency_key(self._service.name))
        except NotSent as error:
            return effect.failed(row, error)
        except TimeoutError:
            return effect.unknown(row, f"no answer within {left_s:.1f} s")
        except Exception as error:  # noqa: BLE001 - recorded with its reason: nobody can say what came of it
            _log.warning("what came of %s of %s is unknown: %s", effect.name, due.key, type(error).__name__)
            return effect.unknown(row, storable(f"{type(error).__name__}: {error}"))
        return effect.succeeded(row, storable(said))

    async def _record(self, due: Delivery, outcome: Command, attempt: Entry, end_s: float) -> None:
        """Append the outcome, whatever version its stream has by now; tries, at least once, until the deadline."""
        outcome_id = derived_id(attempt.command_id, "outcome")
        try:
            await _patiently(lambda: self._ask(due, outcome, outcome_id, attempt), end_s)
        except Refusal as refusal:
            _log.error("the outcome of %s of %s was refused: %s", due.effect.name, due.key, refusal)

    async def _give_up(self, late: Delivery) -> bool:
        """Nobody said by the deadline what came of the attempt, and nobody will send it again by himself."""
        reason = f"no outcome was recorded by {late.row.deadline.isoformat()}"
        command, cause = late.effect.unknown(late.row, reason), await self._journal.entry(late.since)
        try:
            answer = await self._ask(late, command, new_id(), cause, expected=late.row.stream_version)
        except VersionConflict:
            return False  # an outcome, or a fact, came first
        except Refusal as refusal:
            self._set_aside(late, f"it is past its deadline, and that was refused: {refusal}")
            return False
        if not answer.facts:
            self._set_aside(late, "it is past its deadline, and nothing was decided: by its stream it is not under way")
        return bool(answer.facts)

    async def _ask(
        self, of: Delivery, command: Command, command_id: UUID, cause: Entry, expected: int | None = None
    ) -> Answer:
        actor = f"{self._service.name}/{of.effect.name}"
        return await self._handler.ask(
            Request(command, of.tenant, actor, command_id, self._clock.now(), cause, expected)
        )

    async def _machine_now(self) -> datetime:
        now: datetime = await self._pool.fetchval("select clock_timestamp()")
        return now

    def _set_aside(self, delivery: Delivery, why: str) -> None:
        """It would come again for ever: left out until its stream moves on, and said so."""
        if len(self.stuck) >= STUCK_MAX:
            raise RuntimeError(f"more than {STUCK_MAX} deliveries are set aside; look at {delivery.effect.name}")
        text = f"{delivery.effect.name} {'/'.join(map(str, delivery.key))}: {why}"
        self.stuck[_mark(delivery), delivery.row.stream_version] = text
        _log.error("set aside: %s", text)

    def _reap(self) -> None:
        """Forget what has ended; raises what one of them raised, so that the role shows it."""
        for mark, task in list(self._sending.items()):
            if task.done():
                del self._sending[mark]
                task.result()

    async def _drain(self) -> None:
        if not self._sending:
            return
        _, pending = await asyncio.wait(self._sending.values(), timeout=DRAIN_S)
        for task in pending:
            task.cancel()  # its attempt is unknown after its deadline
        for ended in await asyncio.gather(*self._sending.values(), return_exceptions=True):
            if isinstance(ended, Exception):
                _log.error("an attempt failed: %r", ended)
        self._sending.clear()


async def _patiently(ask: Callable[[], Awaitable[T]], end_s: float) -> T:
    """Asks, at least once, until the database is there; from `end_s` on it raises what it meets."""
    while True:
        try:
            return await ask()
        except _AWAY:
            if machine_s() > end_s:
                raise
            await asyncio.sleep(RECORD_RETRY_S)


def machine_s() -> float:
    """Seconds that go on while the machine sleeps, as those of the deadline on record do; time.monotonic() stands."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _mark(delivery: Delivery) -> Mark:
    return delivery.effect.name, delivery.tenant, delivery.key
