"""The numbers for Prometheus are right: each is brought about, and read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from infra.local.databases import Database
from libs.events.entries import new_id
from tests.integration.running import Program
from tests.integration.speakers import until
from tests.integration.test_starting import free_port, opened

pytestmark = pytest.mark.platform
HELD = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
DUE_IN_S = 3_600.0
GARBAGE = 2
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def test_what_was_appended_and_asked_is_counted_and_nothing_is_behind_at_rest(program: Program) -> None:
    with program.running():
        await program.ready()
        async with program.client() as client:
            for _ in range(3):
                await give(client)
            await client.get("/v1/errands")
            await client.get("/v1/errands/none")

            async def at_rest() -> bool:
                return all([await lag(client, part) == 0 for part in ("publish", "fold", "react", "listen")])

            await until(at_rest)
            numbers = await read(client)
    service = ("service", program.owner)
    assert numbers["baton_append_group_size_sum", frozenset({service})] == 3
    assert numbers["baton_append_group_size_count", frozenset({service})] == 3  # one after the other
    assert numbers["baton_ready", frozenset({service})] == 1
    asked = {
        (dict(labels)["method"], dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in numbers.items()
        if name == "baton_http_request_seconds_count"
    }
    assert asked["POST", "/v1/errands/{errand}", "200"] == 3
    assert asked["GET", "/v1/errands", "200"] == 1
    assert asked["GET", "/v1/errands/{errand}", "422"] == 1


async def test_what_is_not_published_is_counted_and_the_service_is_not_ready(program: Program) -> None:
    with program.running(BATON_KAFKA=f"127.0.0.1:{free_port()}"):
        async with program.client() as client:
            await until(lambda: opened(client))
            for _ in range(3):
                await give(client)
            service = ("service", program.owner)

            async def began_anew() -> bool:
                told = await read(client)
                roles = ("publisher", "listener")
                return all(
                    ("baton_role_restarts_total", frozenset({service, ("role", role)})) in told for role in roles
                )

            await until(began_anew)
            numbers = await read(client)
    assert numbers["baton_lag", frozenset({service, ("part", "publish")})] == 3
    assert ("baton_lag", frozenset({service, ("part", "listen")})) not in numbers, "nobody knows how much there is"
    assert numbers["baton_ready", frozenset({service})] == 0
    assert numbers["baton_troubles", frozenset({service, ("kind", "down")})] >= 1


@pytest.mark.parametrize(("part", "checkpoint"), [("fold", "views.errands_v1"), ("react", "reactions")])
async def test_what_is_not_folded_or_reacted_to_is_counted(
    program: Program, database: Database, part: str, checkpoint: str
) -> None:
    with program.running():
        await program.ready()
        async with program.client() as client:
            async with held(database, checkpoint):
                for _ in range(2):
                    await give(client)
                assert await lag(client, part) == 2

            async def caught_up() -> bool:
                return await lag(client, part) == 0

            await until(caught_up)


async def test_what_is_parked_is_counted(
    program: Program, kafka: str, topics: Callable[..., Awaitable[list[str]]]
) -> None:
    bells = f"bells{os.getpid()}"
    await topics(bells)
    with program.running(ERRANDS_BELLS=bells):
        await program.ready()
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        for _ in range(GARBAGE):
            await producer.send_and_wait(f"baton.{bells}", b"{", key=b"nobody")
        await producer.stop()
        async with program.client() as client:

            async def parked() -> bool:
                return await lag(client, "parked") == GARBAGE

            await until(parked)


async def test_how_late_a_timer_is_and_was_is_told_in_seconds(program: Program) -> None:
    with program.running(BATON_CLOCK=f"held:{HELD.isoformat()}"):
        await program.ready()
        async with program.client() as client, program.client("ops") as ops:
            await give(client, due_in_s=DUE_IN_S)
            later = HELD + timedelta(seconds=3 * DUE_IN_S)
            assert (await ops.post("/v1/clock", json={"hold": later.isoformat()})).status_code == 200

            async def overdue() -> bool:
                return await lag(client, "timer_overdue") == 2 * DUE_IN_S

            await until(overdue)
            assert await lag(client, "timer_lateness") == 0
            assert (await ops.post("/v1/clock", json={"fire": True})).status_code == 200

            async def fired_and_folded() -> bool:
                late, overdue = [await lag(client, part) for part in ("timer_lateness", "timer_overdue")]
                return (late, overdue) == (2 * DUE_IN_S, 0)

            await until(fired_and_folded)


async def give(client: httpx.AsyncClient, **more: float) -> None:
    answer = await client.post(f"/v1/errands/{new_id()}", json={"to": "ann", **more})
    assert answer.status_code == 200, answer.text


async def read(client: httpx.AsyncClient) -> Numbers:
    text = (await client.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def lag(client: httpx.AsyncClient, part: str) -> float | None:
    """None while it is not told."""
    told = (await read(client)).items()
    return next((value for (name, labels), value in told if name == "baton_lag" and ("part", part) in labels), None)


@asynccontextmanager
async def held(database: Database, checkpoint: str) -> AsyncIterator[None]:
    """This checkpoint cannot be moved, as while a rebuild compares."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        async with connection.transaction():
            assert await connection.fetchval("select true from views.checkpoint where name = $1 for update", checkpoint)
            yield
    finally:
        await connection.close()
