"""The pools of a service: how many connections it may have, and how long a statement may take."""

from __future__ import annotations

from libs.events import pools
from libs.events.pools import Pool

POOL_CONNECTIONS_MAX = 10
READERS_MAX = 5
COMMAND_TIMEOUT_S = 20.0
_SETTINGS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_user_timeout": "10000",
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


async def open_pool(dsn: str, name: str, connections_max: int = POOL_CONNECTIONS_MAX) -> Pool:
    """A pool that says `name` to PostgreSQL. Raises OSError or asyncpg's errors when the database does not answer."""
    return await pools.open_pool(
        dsn,
        connections_max=connections_max,
        command_timeout_s=COMMAND_TIMEOUT_S,
        settings={**_SETTINGS, "application_name": name},
    )
