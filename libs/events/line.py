"""One connection to the journal's database that is made anew when it breaks; a call is sent again until it is answered.

Only for calls that may be sent twice: appends find themselves by their ids, reads read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from libs.events.errors import Diverged, Unavailable

CALL_WITHIN_S = 15.0
"""After this no further try is begun."""
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 1.0
SETTINGS = {
    "jit": "off",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "5s",
    "statement_timeout": "8s",  # the server gives up before the client does
    "idle_in_transaction_session_timeout": "2s",
    "tcp_user_timeout": "10s",
}
TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection closed under the call
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shut down, starting, terminated, cancelled
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
)
"""What may be otherwise at the next try."""
DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Whose fault it is not, who asked; asyncpg.DataError among them: a value that no column can hold."""
DIVERGED = "BT004"  # SQLSTATE of a journal that is marked as diverged from its topic
T = TypeVar("T")
_log = logging.getLogger(__name__)


async def keep_session(connection: asyncpg.Connection) -> None:
    """A pool's `reset`: nothing to do, and a round trip saved. What is set here ends with its transaction, and locks of
    a session are held on connections of their own.
    """


class Line:
    """One call at a time. `name` is shown in pg_stat_activity."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn, self._name = dsn, name
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def call(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows; raises Unavailable when the database stays away, Diverged when the journal takes nothing, and other
        database errors as they are.
        """
        async with self._turn:
            return await until_answered(self._name, lambda: self._once(query, arguments))

    def drop(self) -> None:
        """Throw the connection away without a word: after a cancel or a timeout close() may hang."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _once(self, query: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        try:
            if self._connection is None:
                self._connection = await connect(self._dsn, self._name)
            return await self._connection.fetch(query, *arguments)
        except (asyncio.CancelledError, *TRANSIENT):
            self.drop()
            raise
        except asyncpg.PostgresError as error:
            if error.sqlstate == DIVERGED:
                raise Diverged(str(error)) from error
            raise


async def until_answered(name: str, once: Callable[[], Awaitable[T]]) -> T:
    """What `once` returns, tried again while the database is away; bounded, then Unavailable."""
    give_up_at = time.monotonic() + CALL_WITHIN_S
    backoff_s = BACKOFF_S_MIN
    while True:
        try:
            return await once()
        except TRANSIENT as error:
            if time.monotonic() + backoff_s > give_up_at:
                raise Unavailable(f"{name}: the database does not answer ({error!r})") from error
            _log.warning("%s: trying again in %.2f s after %r", name, backoff_s, error)
        await asyncio.sleep(backoff_s)
        backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)


async def connect(dsn: str, name: str) -> asyncpg.Connection:
    """A connection with the journal's limits."""
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={**SETTINGS, "application_name": name},
    )
