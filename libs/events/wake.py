"""A hint that the journal grew: at once inside the process, by NOTIFY between processes, and never to be relied upon.

seen = wake.count
entries = await journal.read(position, limit)
if not entries:
    await wake.wait(POLL_S, since=seen)     # returns at once when the journal grew after `seen` was taken
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import asyncpg

from libs.events.line import TRANSIENT

CHANNEL = "journal"
NOTIFY_INTERVAL_S = 0.02
"""Commits within this time share one NOTIFY: one in every commit would cost most of the throughput."""
RECONNECT_INTERVAL_S = 1.0
WAKE_TIMEOUT_S = 5.0
_log = logging.getLogger(__name__)

_NOTIFY = "select pg_notify($1, '')"


class Wake:
    """Counts the hints of one journal. `run` keeps up the connection to the other processes of the service."""

    def __init__(self, dsn: str, settings: Mapping[str, str]) -> None:
        # The hint may be lost, so its commit need not wait for the disk.
        self._dsn, self._settings = dsn, {**settings, "synchronous_commit": "off"}
        self._next = asyncio.Event()
        self._grew = asyncio.Event()
        self.count = 0

    def grew(self) -> None:
        """This process appended: wake those who wait here, and tell the other processes soon."""
        self._grew.set()
        self._hint()

    async def wait(self, timeout_s: float, since: int | None = None) -> bool:
        """Wait for the next hint (or the first after `since`), at most `timeout_s`; True when there was one."""
        if since is not None and since != self.count:
            return True
        try:
            await asyncio.wait_for(self._next.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Exchange hints with the other processes for ever; a lost connection is made anew."""
        while True:
            try:
                await self._exchange()
            except (asyncpg.PostgresError, *TRANSIENT) as error:
                _log.warning("hints between processes are interrupted, polling goes on: %r", error)
            await asyncio.sleep(RECONNECT_INTERVAL_S)

    async def _exchange(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, timeout=WAKE_TIMEOUT_S, command_timeout=WAKE_TIMEOUT_S, server_settings=dict(self._settings)
        )
        own = connection.get_server_pid()

        def hear(_: object, sender: int, *__: object) -> None:
            if sender != own:
                self._hint()

        try:
            connection.add_termination_listener(lambda _: self._grew.set())
            await connection.add_listener(CHANNEL, hear)
            self._hint()  # something may have come while nobody listened
            while True:
                await self._grew.wait()
                self._grew.clear()
                await connection.fetchval(_NOTIFY, CHANNEL)  # raises when the connection was lost
                await asyncio.sleep(NOTIFY_INTERVAL_S)
        finally:
            connection.terminate()

    def _hint(self) -> None:
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()
