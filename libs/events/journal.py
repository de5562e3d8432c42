"""The journal of one service: append what was decided, hear what others said, read it in the order of its commits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from libs.events.appends import ANY, Append, Appended, AsOf, Head, Heard, HeardOutcome, Offset
from libs.events.entries import Entry, derived_id
from libs.events.hearing import HEARD_MAX, Listened, hear
from libs.events.line import (
    COMMAND_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    SETTINGS,
    Line,
    until_answered,
)
from libs.events.pools import Pool, open_pool
from libs.events.together import Together
from libs.events.wake import Wake
from libs.events.writer import GROUPS_MAX, QUEUE_MAX, Writer

__all__ = ["ANY", "HEARD_MAX", "Append", "Appended", "AsOf", "Head", "Heard", "HeardOutcome", "Journal", "Offset"]

READERS_MAX = 4
READ_ENTRIES_MAX = 10_000
PAGE_BYTES_MAX = 8 * 1024 * 1024
"""Of data in one page; the entry that brings it there is the page's last."""
LOADED_ENTRIES_MAX = 100
"""Of a stream at a time."""
_log = logging.getLogger(__name__)

_COMPUTED = {"sequence": "case when decided then sequence end as sequence"}
# In the order of the fields: a row is an entry's arguments as it comes.
_COLUMNS = f"select {', '.join(_COMPUTED.get(field, field) for field in Entry.__struct_fields__)} from journal.entries"


def _paged(where: str, order: str) -> str:
    """A page behind $1 of up to $2 entries. The sum costs little; the running one is only made when it is too much."""
    page = f"select data, {order} as place from journal.entries where {where} order by {order} limit $2"
    running = "sum(octet_length(data)) over (order by place rows unbounded preceding) - octet_length(data)"
    fitting = f"select count(*) from (select {running} as before from ({page}) q) r where before < {PAGE_BYTES_MAX}"
    fits = f"case when sum(octet_length(data)) > {PAGE_BYTES_MAX} then ({fitting}) else $2::bigint end"
    return f"{_COLUMNS} where {where} order by {order} limit (select {fits} from ({page}) p)"


_READ = _paged("position > $1", "position")
# By the column: a bare `sequence` is the computed one, and all that is left of the journal would be sorted for a page.
_READ_DECIDED = _paged("decided and sequence > $1", "entries.sequence")
# The second half finds a command that was accepted before. One round trip: every command begins with it.
_LOAD = f"""
({_COLUMNS} where decided and stream = $1 and version > $3 order by version limit {LOADED_ENTRIES_MAX})
union all
({_COLUMNS} where decided and id = $2 and not (stream = $1 and version > $3))
"""
# The same for many at once.
_LOAD_MANY = f"""
select k.o, e.*
from unnest($1::uuid[], $2::uuid[], $3::int[]) with ordinality k (wanted, first, after, o)
cross join lateral (
  ({_COLUMNS} where decided and stream = k.wanted and version > k.after order by version limit {LOADED_ENTRIES_MAX})
  union all
  ({_COLUMNS} where decided and id = k.first and not (stream = k.wanted and version > k.after))
) e
order by k.o, e.version
"""
_AT = f"{_COLUMNS} where position = any($1) order by position"
_POSITION = "select position from journal.entries order by position desc limit 1"
_FIND = """
select last.position, last.version, last.noted_at, first.digest
from journal.entries first
cross join lateral (
  select e.position, e.version, e.noted_at from journal.entries e
  where e.position between first.position and first.position + 99 and e.command_id = first.command_id and e.decided
  order by e.position desc limit 1) last
where first.id = $1 and first.decided
"""
_HEAD = "select last_position, last_sequence, instant, epoch from journal.head()"
_AS_OF = "select last_position, final from journal.as_of($1)"
_POSITION_AT = "select journal.position_at($1) as position"
_REACHED = "select journal.reached() as instant"
_DOMAIN_NOW = "select journal.domain_now() as instant"


class Loaded(NamedTuple):
    """Entries of a stream, in order. `known`: the command was accepted before; `more`: there may be more behind."""

    known: bool
    entries: list[Entry]
    more: bool


class Journal:
    """Open one per process and service: `journal = await Journal.open(dsn, service="tasks")`, and close it.

    `wake` hints that the journal grew. Every call raises Unavailable when the database stays away. `broken`: why this
    process can append nothing any more, if so.
    """

    def __init__(self, dsn: str, service: str, queue_max: int, pool: Pool) -> None:
        self._pool = pool
        self._name = name = f"baton-{service}"
        self.wake = Wake(dsn, {**SETTINGS, "application_name": f"{name}-wake"})
        self._writing = [Line(dsn, f"{name}-writer") for _ in range(GROUPS_MAX)]
        self._hearing, self._heading = (Line(dsn, f"{name}-{what}") for what in ("hear", "head"))
        self._writer = Writer(self._writing, self.wake, queue_max)
        self._loads, self._entries = Together(self._load), Together(self._at)
        self._tasks = [asyncio.create_task(self._writer.run(), name=f"{name}-writer")]
        self._tasks.append(asyncio.create_task(self.wake.run(), name=f"{name}-wake"))
        for task in self._tasks:
            task.add_done_callback(self._report)
        self.broken: str | None = None

    @classmethod
    async def open(cls, dsn: str, *, service: str, queue_max: int = QUEUE_MAX) -> Journal:
        """Connect as the service role. Raises Unavailable when the database does not answer."""
        name = f"baton-{service}-read"

        async def connect() -> Pool:
            return await open_pool(
                dsn,
                connections_max=READERS_MAX,
                command_timeout_s=COMMAND_TIMEOUT_S,
                settings={**SETTINGS, "application_name": name},
            )

        pool = await until_answered(name, connect)
        return cls(dsn, service, queue_max, pool)

    @property
    def queued(self) -> int:
        """Appends of this process that wait for their answer."""
        return self._writer.queued

    def observe_groups(self, observe: Callable[[int], None]) -> None:
        """Call this with the size of every group that is appended from now on."""
        self._writer.on_group = observe

    async def close(self) -> None:
        """Append what waits (bounded), then let go of every connection. Who still waits is told Unavailable."""
        await self._writer.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in (*self._writing, self._hearing, self._heading):
            line.drop()
        self._pool.terminate()

    async def append(self, append: Append) -> Appended:
        """Note the facts of one command, all or nothing; the same command again gets its first result.

        Raises VersionConflict, CommandReused (known with another digest), Unavailable (queue full, or the database
        stays away: the same append may be sent again, by its ids it is noted once).
        """
        return await self._writer.append(append)

    async def hear(
        self,
        heard: Sequence[Heard],
        offsets: Sequence[Offset] = (),
        parked: Sequence[Any] = (),
        decided: Sequence[Append] = (),
        *,
        term: int | None = None,
    ) -> list[HeardOutcome]:
        """Note records, what was decided about them, offsets and parked records in one transaction, all or nothing.

        One outcome per record. Nothing is written when one is `altered`, and when a decided append raises
        VersionConflict or CommandReused. Raises Undecodable when a record was recorded too far in the future.
        """
        outcomes = await hear(self._hearing, Listened(heard, offsets, parked, decided, term))
        if any(outcome.outcome == "noted" for outcome in outcomes) or decided:
            self.wake.grew()
        return outcomes

    async def find(self, command_id: UUID) -> tuple[Appended, bytes] | None:
        """The first result of a command and the digest of its payload; None when it never decided anything."""
        rows = await self._fetch(_FIND, derived_id(command_id, "0"))
        if not rows:
            return None
        (row,) = rows
        return Appended(row["position"], row["version"], row["noted_at"], True), row["digest"]

    async def read(self, after: int, limit: int) -> list[Entry]:
        """The entries after a position, in order, up to `limit` of them or PAGE_BYTES_MAX (see `is_full`). Nothing is
        ever inserted before what was read.
        """
        return _entries(await self._fetch(_READ, after, _page(limit)))

    async def read_decided(self, after_sequence: int, limit: int) -> list[Entry]:
        """The service's own entries after a sequence, likewise."""
        return _entries(await self._fetch(_READ_DECIDED, after_sequence, _page(limit)))

    async def load(self, stream: UUID, command_id: UUID, after_version: int = 0) -> Loaded:
        """Up to LOADED_ENTRIES_MAX of the stream's entries after a version, and whether the command is known (see
        `find`), in one round trip.
        """
        return await self._loads.ask((stream, derived_id(command_id, "0"), after_version))

    async def entry(self, position: int) -> Entry:
        """The entry at a position that was read or returned before."""
        return await self._entries.ask(position)

    async def position(self) -> int:
        """The last position (0: empty), without the append lock."""
        rows = await self._fetch(_POSITION)
        return rows[0]["position"] if rows else 0

    async def head(self) -> Head:
        """The end of the journal under the append lock; it promises that nothing will be noted up to its instant."""
        (row,) = await self._heading.call(_HEAD)
        return Head(row["last_position"], row["last_sequence"], row["instant"], row["epoch"])

    async def as_of(self, instant: datetime) -> AsOf:
        """The last position noted up to an instant, and whether that is final. An instant ahead is never final."""
        (row,) = await self._fetch(_AS_OF, instant)
        if not row["final"] and instant <= await self.domain_now():
            await self.head()
            (row,) = await self._fetch(_AS_OF, instant)
        return AsOf(row["last_position"], bool(row["final"]))

    async def position_at(self, instant: datetime) -> int:
        """The last position noted up to an instant (0: none), final or not."""
        (row,) = await self._fetch(_POSITION_AT, instant)
        position: int = row["position"]
        return position

    async def domain_now(self) -> datetime:
        """The domain clock as the journal reads it."""
        (row,) = await self._fetch(_DOMAIN_NOW)
        instant: datetime = row["instant"]
        return instant

    async def reached(self) -> datetime:
        """The latest instant at which the domain clock was seen; facts are recorded after that, should it step back."""
        (row,) = await self._fetch(_REACHED)
        instant: datetime = row["instant"]
        return instant

    def _report(self, task: asyncio.Task[None]) -> None:
        """These tasks end only by being cancelled."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken = f"{task.get_name()} broke ({error!r}); start this process anew"
            _log.error("%s broke; this journal must be opened anew", task.get_name(), exc_info=error)

    async def _load(self, asked: Sequence[tuple[UUID, UUID, int]]) -> list[Loaded]:
        """For each stream, first id and version."""
        if len(asked) == 1:
            return [_loaded(*asked[0], _entries(await self._fetch(_LOAD, *asked[0])))]
        found: list[list[Entry]] = [[] for _ in asked]
        for number, *columns in await self._fetch(_LOAD_MANY, *zip(*asked, strict=True)):
            found[number - 1].append(Entry(*columns))
        return [_loaded(*one, entries) for one, entries in zip(asked, found, strict=True)]

    async def _at(self, positions: Sequence[int]) -> list[Entry]:
        entries = {entry.position: entry for entry in _entries(await self._fetch(_AT, list(positions)))}
        return [entries[position] for position in positions]

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Read with any connection of the pool; with the next one when that was lost."""
        return await until_answered(self._name, lambda: self._fetch_once(query, arguments))

    async def _fetch_once(self, query: str, arguments: tuple[object, ...]) -> list[asyncpg.Record]:
        async with self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows


def is_full(page: Sequence[Entry], limit: int) -> bool:
    """Whether there is probably more behind a page."""
    return len(page) == limit or sum(len(entry.data) for entry in page) >= PAGE_BYTES_MAX


def _page(limit: int) -> int:
    if not 1 <= limit <= READ_ENTRIES_MAX:
        raise ValueError(f"limit={limit}: read 1 to {READ_ENTRIES_MAX} entries at a time")
    return limit


def _loaded(stream: UUID, first: UUID, after: int, found: Sequence[Entry]) -> Loaded:
    entries = [entry for entry in found if entry.stream == stream and entry.version > after]
    return Loaded(any(entry.id == first for entry in found), entries, len(entries) == LOADED_ENTRIES_MAX)


def _entries(rows: Sequence[asyncpg.Record]) -> list[Entry]:
    return [Entry(*row) for row in rows]
