"""A pool keeps all its connections through whatever ends some of them, and waits for one only so long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from infra.local.databases import Database
from libs.events import pools
from libs.events.pools import Pool, open_pool
from libs.service.database import open_pool as open_service_pool
from tests.integration.errands_service import DEADLINE_S
from tests.integration.relay import Relay, relayed

pytestmark = pytest.mark.platform


@asynccontextmanager
async def behind_relay(url: str) -> AsyncIterator[tuple[Relay, str]]:
    """The relay, and the address by which the database is reached through it."""
    parts = urlsplit(url)
    async with relayed(str(parts.hostname), int(parts.port or 0)) as relay:
        yield relay, url.replace(f":{parts.port}/", f":{relay.port}/")


async def small(url: str) -> Pool:
    return await open_pool(url, connections_max=1, command_timeout_s=DEADLINE_S, settings={})


@pytest.mark.parametrize("how", ["fetch", "execute", "transaction"])
async def test_a_connection_that_is_just_ending_does_not_stay_lost_to_its_pool(database: Database, how: str) -> None:
    """The server has said that it ends, the end itself has not come: asyncpg calls that an operation in progress."""
    async with behind_relay(database.url) as (relay, url):
        pool = await small(url)
        try:
            pid = await pool.fetchval("select pg_backend_pid()")
            await _end(database, pid)
            async with asyncio.timeout(DEADLINE_S):
                await relay.hung_up.wait()
            with pytest.raises((asyncpg.InternalClientError, asyncpg.InterfaceError)):
                await _use(pool, how)
            async with asyncio.timeout(DEADLINE_S):
                assert await pool.fetchval("select pg_backend_pid()") != pid
        finally:
            pool.terminate()


async def test_a_pool_without_a_free_connection_says_so_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool.acquire, "__kwdefaults__", {"timeout": 0.05})
    pool = await small(database.url)
    try:
        async with pool.acquire():
            for asked in (pool.fetchval("select 1"), pool.execute("select 1")):
                with pytest.raises(TimeoutError):
                    await asked
        assert await pool.fetchval("select 1") == 1
    finally:
        pool.terminate()


async def test_every_pool_of_a_service_waits_only_so_long(database: Database) -> None:
    assert Pool.acquire.__kwdefaults__ == {"timeout": pools.ACQUIRE_WITHIN_S}
    pool = await open_service_pool(database.url, "test")
    try:
        assert isinstance(pool, Pool)
    finally:
        pool.terminate()


async def _use(pool: Pool, how: str) -> None:
    async with pool.acquire() as connection:
        match how:
            case "fetch":
                await connection.fetch("select 1")
            case "execute":
                await connection.execute("select 1")
            case "transaction":
                async with connection.transaction():
                    pytest.fail("begun on a connection that ended")


async def _end(database: Database, pid: int) -> None:
    other = await asyncpg.connect(database.url)
    try:
        assert await other.fetchval("select pg_terminate_backend($1)", pid)
    finally:
        await other.close()
