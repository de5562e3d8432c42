"""The group commit: one writer per process takes what waits, appends it in one transaction, answers each by itself.

When much waits it takes half, and sends the other half beside it over a second connection: while one half is answered
and its callers make their next appends, the database is busy with the other. Otherwise both would take turns. What was
handed in first is noted first all the same: a group says beside which one it goes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from libs.events.appends import Append, Appended
from libs.events.errors import CommandReused, Unavailable, VersionConflict
from libs.events.line import Line
from libs.events.wake import Wake

QUEUE_MAX = 4_096
GROUP_APPENDS_MAX = 256
GROUP_BYTES_MAX = 4 * 1024 * 1024
GROUPS_MAX = 2
"""Under way at once, each on a connection of its own."""
HALF_FACTS_MIN = 16
"""Fewer facts are not worth a transaction beside one that is under way."""
CLOSE_WITHIN_S = 10.0

_APPEND = """
select outcome, last_position, last_version, last_noted_at from journal.append(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
_APPEND_ONE = """
select outcome, last_position, last_version, last_noted_at from journal.append_one(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""


class Waiting(NamedTuple):
    """An append in the queue, and whom to tell."""

    append: Append
    answer: asyncio.Future[Appended]


class Group(NamedTuple):
    """What goes in one transaction."""

    waiting: list[Waiting]
    facts: int
    settled: asyncio.Event

    @property
    def first_ids(self) -> list[UUID]:
        return [waiting.append.facts[0][0] for waiting in self.waiting]


class Writer:
    """A bounded queue and the task that empties it."""

    def __init__(self, lines: Sequence[Line], wake: Wake, queue_max: int = QUEUE_MAX) -> None:
        self._lines, self._wake, self._queue_max = lines, wake, queue_max
        self._queue: deque[Waiting] = deque()
        self._arrived = [asyncio.Event() for _ in lines]
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._queued_facts = 0
        self._under_way: list[Group] = []
        self.on_group: Callable[[int], None] | None = None

    @property
    def queued(self) -> int:
        """Appends that wait for their answer."""
        return len(self._queue) + sum(len(group.waiting) for group in self._under_way)

    async def append(self, append: Append) -> Appended:
        """The result, once it is on disk. A caller that stops waiting harms nobody; its append may yet be noted."""
        if self._closed:
            raise Unavailable("this journal is closed; ask a running process")
        if len(self._queue) >= self._queue_max:
            raise Unavailable(f"{self._queue_max} appends wait for the journal already; try again in a moment")
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(append, answer))
        self._queued_facts += len(append.facts)
        self._idle.clear()
        if self._queued_facts >= HALF_FACTS_MIN:
            for arrived in self._arrived:
                arrived.set()
        elif not self._under_way:
            self._arrived[0].set()
        return await answer

    async def run(self) -> None:
        """Append group after group until cancelled; whoever waits then is told that the journal is closed."""
        try:
            async with asyncio.TaskGroup() as workers:
                for line, arrived in zip(self._lines, self._arrived, strict=True):
                    workers.create_task(self._work(line, arrived))
        finally:
            self._closed = True
            for waiting in self._queue:
                _fail(waiting, Unavailable("the journal closed before this was appended; send it again"))
            self._queue.clear()

    async def drain(self) -> bool:
        """Take nothing more and wait until the queue is empty; False when it is not within CLOSE_WITHIN_S."""
        self._closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), CLOSE_WITHIN_S)
        except TimeoutError:
            return False
        return True

    async def _work(self, line: Line, arrived: asyncio.Event) -> None:
        """Settle one group after the other over one connection."""
        while True:
            await arrived.wait()
            while group := self._take():
                before = self._under_way[-1] if self._under_way else None
                self._under_way.append(group)
                await self._settle(group.waiting, line, before)
                self._under_way.remove(group)
                group.settled.set()
            arrived.clear()
            if not self._queue and not self._under_way:
                self._idle.set()

    def _take(self) -> Group | None:
        """The next group: bounded in appends and bytes, without those whose caller has gone. Half of what waits and is
        under way; nothing while little waits and something is under way.
        """
        under_way = sum(group.facts for group in self._under_way)
        if under_way and self._queued_facts < HALF_FACTS_MIN:
            return None
        taken: list[Waiting] = []
        size = facts = 0
        half = max(HALF_FACTS_MIN, (self._queued_facts + under_way + 1) // 2)
        while self._queue and len(taken) < GROUP_APPENDS_MAX and size < GROUP_BYTES_MAX and facts < half:
            waiting = self._queue.popleft()
            self._queued_facts -= len(waiting.append.facts)
            if not waiting.answer.done():
                taken.append(waiting)
                size += waiting.append.size
                facts += len(waiting.append.facts)
        return Group(taken, facts, asyncio.Event()) if taken else None

    async def _settle(self, group: Sequence[Waiting], line: Line, before: Group | None) -> None:
        """Append a group and answer everybody in it. What the database refuses is searched for by halves."""
        parts = deque([group])
        try:
            if self.on_group is not None:
                self.on_group(len(group))
            while parts:
                part = parts.popleft()
                try:
                    rows = await _send(line, [waiting.append for waiting in part], before)
                except Unavailable as error:
                    for waiting in part:
                        _fail(waiting, type(error)(str(error), error.retry_after_s))
                except Exception as error:  # noqa: BLE001 - told to the one who asked for it; the others go on
                    if len(part) == 1:
                        _fail(part[0], error)
                        continue
                    middle = len(part) // 2
                    parts.extendleft((part[middle:], part[:middle]))
                else:
                    self._tell(part, rows)
        except BaseException as error:
            why = "closed" if isinstance(error, asyncio.CancelledError) else f"broke ({error!r})"
            for waiting in group:
                _fail(waiting, Unavailable(f"the journal {why} while this was appended; send it again"))
            raise

    def _tell(self, part: Sequence[Waiting], rows: Sequence[asyncpg.Record]) -> None:
        for waiting, row in zip(part, rows, strict=True):
            _answer(waiting, row)
        if any(row["outcome"] == b"o" for row in rows):
            self._wake.grew()


async def _send(line: Line, appends: Sequence[Append], before: Group | None) -> list[asyncpg.Record]:
    if before is not None and not before.settled.is_set():
        await asyncio.sleep(0)  # the loop sends at the end of its round: the other group shall leave before this one
        if rows := await line.call(_APPEND, *_columns(appends), before.first_ids):
            return rows
        await before.settled.wait()
    if len(appends) == 1:
        return await line.call(_APPEND_ONE, *_one(appends[0]))
    return await line.call(_APPEND, *_columns(appends), [])


def _one(append: Append) -> tuple[object, ...]:
    return (
        append.stream,
        append.expected,
        append.digest,
        append.tenant,
        append.subject,
        append.actor,
        append.command_id,
        append.causation_id,
        append.correlation_id,
        append.traceparent,
        append.basis,
        append.occurred_at,
        *zip(*append.facts, strict=True),
    )


def _columns(appends: Sequence[Append]) -> tuple[object, ...]:
    return (
        [a.stream for a in appends],
        [a.expected for a in appends],
        [len(a.facts) for a in appends],
        [a.digest for a in appends],
        [a.tenant for a in appends],
        [a.subject for a in appends],
        [a.actor for a in appends],
        [a.command_id for a in appends],
        [a.causation_id for a in appends],
        [a.correlation_id for a in appends],
        [a.traceparent for a in appends],
        [a.basis for a in appends],
        [a.occurred_at for a in appends],
        *zip(*(fact for a in appends for fact in a.facts), strict=True),
    )


def appended(append: Append, row: asyncpg.Record) -> Appended:
    """What the database said about an append; raises VersionConflict or CommandReused."""
    match row["outcome"]:
        case b"o" | b"k" as outcome:
            return Appended(row["last_position"], row["last_version"], row["last_noted_at"], outcome == b"k")
        case b"c":
            raise VersionConflict(append.stream, append.expected, row["last_version"])
        case b"r":
            raise CommandReused(append.command_id)
        case other:
            raise AssertionError(f"journal.append answered {other!r}")


def _answer(waiting: Waiting, row: asyncpg.Record) -> None:
    try:
        result = appended(waiting.append, row)
    except (VersionConflict, CommandReused) as refusal:
        _fail(waiting, refusal)
    else:
        if not waiting.answer.done():
            waiting.answer.set_result(result)


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
