"""Watermarks between the processes of one service: the leader of the listener writes them down, the others read them.

Silence is measured by the clock of the database's machine: what is written and read is how long ago an owner was heard.
That clock may have jumped in between: nobody was heard in the future, and it does not decide which mark is the newer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import asyncpg

from libs.events.heads import Watermark
from libs.events.leading import connect, heed_cancellation

SHARE_EVERY_S = 0.25
BACKOFF_S = 1.0
_log = logging.getLogger(__name__)

# What is lost in a crash is written anew: no write waits for the disk.
_NO_HURRY = "set synchronous_commit = off"
# A former leader that has not noticed yet writes nothing. What is known stands while a backlog is heard.
_WRITE = """
insert into journal.watermarks as w (owner, at, position, heard_at, parked)
select u.owner, u.at, u.position, clock_timestamp() - make_interval(secs => u.silent_s), u.parked
from unnest($2::text[], $3::timestamptz[], $4::bigint[], $5::float8[], $6::bigint[])
  u (owner, at, position, silent_s, parked)
where exists (select 1 from journal.leaders where role = 'listener' and term = $1)
on conflict (owner) do update set
  at = greatest(w.at, excluded.at),
  position = case when w.at is null or excluded.at > w.at then excluded.position else w.position end,
  heard_at = excluded.heard_at, parked = excluded.parked
"""
_READ = """
select owner, at, position, greatest(0, extract(epoch from clock_timestamp() - heard_at))::float8 as silent_s, parked
from journal.watermarks where owner = any($1)
"""


class SharedWatermarks:
    """`own`: the term in which this process leads the listener, and what it knows then; None while another leads."""

    def __init__(
        self, owners: Sequence[str], dsn: str, own: Callable[[], tuple[int, Mapping[str, Watermark]] | None]
    ) -> None:
        self._dsn, self._own = dsn, own
        self._read = {owner: Watermark(owner, None, 0, None) for owner in owners}
        self._written: dict[str, Watermark] = {}

    def watermarks(self) -> dict[str, Watermark]:
        """The newest that is known here. A leader that has not heard of an owner yet goes by what stood before it."""
        own = self._own()
        return dict(self._read) if own is None else {owner: self._newer(mark) for owner, mark in own[1].items()}

    async def run(self) -> None:
        """Write or read for ever."""
        while True:
            heed_cancellation()
            try:
                connection = await connect(self._dsn, "watermarks")
                try:
                    await connection.execute(_NO_HURRY)
                    await self._share(connection)
                finally:
                    connection.terminate()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and the connection made anew
                _log.warning("watermarks are not shared for now: %s: %s", type(error).__name__, error)
            await asyncio.sleep(BACKOFF_S)

    async def _share(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        await self._learn(connection)
        while True:
            heed_cancellation()
            own = self._own()
            if own is None:
                self._written = {}
                await self._learn(connection)
            else:
                await self._tell(connection, *own)
            await asyncio.sleep(SHARE_EVERY_S)

    async def _learn(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        asked_s = time.monotonic()
        for found in await connection.fetch(_READ, list(self._read)):
            silent_since = asked_s - found["silent_s"]
            owner = found["owner"]
            self._read[owner] = Watermark(owner, found["at"], found["position"], silent_since, found["parked"])

    async def _tell(
        self, connection: asyncpg.Connection[asyncpg.Record], term: int, known: Mapping[str, Watermark]
    ) -> None:
        """Write what this process has heard itself, and has not written yet."""
        now_s = time.monotonic()
        new = [mark for mark in known.values() if self._written.get(mark.owner) != mark]
        rows = [
            (mark.owner, mark.at, mark.position, now_s - mark.silent_since, mark.parked)
            for mark in new
            if mark.silent_since is not None and mark.silent_since == self._newer(mark).silent_since
        ]
        if rows:
            await connection.execute(_WRITE, term, *map(list, zip(*rows, strict=True)))
        self._written |= {mark.owner: mark for mark in new}

    def _newer(self, mark: Watermark) -> Watermark:
        before = self._read[mark.owner]
        newest = before if before.at is not None and (mark.at is None or mark.at < before.at) else mark
        heard = (mark.silent_since, before.silent_since)
        silent_since = max((at for at in heard if at is not None), default=None)
        if newest is mark and silent_since == mark.silent_since:
            return mark
        return Watermark(mark.owner, newest.at, newest.position, silent_since, mark.parked)
