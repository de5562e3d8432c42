"""The platform that is loaded and harmed: published to, brought to a standstill, and looked at as a whole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from demo import rulebook
from infra.local import Platform
from infra.local.doors import Doors, open_doors
from infra.local.rest import OPERATOR as OPS
from infra.local.rest import positions, run_on, wait_rest
from tests.faults.abroad import Abroad
from tests.faults.checker import SHOWN_VIEWS, Verdict, check
from tests.faults.evidence import newest_entry, read, read_log
from tests.faults.kills import all_ready
from tests.faults.load import OPERATOR, Ask, Clients

PROJECT = Path(__file__).parents[2]
REST_SECONDS_MAX = 600.0
"""Enough for what 300 faults leave behind."""
RETRIES_AT_ONCE = 16
CHOSEN = (("prod-1", "email"), ("purch-1", "webhook"))
"""Who is told outside of the platform as well, and how."""
LIMIT_MIN = 1
"""Limits and rungs are as short as they can be, so that timers fire while parts die."""


@dataclass
class Standing:
    """`logs`: what clients were told since the platform was started. `recovered`: services whose journals were
    completed from the topics.
    """

    platform: Platform
    folder: Path
    abroad: Abroad
    logs: list[Path] = field(default_factory=list)
    recovered: set[str] = field(default_factory=set)

    def clients(self) -> Clients:
        self.logs.append(self.folder / f"told-{len(self.logs)}.jsonl")
        return Clients(self.platform, self.logs[-1])

    async def publish(self) -> None:
        """Organisation, templates, limits, texts: through the doors, written down like all else."""
        async with self.clients() as clients:
            for number, calls in enumerate(rulebook.everything()):
                for nth, call in enumerate(calls):
                    body = _short(call).body
                    asked = Ask(call.service, call.path, OPERATOR, body, f"rulebook-{number}-{nth}")
                    assert await clients.ask(asked) is not None, f"refused: {call}"
                await self.rest()
            for person, channel in CHOSEN:
                address = self.abroad.hook if channel == "webhook" else f"{person}@example.org"
                path = f"/v1/channels/{channel}"
                assert await clients.ask(Ask("notify", path, person, {"address": address}, f"{person}-{channel}"))

    async def run_on(self) -> None:
        """Let the clocks run that `settle` stopped."""

        def go() -> None:
            with open_doors(self.platform) as doors:
                if any(at["clock"]["held_at"] for at in positions(doors).values()):
                    run_on(doors)

        await asyncio.to_thread(go)

    async def rest(self) -> None:
        """Until nothing is left to do, as far as is due; the clocks run on."""

        def wait() -> None:
            with open_doors(self.platform) as doors:
                wait_rest(doors, REST_SECONDS_MAX)

        await asyncio.to_thread(wait)

    async def settle(self) -> Verdict:
        """Wait until all is ready and at rest, at an instant that no timer moves, and check everything.

        That instant is after all that was ever recorded, even under a clock that was ahead: what was parked for it is
        tried again then.
        """
        await all_ready(self.platform)
        databases = {name: self.platform.database(name).url for name in self.platform.services}
        newest = [await newest_entry(url) for url in databases.values()]
        rested_at = await asyncio.to_thread(self._rest_at_an_instant, max(newest))
        columns = {view: each.columns for view, each in SHOWN_VIEWS.items()}
        told = [line for log in self.logs for line in read_log(log)]
        evidence = await read(databases, self.platform.kafka.bootstrap, told, columns)
        evidence.rested_at, evidence.recovered = rested_at, frozenset(self.recovered)
        evidence.came = self.abroad.came()
        return check(evidence)

    async def expect_flawless(self, seed: int) -> None:
        """Everything, and every row of every view, present and past, is what its journal says."""
        verdict = await self.settle()
        print(f"  {verdict}")
        assert not verdict.violations, f"seed {seed}: {verdict}"
        await self.rebuild("--check")

    async def rebuild(self, *how: str) -> list[dict[str, Any]]:
        """Every view folded anew, and put in the live one's place unless `--check`; each equals what it replaces."""
        rebuilt: list[dict[str, Any]] = json.loads(await self.baton("rebuild", "--json", *how))
        assert rebuilt
        assert not [view for view in rebuilt if view["differing"]]
        return rebuilt

    async def baton(self, *words: str) -> str:
        """What `baton` prints."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *words),
            cwd=PROJECT,
            env={**os.environ, "BATON_STATE": str(self.platform.state)},
            stdout=PIPE,
            stderr=PIPE,
        )
        said, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        return said.decode()

    def _rest_at_an_instant(self, after: datetime) -> datetime:
        """All clocks stand at one instant, and what was due by then is done."""
        with open_doors(self.platform) as doors:
            wait_rest(doors, REST_SECONDS_MAX)
            clocks = [datetime.fromisoformat(at["clock"]["now"]) for at in positions(doors).values()]
            instant = max(*clocks, after) + timedelta(seconds=1)
            ops = doors.as_("ops", OPS)
            for name in doors.urls:
                ops.post(name, "/v1/clock", {"hold": instant.isoformat()})
            _retry_parked(doors)
            for name in doors.urls:
                ops.post(name, "/v1/clock", {"fire": True})
            wait_rest(doors, REST_SECONDS_MAX)
        return instant


def _retry_parked(doors: Doors) -> None:
    """What came from a clock ahead, now that its time has come."""
    ops = doors.as_("ops", OPS)
    while parked := [
        (name, row["id"])
        for name in doors.urls
        for row in ops.get(name, "/v1/parked?waiting=false")["rows"]
        if row["kind"] == "future"
    ]:
        with ThreadPoolExecutor(RETRIES_AT_ONCE) as pool:
            ended = list(pool.map(lambda each: ops.post(each[0], f"/v1/parked/{each[1]}/retry", {})["state"], parked))
        assert set(ended) == {"released"}, ended
        print(f"  {len(ended)} records of a clock ahead, parked and taken after all")
    wait_rest(doors, REST_SECONDS_MAX)


def _short(call: rulebook.Call) -> rulebook.Call:
    body = dict(call.body)
    if call.path == "/v1/policies" and body["step"] == "answer":
        body["limit_min"] = LIMIT_MIN
    if call.path == "/v1/ladders":
        body["rungs"] = [
            {**rung, **({"answer_min": LIMIT_MIN} if "answer_min" in rung else {})} for rung in body["rungs"]
        ]
    if call.path == "/v1/templates":
        body["call_back_after_h"] = 0
    return call._replace(body=body)


def new_seed() -> int:
    """By chance, unless BATON_SEED says which."""
    return int(os.environ.get("BATON_SEED") or random.randrange(1 << 32))
