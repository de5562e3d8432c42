"""The timekeeper: fires timers whose due instant has passed, each at its due instant, in order, exactly once.

"Passed" is judged by the domain clock and by the sources: a fact from before the deadline may still be on its way, so
a row waits until every source has announced that nothing up to its due instant is still to come, and until the
views and reactions have dealt with all of that. The command is appended at the stream version that the row was folded
from: a fact that came first wins. Its id derives from timer, key, due instant and that version.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

import asyncpg
from opentelemetry import trace

from libs.events.clock import Clock, Reading
from libs.events.due import DueRow, Firing, Limit, Mark, Marks, RowMark, command_id, first_of_each, mark_of
from libs.events.errors import NotYet, Refusal, Unavailable, VersionConflict
from libs.events.handling import Handler, Request
from libs.events.journal import Journal
from libs.events.leading import leading
from libs.events.line import DATABASE_ERRORS
from libs.events.projector import Projector
from libs.events.reactor import Reactor
from libs.events.service import Service
from libs.events.timers import Timer

ROLE = "timekeeper"
BATCH_ROWS_MAX = 1_000
POLL_S_MIN = 0.02
POLL_S_MAX = 0.5
LOOK_EVERY_S_MIN = 0.01
"""The journal may grow more often than it is worth to look whether something fell due with it."""
UNSETTLED_MAX = 2_000
"""Rows that fired and of which what came is not yet folded and reacted to."""
STUCK_MAX = 1_000
BESIDE_MAX = 64
"""Beside so many rows that have just fired the next one is looked for; beside more, one is likely to be due."""
_IMPORTED_DUE = """
select exists (select from {timelines} l
               join {table} t on t.timeline = l.source and t.tenant = l.tenant and t.due_at <= l.up_to)
"""
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("baton")


class Watermark(Protocol):
    """What a listener knows of a source: everything up to `at` was heard by journal position `position`."""

    @property
    def at(self) -> datetime | None: ...
    @property
    def position(self) -> int: ...
    @property
    def silent_since(self) -> float | None: ...


class Watermarks(Protocol):
    def watermarks(self) -> Mapping[str, Watermark]: ...


class Timekeeper:
    """Fires one service's timers until it is stopped; one process does it at a time."""

    def __init__(
        self,
        service: Service,
        journal: Journal,
        projector: Projector,
        reactor: Reactor,
        handler: Handler,
        listener: Watermarks,
        clock: Clock,
        pool: asyncpg.Pool,
        *,
        dsn: str,
    ) -> None:
        self._dsn = dsn
        self._service, self._journal, self._projector, self._reactor = service, journal, projector, reactor
        self._handler, self._listener, self._clock, self._pool = handler, listener, clock, pool
        self._started = time.monotonic()
        self._marks: dict[tuple[str, bool], Marks] = {}
        self._subjects = {handle.command: handle.subject or handle.key for handle in service.commands}
        self._nearest: datetime | None = None
        self._unsettled: dict[object, int] = {}
        self._fired: dict[RowMark, int] = {}
        self.stuck: dict[RowMark, str] = {}
        self.lateness_s = 0.0

    async def run(self) -> None:
        """Fire for ever."""
        async with leading(self._dsn, ROLE) as lead:
            while True:
                lead.check()
                seen = self._journal.wake.count
                if not await self.step():
                    await self._rest(seen)

    async def _rest(self, seen: int) -> None:
        """Until the nearest due instant. When something is due already, for a short while: it waits for its sources, or
        until what came of the last that fired is folded and reacted to.
        """
        due_in_s = POLL_S_MAX
        if self._nearest is not None:
            due_in_s = min(due_in_s, (self._nearest - self._clock.now()).total_seconds())
        if due_in_s <= 0 and self._fired:
            await asyncio.sleep(LOOK_EVERY_S_MIN)  # the stored position may be behind what this process remembers
            with contextlib.suppress(NotYet):
                for progress in (self._projector.progress, self._reactor.progress):
                    await progress.wait(max(self._fired.values()), POLL_S_MIN)
            return
        pause_s = due_in_s if due_in_s > 0 else POLL_S_MIN
        await asyncio.sleep(min(pause_s, LOOK_EVERY_S_MIN))
        await self._journal.wake.wait(max(0.0, pause_s - LOOK_EVERY_S_MIN), since=seen)

    async def step(self) -> bool:
        """Fire what is due, of each subject the earliest instant; False when nothing was.

        What is due for a subject waits until all that came of what fired for it before is folded and reacted to.
        """
        reading, known = await self._clock.read(), self._listener.watermarks()
        done = await self._settled() if self._fired else None
        under_way = {mark for mark, position in self._fired.items() if position > (done or 0)}
        if not await self._something_is_due(reading, under_way):
            self._fired = {mark: self._fired[mark] for mark in under_way}
            return False
        done = await self._settled() if done is None else done
        self._unsettled = {about: position for about, position in self._unsettled.items() if position > done}
        if sum(position > done for position in self._fired.values()) > UNSETTLED_MAX:
            return False
        found = []
        for timer in self._service.timers:
            for limit in await self._limits(timer, reading, known, done):
                rows = [(mark_of(timer, due), due) for due in await self._due(timer, limit, beside=len(self._fired))]
                self._set_aside(timer, [(mark, due) for mark, due in rows if self._fired.get(mark, done + 1) <= done])
                new = [due for mark, due in rows if mark not in self._fired][:BATCH_ROWS_MAX]
                found.append([self._firing(timer, due, limit) for due in new])
        self._fired = {mark: position for mark, position in self._fired.items() if position > done}
        if firings := first_of_each(found, BATCH_ROWS_MAX, held=self._unsettled):
            await self._fire(firings, reading)
        return bool(firings)

    async def _settled(self) -> int:
        """The position up to which all is folded and reacted to."""
        return min(await asyncio.gather(self._reactor.position(), self._projector.position()))

    async def _something_is_due(self, reading: Reading, beside: Set[RowMark]) -> bool:
        """Whether it is worth to look closer: by the clock, or by the event time of a source."""
        self._nearest = await self._next_due(beside) if len(beside) <= BESIDE_MAX else reading.now
        if self._nearest is not None and self._nearest <= reading.fire_until:
            return True
        for timer in self._service.timers:
            if timer.timelines is not None:
                table, timelines = self._projector.tables[timer.view].name, self._projector.tables[timer.timelines].name
                if await self._pool.fetchval(_IMPORTED_DUE.format(table=table, timelines=timelines)):
                    return True
        return False

    def _firing(self, timer: Timer, due: DueRow, limit: Limit) -> Firing:
        try:
            command = timer.command(due.row)
            return Firing(timer, due, limit, (due.tenant, self._subjects[type(command)](command)), command)
        except Exception:  # noqa: BLE001 - it is made again when it fires, and there it is on record
            return Firing(timer, due, limit, mark_of(timer, due), None)

    async def next_due(self) -> datetime | None:
        """The nearest due instant on the domain clock, None when nothing waits (stuck rows left out)."""
        return await self._next_due(frozenset())

    async def _next_due(self, beside: Set[RowMark]) -> datetime | None:
        """The same, without these rows."""
        found: list[datetime] = []
        where = f"timeline = '' and due_at is not null order by due_at {self._first(1 + len(beside))}"
        for timer in self._service.timers:
            rows = await self._rows(timer, where)
            found += [due.row.due_at for due in rows if mark_of(timer, due) not in beside][:1]
        return min(found, default=None)

    async def waiting(self) -> int:
        """How many rows are due by the clocks and have not fired yet (stuck ones left out)."""
        reading = await self._clock.read()
        count = 0
        for timer in self._service.timers:
            for timeline in await self._timelines(timer):
                count += len(await self._due(timer, Limit(*timeline[:3], confirmed=True)))
            count += len(await self._due(timer, Limit(None, "", reading.fire_until, confirmed=True)))
        return count

    async def _limits(self, timer: Timer, reading: Reading, known: Mapping[str, Watermark], done: int) -> list[Limit]:
        """How far each timeline may fire, by the clock and by what the sources have announced."""
        passed, timelines = await self._passed(timer, known), await self._timelines(timer)
        silent = timer.grace_s is not None and self._silent_s(timer, known) > timer.grace_s
        noted = Mark(reading.fire_until, await self._journal.position()) if silent else None
        limits = []
        mark = self._marks.setdefault((timer.name, True), Marks()).reached(passed, done)
        if mark is not None:
            limits.append(Limit(None, "", min(mark.at, reading.fire_until), confirmed=True))
            for tenant, timeline, up_to, recorded_at in timelines:
                if mark.at >= recorded_at:
                    limits.append(Limit(tenant, timeline, up_to, confirmed=True))
        if not silent:
            self._marks.pop((timer.name, False), None)
        elif (mark := self._marks.setdefault((timer.name, False), Marks()).reached(noted, done)) is not None:
            limits.append(Limit(None, "", mark.at, confirmed=False))  # what is on record here comes first all the same
        return limits

    async def _passed(self, timer: Timer, known: Mapping[str, Watermark]) -> Mark | None:
        """The instant that all sources have passed, and the position by which all of it was noted."""
        if not timer.sources:
            head = await self._journal.head()
            return Mark(head.instant, head.position)
        marks = [known.get(source) for source in timer.sources]
        instants = [(mark.at, mark.position) for mark in marks if mark is not None and mark.at is not None]
        if len(instants) < len(timer.sources):
            return None
        return Mark(min(at for at, _ in instants), max(position for _, position in instants))

    def _silent_s(self, timer: Timer, known: Mapping[str, Watermark]) -> float:
        heard = [known[source].silent_since if source in known else None for source in timer.sources]
        return max((time.monotonic() - max(self._started, at or 0.0) for at in heard), default=0.0)

    async def _timelines(self, timer: Timer) -> list[tuple[str, str, datetime, datetime]]:
        if timer.timelines is None:
            return []
        name = self._projector.tables[timer.timelines].name
        records = await self._pool.fetch(f"select tenant, source, up_to, recorded_at from {name}")
        return [(r["tenant"], r["source"], r["up_to"], r["recorded_at"]) for r in records]

    async def _due(self, timer: Timer, limit: Limit, beside: int = 0) -> list[DueRow]:
        """The first BATCH_ROWS_MAX rows, and so many more."""
        count = BATCH_ROWS_MAX + beside
        where = "timeline = $1 and due_at <= $2 and ($3::text is null or tenant = $3) order by due_at"
        rows = await self._rows(timer, f"{where} {self._first(count)}", limit.timeline, limit.until, limit.tenant)
        return rows[:count]

    def _first(self, count: int) -> str:
        return f"limit {count + len(self.stuck)}"

    async def _rows(self, timer: Timer, where: str, *arguments: object) -> list[DueRow]:
        """Rows that are not stuck."""
        table = self._projector.tables[timer.view]
        records = await self._pool.fetch(f"select {table.select} from {table.name} t where {where}", *arguments)
        rows = [
            DueRow(r["tenant"], tuple(r[name] for name in timer.view.key), table.decode(r), r["since_position"])
            for r in records
        ]
        return [due for due in rows if mark_of(timer, due) not in self.stuck]

    async def _fire(self, firings: Sequence[Firing], reading: Reading) -> None:
        """Fire these in order. Who is still due once all that came of it is folded and reacted to is stuck."""
        with _tracer.start_as_current_span("fire timers", attributes={"baton.rows": len(firings)}):
            last = await self._fire_together(firings)
        by_clock = [firing.at for firing in firings if not firing.limit.timeline]
        self.lateness_s = max(0.0, (reading.now - by_clock[-1]).total_seconds()) if by_clock else 0.0
        self._unsettled |= dict.fromkeys((firing.about for firing in firings), last)
        self._fired |= dict.fromkeys((firing.mark for firing in firings), last)

    async def _fire_together(self, firings: Sequence[Firing]) -> int:
        """The position by which all that came of these is on record. No two are about the same thing at different
        instants. They queue up for the journal in their order (those that look at views may change places).
        """
        async with asyncio.TaskGroup() as tasks:
            fired = [tasks.create_task(self._fire_one(firing)) for firing in firings]
        positions = [task.result() for task in fired]
        if 0 in positions:  # a fact may have come first
            positions.append(await self._journal.position())
        return max(positions)

    async def _fire_one(self, firing: Firing) -> int:
        timer, due, limit = firing.timer, firing.due, firing.limit
        cause = await self._journal.entry(due.since)
        try:
            request = Request(
                command=firing.command or timer.command(due.row),
                tenant=due.tenant,
                actor=f"{self._service.name}/{timer.name}",
                command_id=command_id(self._service.name, timer, due),
                at=due.row.due_at,
                cause=cause,
                expected=due.row.stream_version,
                confirmed=limit.confirmed,
                seen=due.since,
            )
            answer = await self._handler.ask(request)
        except VersionConflict:
            return 0  # a fact came first: the view folds it and, if it still waits, the row comes again
        except Refusal as refusal:
            _log.error("timer %s of %s was refused: %s", timer.name, due.key, refusal)
            return 0
        except Exception as error:
            away = isinstance(error, DATABASE_ERRORS) and not isinstance(error, asyncpg.DataError)
            if away or isinstance(error, Unavailable):
                raise  # nothing is wrong with the timer: the role is started anew
            _log.exception("timer %s of %s failed", timer.name, due.key)  # it stays due, is set aside and said so
            return 0
        return answer.position

    def _set_aside(self, timer: Timer, again: Sequence[tuple[RowMark, DueRow]]) -> None:
        """Rows that are due exactly as before, with everything folded, would fire for ever: set aside, and said so."""
        for mark, due in again:
            if mark in self.stuck:
                continue
            if len(self.stuck) >= STUCK_MAX:
                raise RuntimeError(f"more than {STUCK_MAX} timers stay due after firing; look at {timer.name}")
            self.stuck[mark] = f"{timer.name} {due.key} stays due at {due.row.due_at.isoformat()}"
            _log.error("timer %s: row %s stays due after it fired; it is set aside", timer.name, due.key)
