"""Publisher and listener while Kafka is killed and PostgreSQL ends their connections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from infra.local import Platform
from infra.local.databases import Database
from libs.events.errors import Unavailable
from tests.integration.speakers import Said, Speaker, World, running, seeded, told

pytestmark = [pytest.mark.platform, pytest.mark.long]
FAULTS = 8
FACTS_MIN = 1_000
END_BACKENDS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = any($1) and pid <> pg_backend_pid() and random() < 0.7
"""


@pytest.fixture
async def world(
    platform: Platform,
    databases: Callable[[str], Awaitable[Database]],
    topics: Callable[..., Awaitable[list[str]]],
) -> AsyncIterator[World]:
    made = World(platform.kafka.bootstrap, databases, topics)
    yield made
    await made.close()


# A broker that dies while aiokafka bootstraps leaves a connection of the client to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*nclosed:ResourceWarning")
async def test_nothing_is_lost_or_doubled_while_kafka_dies_and_connections_end(
    world: World, platform: Platform
) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    random = seeded()
    subjects = [uuid4() for _ in range(20)]
    over = asyncio.Event()

    async def talk(speaker: Speaker) -> None:
        number = 0
        while not over.is_set() or number < FACTS_MIN:
            number += 1
            try:
                await speaker.say(random.choice(subjects), Said(number))
            except Unavailable:
                continue
        print(f"{number} appends")

    async def harm() -> None:
        admin = await asyncpg.connect(platform.postgres.admin_url)
        for number in range(FAULTS):
            await asyncio.sleep(random.uniform(0.5, 2.0))  # a random point, not a synchronisation
            if number % 4 == 3:
                print("kill -9 of Kafka")
                await asyncio.to_thread(platform.kafka.kill)
                await asyncio.to_thread(platform.kafka.start)
                await asyncio.to_thread(platform.kafka.wait_ready)
            else:
                names = [speaker.database.name, hearer.database.name]
                print(f"ended {len(await admin.fetch(END_BACKENDS, names))} connections")
        await admin.close()
        over.set()

    async with running(speaker.publisher), running(hearer.listener):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(talk(speaker))
            tasks.create_task(harm())
        await hearer.caught_up(speaker, within_s=90)
    print(f"publisher began {speaker.publisher.state().restarts + 1} times")
    heard, decided = await hearer.heard(), await speaker.decided()
    assert len(decided) >= FACTS_MIN
    assert len(heard) == len({entry.id for entry in heard}) == len(decided)
    for subject in subjects:
        assert told([e for e in heard if e.subject == subject]) == told([e for e in decided if e.subject == subject])
    gc.collect()  # what was left behind is reported here, not in the midst of another test
