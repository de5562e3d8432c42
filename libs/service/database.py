"""Pools of connections to the service's database: bounded in number, in waiting, and in trust after a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from libs.events.line import keep_session

POOL_CONNECTIONS_MAX = 10
READERS_MAX = 5
T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 20.0
IDLE_CONNECTION_S = 120.0
if TYPE_CHECKING:
    _Plain = asyncpg.Connection[asyncpg.Record]
else:
    _Plain = asyncpg.Connection  # generic for the type checker only
_SETTINGS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_user_timeout": "10000",
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


class Connection(_Plain):
    """A connection that ends itself when a statement was cancelled or timed out: its next word is not to be trusted."""

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

    async def _trusted(self, statement: Awaitable[T]) -> T:
        try:
            return await statement
        except (asyncio.CancelledError, TimeoutError):
            self.terminate()
            raise


async def open_pool(dsn: str, name: str, connections_max: int = POOL_CONNECTIONS_MAX) -> asyncpg.Pool:
    """A pool that says `name` to PostgreSQL. Raises OSError or asyncpg's errors when the database does not answer."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=connections_max,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        max_inactive_connection_lifetime=IDLE_CONNECTION_S,
        connection_class=Connection,
        reset=keep_session,
        server_settings={**_SETTINGS, "application_name": name},
    )
