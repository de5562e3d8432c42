"""A cluster of three brokers loses its controller, again and again; publisher and listener go on."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import pytest

from infra.local.databases import Database
from infra.local.kafka import create_topics
from infra.local.ports import random_free
from tests.faults.cluster import NODES, Cluster
from tests.faults.standing import new_seed
from tests.integration.speakers import Said, Speaker, World, running, told
from tests.launching import open_folder

pytestmark = [pytest.mark.platform, pytest.mark.long]
FAULTS = max(4, int(os.environ.get("BATON_FAULTS", "25")) // 25)
FACTS_MIN = 500
STALL_SECONDS_MIN = 0.5
CATCH_UP_SECONDS_MAX = 90


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder, block = open_folder(), random_free()
    found = Cluster(folder, range(block.base, block.base + 2 * NODES))
    with found.running():
        yield found
    shutil.rmtree(folder)


@pytest.fixture
async def world(cluster: Cluster, databases: Callable[[str], Awaitable[Database]]) -> AsyncIterator[World]:
    async def topics(*owners: str) -> list[str]:
        return await create_topics(cluster.bootstrap, owners, NODES)

    made = World(cluster.bootstrap, databases, topics)
    yield made
    await made.close()


async def test_nothing_is_lost_or_doubled_while_the_cluster_loses_its_controller(
    world: World, cluster: Cluster
) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    seed, over = new_seed(), asyncio.Event()
    print(f"\nseed {seed}")
    chance = random.Random(seed)
    subjects = [uuid4() for _ in range(20)]

    async def talk(speaker: Speaker) -> None:
        number = 0
        while not over.is_set() or number < FACTS_MIN:
            number += 1
            await speaker.say(chance.choice(subjects), Said(number))

    async def harm() -> None:
        for _ in range(FAULTS):
            await asyncio.sleep(chance.uniform(1.0, 3.0))  # a random point, not a synchronisation
            node = cluster.controller()
            began = time.monotonic()
            pid = await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(node.wait_ready)
            print(f"  kill {node.name}, which led (process {pid}), ready again after {time.monotonic() - began:.1f} s")
        over.set()

    async def stalls() -> list[float]:
        """How long nothing was published, where that was long."""
        found, at, moved_at = [], 0, time.monotonic()
        while not over.is_set():
            await asyncio.sleep(0.02)
            published = speaker.publisher.state().published
            if published > at:
                if time.monotonic() - moved_at >= STALL_SECONDS_MIN:
                    found.append(time.monotonic() - moved_at)
                at, moved_at = published, time.monotonic()
        return found

    async with running(speaker.publisher), running(hearer.listener):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(talk(speaker))
            tasks.create_task(harm())
            stalled = tasks.create_task(stalls())
        await hearer.caught_up(speaker, within_s=CATCH_UP_SECONDS_MAX)
    heard, decided = await hearer.heard(), await speaker.decided()
    found = stalled.result() or [0.0]
    print(f"  {len(decided)} facts; nothing published for {max(found):.1f} s at the longest,", end=" ")
    print(f"{statistics.median(found):.1f} s in the median of {len(found)}")
    assert len(decided) >= FACTS_MIN
    assert len(heard) == len({entry.id for entry in heard}) == len(decided)
    records = await speaker.records()
    assert len(records) == len({dict(record.headers)["ce_id"] for record in records}) == len(decided)
    for subject in subjects:
        assert told([e for e in heard if e.subject == subject]) == told([e for e in decided if e.subject == subject])
