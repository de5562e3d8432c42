"""The native platform: real parts that survive being killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from infra.local.databases import Database

pytestmark = pytest.mark.platform


async def test_a_fresh_database_is_migrated_and_open_to_its_own_roles_only(
    database: Database, databases: Callable[[str], Awaitable[Database]]
) -> None:
    other = await databases("other")
    for address in (database.owner_url, database.url, database.reader_url):
        connection = await asyncpg.connect(address)
        assert await connection.fetchval("select current_database()") == database.name
        await connection.close()
    intruding = other.url.replace(f"/{other.name}", f"/{database.name}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(intruding)
