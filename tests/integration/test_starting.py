"""A service whose database was restored from a backup: what it does before its journal was compared with its topic."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from infra.local.databases import Database
from libs.events.entries import new_id
from tests.integration.relay import Relay, relayed
from tests.integration.running import WITHIN_S, Program
from tests.integration.speakers import until

pytestmark = pytest.mark.platform
DUE_IN_S = 2.0
TRIES = 3
"""Of a publisher that does not find Kafka; they take half a second."""


@pytest.fixture
async def restored(program: Program, databases: Callable[[str], Awaitable[Database]]) -> Database:
    """Knows nothing of what the program has published."""
    with program.running():
        await program.ready()
        async with program.client() as client, program.client("ops") as ops:
            await client.post(f"/v1/errands/{new_id()}", json={"to": "ann"})

            async def published() -> bool:
                return bool((await ops.get("/v1/positions")).json()["published"])

            await until(published)
    database = await databases("restored")
    changed = {"BATON_DATABASE_URL": database.url, "BATON_READER_URL": database.reader_url}
    program.environment |= changed
    return database


async def test_what_is_due_does_not_fire_before_the_journal_was_compared(program: Program, restored: Database) -> None:
    with program.running(BATON_KAFKA=f"127.0.0.1:{free_port()}") as process:  # so that it is not found out yet
        async with program.client() as client:
            await until(lambda: opened(client))
            given = await client.post(f"/v1/errands/{new_id()}", json={"to": "bob", "due_in_s": DUE_IN_S})
        process.kill()
        process.wait()
    assert given.status_code == 200
    assert await noted(restored) == 1
    due = datetime.now(UTC) + timedelta(seconds=DUE_IN_S)

    async def is_due() -> bool:
        return datetime.now(UTC) > due

    async def looks_for_kafka() -> bool:
        return tries(program) >= before + TRIES

    await until(is_due)
    before, port = tries(program), free_port()
    with program.running(BATON_KAFKA=f"127.0.0.1:{port}"):
        await until(looks_for_kafka)  # all else would have begun by then
        async with behind(program, port), program.client() as client:
            await until(lambda: marked(restored))
            await until(lambda: opened(client))
            refused = await client.post(f"/v1/errands/{new_id()}", json={"to": "eve"})
            assert refused.json()["type"] == "urn:baton:problem:diverged"
    assert await noted(restored) == 1


async def test_who_starts_while_kafka_is_away_works_and_is_found_out_as_soon_as_kafka_answers(
    program: Program, restored: Database
) -> None:
    port = free_port()
    with program.running(BATON_KAFKA=f"127.0.0.1:{port}"):
        async with program.client() as client:
            await until(lambda: opened(client))
            assert "works before its journal could be compared" in program.log.read_text()
            assert (await client.post(f"/v1/errands/{new_id()}", json={"to": "bob"})).status_code == 200
            assert await marked(restored) is None
            async with behind(program, port):
                why = await until(lambda: marked(restored), WITHIN_S)
            refused = await client.post(f"/v1/errands/{new_id()}", json={"to": "eve"})
    assert "follow docs/operating.md" in why
    assert refused.json()["type"] == "urn:baton:problem:diverged"


def behind(program: Program, port: int) -> AbstractAsyncContextManager[Relay]:
    """Kafka, at this port."""
    host, _, kafka = program.environment["BATON_KAFKA"].partition(":")
    return relayed(host, int(kafka), port)


async def opened(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def marked(database: Database) -> str | None:
    found: str | None = await asked(database, "select diverged from journal.mark")
    return found


async def noted(database: Database) -> int:
    found: int = await asked(database, "select count(*) from journal.entries")
    return found


def tries(program: Program) -> int:
    """How often its publisher did not find Kafka."""
    return program.log.read_text().count(f"publisher of {program.owner} starts anew")


async def asked(database: Database, question: str) -> Any:
    connection = await asyncpg.connect(database.owner_url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
