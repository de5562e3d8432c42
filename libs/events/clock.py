"""The domain clock: real time in production, held still in stories and tests, or running on with an offset.

Only domain instants use it; tokens, backoff, traces and Kafka's record timestamps use the machine's clock. It lives in
the database (`journal.clock`), so that every process and every database function of a service reads the same.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from libs.events.errors import Refusal

REREAD_S = 0.5
_LAST_NOTED = "select noted_at from journal.entries order by position desc limit 1"
_READ = f'select held_at, fire_until, "offset", ({_LAST_NOTED}) as last_noted from journal.clock'


class Reading(msgspec.Struct, frozen=True):
    """The clock at one moment. `held_at` None: it runs. Timers may fire up to `fire_until` (running: up to now)."""

    now: datetime
    held_at: datetime | None
    fire_until: datetime


class Clock:
    """One service's domain clock. Another process sees a move within REREAD_S."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._held_at: datetime | None = None
        self._fire_until: datetime | None = None
        self._last_noted: datetime | None = None
        self._offset = timedelta()

    async def run(self) -> None:
        """Follow the moves that other processes make, for ever."""
        while True:
            await self.read()
            await asyncio.sleep(REREAD_S)

    async def read(self) -> Reading:
        """The clock as the database has it."""
        (record,) = await self._pool.fetch(_READ)
        self._last_noted = record["last_noted"]
        self._held_at, self._fire_until = record["held_at"], record["fire_until"]
        self._offset = record["offset"] or timedelta()
        return self._reading()

    def now(self) -> datetime:
        """The domain's now, by what was last read."""
        return self._reading().now

    def _reading(self) -> Reading:
        if self._held_at is not None:
            fire_until = self._fire_until or self._held_at
            if fire_until >= self._held_at:  # entries at a held instant are noted microseconds after it: due as well
                fire_until = max(self._held_at, self._last_noted or self._held_at)
            return Reading(self._held_at, self._held_at, fire_until)
        now = datetime.now(UTC) + self._offset
        return Reading(now, None, now)

    async def hold(self, at: datetime) -> Reading:
        """Stand still at `at`, without firing anything that this makes due.

        It never moves back behind where it was held, nor behind both what is on record and its own now; an empty
        journal takes any instant. (What a neighbour ahead of it said is on record at the neighbour's instant.)
        """
        reading = await self.read()
        earliest = reading.held_at or (min(self._last_noted, reading.now) if self._last_noted else None)
        if earliest is not None and at < earliest:
            raise Refusal(
                "clock-moves-forward",
                f"the domain clock has come to {earliest.isoformat()}; choose a later instant",
                f"业务时钟已走到 {earliest.isoformat()}，只能拨到更晚的时刻",
            )
        await self._pool.execute(
            'update journal.clock set held_at = $1, fire_until = $2, "offset" = null', at, min(reading.fire_until, at)
        )
        return await self.read()

    async def fire(self) -> Reading:
        """Let everything fire that is due by the held instant."""
        await self._pool.execute("update journal.clock set fire_until = held_at where held_at is not null")
        return await self.read()

    async def run_on(self) -> Reading:
        """Let a held clock run on in real time from where it stands."""
        reading = await self.read()
        if reading.held_at is not None:
            await self._pool.execute(
                'update journal.clock set held_at = null, fire_until = null, "offset" = $1',
                reading.held_at - datetime.now(UTC),
            )
        return await self.read()
