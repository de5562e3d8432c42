"""Pools of connections: bounded in number and in waiting, and no connection is used or kept that has lost its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from libs.events.line import CONNECT_TIMEOUT_S, keep_session

ACQUIRE_WITHIN_S = 10.0
"""Waiting for a connection to be free, and made if need be; after that TimeoutError."""
IDLE_CONNECTION_S = 120.0
QUERIES_PER_CONNECTION_MAX = 50_000
T = TypeVar("T")
if TYPE_CHECKING:
    _Plain = asyncpg.Connection[asyncpg.Record]
    _PlainPool = asyncpg.Pool[asyncpg.Record]
else:
    _Plain, _PlainPool = asyncpg.Connection, asyncpg.Pool  # generic for the type checker only


class Connection(_Plain):
    """A connection that ends itself when a statement was cancelled, timed out or hit a connection that was just ending.

    After the first two its next word is not to be trusted. After the third asyncpg (up to 0.31) closes the connection
    but never tells its pool, which would have one connection less for ever: ten such moments, and nobody gets one.
    """

    async def execute(self, *arguments: Any, **options: Any) -> str:
        return await self._trusted(super().execute(*arguments, **options))

    async def executemany(self, *arguments: Any, **options: Any) -> None:
        return await self._trusted(super().executemany(*arguments, **options))

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        return await self._trusted(super().fetch(*arguments, **options))

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        return await self._trusted(super().fetchrow(*arguments, **options))

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        return await self._trusted(super().fetchval(*arguments, **options))

    async def copy_records_to_table(self, *arguments: Any, **options: Any) -> Any:
        return await self._trusted(super().copy_records_to_table(*arguments, **options))

    async def _trusted(self, statement: Awaitable[T]) -> T:
        try:
            return await statement
        except (asyncio.CancelledError, TimeoutError, asyncpg.InternalClientError):
            self.terminate()
            raise


class Pool(_PlainPool):
    """A pool whose `acquire` waits for ACQUIRE_WITHIN_S at most."""

    __slots__ = ()

    def acquire(self, *, timeout: float | None = ACQUIRE_WITHIN_S) -> Any:
        return super().acquire(timeout=timeout)


async def open_pool(dsn: str, *, connections_max: int, command_timeout_s: float, settings: Mapping[str, str]) -> Pool:
    """A pool that has one connection already. Raises OSError or asyncpg's errors when the database does not answer."""
    pool = Pool(
        dsn,
        min_size=1,
        max_size=connections_max,
        max_queries=QUERIES_PER_CONNECTION_MAX,
        max_inactive_connection_lifetime=IDLE_CONNECTION_S,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        loop=None,
        connection_class=Connection,
        record_class=asyncpg.Record,
        reset=keep_session,
        server_settings=dict(settings),
    )
    await pool
    return pool
