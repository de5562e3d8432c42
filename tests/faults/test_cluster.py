"""The three brokers under a whole platform lose their controller, again and again; all services go on."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.kafka import create_topics
from infra.local.platform import Wishes
from infra.local.ports import random_free
from infra.local.services import ORDER
from tests.faults.abroad import Abroad
from tests.faults.cluster import NODES, Cluster
from tests.faults.kills import Harm, kill
from tests.faults.load import loaded
from tests.faults.standing import Standing, new_seed
from tests.launching import launching, open_folder

pytestmark = [pytest.mark.platform, pytest.mark.long]
FAULTS = max(4, int(os.environ.get("BATON_FAULTS", "25")) // 25)
ACKS_MIN = 500


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder, block = open_folder(), random_free()
    found = Cluster(folder, range(block.base, block.base + 2 * NODES))
    with found.running():
        asyncio.run(create_topics(found.bootstrap, ORDER, NODES))
        yield found
    shutil.rmtree(folder)


@pytest.fixture
def standing(cluster: Cluster, tmp_path: Path) -> Iterator[Standing]:
    """On the cluster: the platform's own broker, which no service was told of, gives way to one of the three."""
    with Abroad() as abroad, launching() as launch:
        platform = launch(Wishes(environment={**abroad.environment, "BATON_KAFKA": cluster.bootstrap}))
        platform.kafka.stop()
        platform.kafka = cluster.nodes[0]
        yield Standing(platform, tmp_path, abroad)


async def test_nothing_is_lost_or_doubled_while_the_cluster_loses_its_controller(
    standing: Standing, cluster: Cluster
) -> None:
    seed = new_seed()
    print(f"\nseed {seed}")
    chance = random.Random(seed)
    await standing.publish()
    async with standing.clients() as clients, loaded(clients, f"cluster-{seed}"):
        for _ in range(FAULTS):
            await asyncio.sleep(chance.uniform(1.0, 3.0))  # a random point, not a synchronisation
            (epoch, led), began = cluster.controller(), time.monotonic()
            print(f"  {Harm('kill controller', *await kill(led), time.monotonic() - began)}")
            assert cluster.controller()[0] > epoch, "nobody was chosen anew"
        await clients.wait_acks(ACKS_MIN)
    seen = clients.seen_s
    print(f"  {clients.acks} acks, {dict(clients.counts)}; told to one service and seen at another after", end=" ")
    print(f"{max(seen):.1f} s at the longest, {statistics.median(seen):.1f} s in the median of {len(seen)}")
    assert clients.faults == []
    assert not clients.counts["not seen in time"]
    await standing.expect_flawless(seed)
