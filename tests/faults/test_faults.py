"""Parts die and views are rebuilt under load; afterwards nothing is lost, nothing doubled, nothing out of order.

`make faults N=300 SEED=…` runs the first of these with as many faults, chosen by that seed.
"""

from __future__ import annotations

import os
import random
import statistics

import pytest

from tests.faults.kills import ENOUGH, KILLS, KILLS_MIN, LACKING, POSSIBLE, Site, harm
from tests.faults.load import STALL_SECONDS_MIN, Clients, loaded
from tests.faults.standing import Standing, new_seed

pytestmark = [pytest.mark.platform, pytest.mark.long]
FAULTS = int(os.environ.get("BATON_FAULTS", "25"))
REBUILDS = 5
PER_SECOND_WHILE_REBUILT = 4.0
"""Every view is folded from the whole journal, so this sets how long five rebuilds take."""
ACKS_MIN = 1_000


async def test_what_was_acknowledged_outlives_faults_of_every_kind(standing: Standing, site: Site) -> None:
    """At random, under load."""
    seed = new_seed()
    print(f"\nseed {seed}")
    for kind, reason in LACKING.items():
        print(f"  no {kind}: {reason}")
    assert not (LACKING and os.environ.get("CI") == "true"), f"in CI every kind is to be had: {LACKING}"
    await standing.run_on()
    async with standing.clients() as clients, loaded(clients, f"faults-{seed}"):
        harms = await harm(site, random.Random(seed), FAULTS)
        acks = clients.acks
    kills = sum(done.kind in KILLS for done in harms)
    _report(seed, clients, f"{len(harms)} faults, {kills} of them kills")
    if FAULTS >= ENOUGH:
        assert {done.kind for done in harms} == set(POSSIBLE)
        assert kills >= KILLS_MIN
        assert acks >= ACKS_MIN, "before the last fault was over"
    await standing.expect_flawless(seed)


async def test_views_rebuilt_under_load_are_the_live_ones_and_nothing_is_done_again(standing: Standing) -> None:
    seed = new_seed()
    print(f"\nseed {seed}")
    await standing.run_on()
    async with standing.clients() as clients, loaded(clients, f"rebuilds-{seed}", PER_SECOND_WHILE_REBUILT):
        for number in range(REBUILDS):
            before = clients.acks
            rebuilt = await standing.rebuild()
            assert clients.acks > before, "nobody was answered while it was rebuilt"
            rows = sum(view["rows"] for view in rebuilt)
            print(f"  rebuild {number + 1}: {len(rebuilt)} views, {rows} rows, {clients.acks - before} acks meanwhile")
    _report(seed, clients, f"{REBUILDS} rebuilds")
    await standing.expect_flawless(seed)


def _report(seed: int, clients: Clients, what: str) -> None:
    answers, stalls = clients.answers_s, clients.stalls_s or [0.0]
    print(f"  seed {seed}: {clients.acks} acks, {what}; {dict(clients.counts)}")
    print(f"  an answer took {statistics.median(answers) * 1000:.0f} ms in the median, {max(answers):.1f} s at most")
    print(
        f"  {len(clients.stalls_s)} times nothing was acknowledged for {STALL_SECONDS_MIN:.0f} s or more:"
        f" {max(stalls):.1f} s at the longest, {statistics.median(stalls):.1f} s in the median"
    )
    assert not clients.faults, clients.faults
