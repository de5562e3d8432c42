"""Parts die and views are rebuilt under load; afterwards nothing is lost, nothing doubled, nothing out of order."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local import Platform
from infra.local.platform import Wishes
from tests.faults.checker import Verdict
from tests.faults.kills import KINDS, harm
from tests.faults.load import PER_SECOND, Clients, work
from tests.faults.standing import Standing, new_seed

PROJECT = Path(__file__).parents[2]
pytestmark = [pytest.mark.platform, pytest.mark.long]
FAULTS = 10
REBUILDS = 5
PER_SECOND_WHILE_REBUILT = 4.0
"""Every view is folded from the whole journal, so this sets how long five rebuilds take."""
ACKS_MIN = 1_000


@pytest.fixture(scope="module")
def standing(launch: Callable[[Wishes], Platform], tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """One platform for the module: what a test leaves behind is checked again after the next one."""
    found = Standing(launch(Wishes()), tmp_path_factory.mktemp("faults"))
    asyncio.run(found.publish())
    return found


async def test_what_was_acknowledged_outlives_ten_faults(standing: Standing) -> None:
    """kill -9 of services, of Kafka, of PostgreSQL, and ended connections, at random, under load."""
    seed = new_seed()
    print(f"\nseed {seed}")
    await standing.run_on()
    async with standing.clients() as clients, loaded(clients, f"faults-{seed}"):
        harms = await harm(standing.platform, random.Random(seed), FAULTS)
        await clients.wait_acks(ACKS_MIN)
    _report(seed, clients, f"{len(harms)} faults")
    assert {kind.kind for kind in harms} == set(KINDS)
    assert clients.acks >= ACKS_MIN
    _expect_flawless(await standing.settle(), seed)
    assert await _rebuild(standing.platform, "--check")


async def test_views_rebuilt_under_load_are_the_live_ones_and_nothing_is_done_again(standing: Standing) -> None:
    seed = new_seed()
    print(f"\nseed {seed}")
    await standing.run_on()
    async with standing.clients() as clients, loaded(clients, f"rebuilds-{seed}", PER_SECOND_WHILE_REBUILT):
        for number in range(REBUILDS):
            before = clients.acks
            rebuilt = await _rebuild(standing.platform)
            await clients.wait_acks(before + 1)
            rows = sum(view["rows"] for view in rebuilt)
            print(f"  rebuild {number + 1}: {len(rebuilt)} views, {rows} rows, {clients.acks - before} acks meanwhile")
    _report(seed, clients, f"{REBUILDS} rebuilds")
    _expect_flawless(await standing.settle(), seed)
    assert await _rebuild(standing.platform, "--check")


@asynccontextmanager
async def loaded(clients: Clients, seed: str, per_second: float = PER_SECOND) -> AsyncIterator[None]:
    """Load while the block runs; at its end everything asked has its answer."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(clients, seed, enough, per_second=per_second))
        try:
            yield
        finally:
            enough.set()


async def _rebuild(platform: Platform, *how: str) -> list[dict[str, Any]]:
    """Every view folded anew, and put in the live one's place unless `--check`; each equals what it replaces."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "rebuild", "--json", *how),
        cwd=PROJECT,
        env={**os.environ, "BATON_STATE": str(platform.state)},
        stdout=PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    rebuilt: list[dict[str, Any]] = json.loads(said)
    assert rebuilt
    assert not [view for view in rebuilt if view["differing"]]
    return rebuilt


def _expect_flawless(verdict: Verdict, seed: int) -> None:
    print(f"  {verdict}")
    assert not verdict.violations, f"seed {seed}: {verdict}"


def _report(seed: int, clients: Clients, what: str) -> None:
    stalls = clients.stalls_s
    longest, median = max(stalls), statistics.median(stalls)
    print(f"  seed {seed}: {clients.acks} acks, {what}; {dict(clients.counts)}")
    print(f"  an answer took {median * 1000:.0f} ms in the median, {longest:.1f} s at the longest")
    assert not clients.faults, clients.faults
