"""Services are restarted one after another under load, and whoever asks again once notices nothing of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from infra.local import Platform
from infra.local.progress import Progress
from infra.local.services import Handover
from infra.local.upkeep import restart
from libs.service.issuer import token
from tests.faults.load import AGAIN_SECONDS, ASK_SECONDS_MAX, OPERATOR, Clients, loaded
from tests.faults.standing import Standing, new_seed

pytestmark = [pytest.mark.platform, pytest.mark.long]
ROUNDS = 2
ACKS_MIN = 100
END_WITHIN_S = 5.0
READ_EVERY_S = 0.2
LISTS = {
    "directory": "/v1/departments",
    "goals": "/v1/goals",
    "tasks": "/v1/cases",
    "sla": "/v1/clocks",
    "notify": "/v1/texts",
    "audit": "/v1/cases",
    "gateway": "/v1/requests",
}


@dataclass
class Reader:
    """Somebody who looks at one service all the time, each look including the newest entry, and tries again once."""

    platform: Platform
    service: str
    answers_s: list[float] = field(default_factory=list)
    retries: int = 0
    twice: list[str] = field(default_factory=list)

    async def run(self, enough: asyncio.Event) -> None:
        bearer = token(self.platform.secrets.keys, person=OPERATOR, roles=("ops",))
        async with httpx.AsyncClient(
            base_url=self.platform.services[self.service].url,
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=ASK_SECONDS_MAX,
            trust_env=False,
        ) as client:
            while not enough.is_set():
                if (at := await self._get(client, "/v1/positions")) is not None:
                    await self._get(client, LISTS[self.service], after=at["position"], limit=1)
                await asyncio.sleep(READ_EVERY_S)

    async def _get(self, client: httpx.AsyncClient, path: str, **params: int) -> Any:
        began, seen = time.monotonic(), ""
        for _ in range(2):
            try:
                answer = await client.get(path, params=params)
            except httpx.TransportError as error:
                seen = repr(error)
            else:
                if answer.is_success:
                    self.answers_s.append(time.monotonic() - began)
                    return answer.json()
                seen = f"{answer.status_code} {answer.text}"
            self.retries += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.twice.append(f"GET {self.service}{path} {params}: {seen}")
        return None


async def test_services_restarted_in_turn_under_load_fail_nobody_who_asks_again_once(standing: Standing) -> None:
    seed, platform = new_seed(), standing.platform
    print(f"\nseed {seed}")
    await standing.run_on()
    handovers: list[Handover] = []
    async with standing.clients() as clients, loaded(clients, f"rolling-{seed}"), reading(platform) as readers:
        await clients.wait_acks(ACKS_MIN)
        for _ in range(ROUNDS):
            handovers += await asyncio.to_thread(lambda: list(restart(platform.state, (), Progress(quiet=True))))
        await clients.wait_acks(clients.acks + ACKS_MIN)
    _report(seed, handovers, clients, readers)
    assert [done.service for done in handovers] == list(platform.services) * ROUNDS
    assert not [done for done in handovers if not done.gently or done.ended_seconds >= END_WITHIN_S]
    assert clients.faults == []
    assert clients.twice == []
    assert [error for reader in readers for error in reader.twice] == []
    await standing.expect_flawless(seed)


@asynccontextmanager
async def reading(platform: Platform) -> AsyncIterator[list[Reader]]:
    readers, enough = [Reader(platform, name) for name in platform.services], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(reader.run(enough))
        try:
            yield readers
        finally:
            enough.set()


def _report(seed: int, handovers: list[Handover], clients: Clients, readers: list[Reader]) -> None:
    for done in handovers:
        print(
            f"  {done.service}: process {done.former} gave way to {done.successor} after {done.seconds:.1f} s,"
            f" {done.ended_seconds:.1f} s of them to end"
        )
    print(f"  seed {seed}: {clients.acks} acks, {dict(clients.counts)}, the slowest in {max(clients.answers_s):.1f} s")
    for reader in readers:
        print(
            f"  {reader.service}: {len(reader.answers_s)} reads, {reader.retries} retries,"
            f" the slowest in {max(reader.answers_s):.1f} s"
        )
