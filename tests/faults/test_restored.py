"""A service's database is put back to a backup, a topic is deleted: what its doors say, and the ways out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from infra.local import Platform
from infra.local.doors import open_doors
from infra.local.services import ORDER
from tests.faults.load import AGENT, OPERATOR, Ask, Clients, loaded
from tests.faults.standing import Standing, new_seed
from tests.integration.speakers import until

pytestmark = [pytest.mark.platform, pytest.mark.long]
ACKS = 60
CASES = 5
SEEN_SECONDS_MAX = 90.0
ASK_SECONDS_MAX = 20.0
RESTORED = "tasks"
OPENING = {"reference": "R-1", "template": "complaint", "category": "quality", "title": "restored", "source": "phone"}


async def test_a_service_restored_from_a_backup_takes_nothing_and_goes_on_from_a_later_state(
    standing: Standing,
) -> None:
    platform, seed = standing.platform, new_seed()
    print(f"\nseed {seed}")
    await standing.run_on()
    await _while_stopped(platform, ('create database "backup" template "baton_tasks" owner "tasks_owner"',))
    async with standing.clients() as clients, loaded(clients, f"restored-{seed}"):
        await clients.wait_acks(ACKS)
    await standing.settle()

    away = ('alter database "baton_tasks" rename to "later"', 'alter database "backup" rename to "baton_tasks"')
    await _while_stopped(platform, away, ready=False)
    for _ in range(2):  # as it is found, and after another start
        down = (await _seen(platform, lambda found: "journal" in found["down"]))["down"]
        assert "restored from before" in down["journal"]
        assert "docs/operating.md" in down["journal"]
        await asyncio.to_thread(_expect_doors_closed, platform)
        await asyncio.to_thread(platform.services[RESTORED].stop)
        await asyncio.to_thread(platform.services[RESTORED].start)
    async with standing.clients() as clients:
        words = {"template": "case-closed", "en": "on", "zh": "on"}
        assert await clients.ask(Ask("notify", "/v1/texts", OPERATOR, words, f"restored-{seed}"))  # the others go on

    back = ('drop database "baton_tasks"', 'alter database "later" rename to "baton_tasks"')
    await _while_stopped(platform, back)
    await standing.run_on()
    async with standing.clients() as clients, loaded(clients, f"after-{seed}"):
        await clients.wait_acks(ACKS)
    await standing.expect_flawless(seed)


async def test_a_service_restored_without_a_later_state_is_completed_from_the_topics(standing: Standing) -> None:
    """With all clocks running: what it is told of while it is away, and what is due meanwhile, comes on top."""
    platform, seed = standing.platform, new_seed()
    print(f"\nseed {seed}")
    await standing.run_on()
    await _while_stopped(platform, ('create database "backup" template "baton_tasks" owner "tasks_owner"',))
    async with standing.clients() as clients, loaded(clients, f"lost-{seed}"):
        await clients.wait_acks(ACKS)
    await standing.rest()

    lost = ('drop database "baton_tasks"', 'alter database "backup" rename to "baton_tasks"')
    await _while_stopped(platform, lost, ready=False)
    await _seen(platform, lambda found: "journal" in found["down"])
    await asyncio.to_thread(platform.services[RESTORED].stop)
    done = json.loads(await standing.baton("recover", RESTORED, "--json"))
    print(f"  {done}")
    assert done["own"] >= ACKS / 4
    assert done["heard"] > 0
    standing.recovered.add(RESTORED)
    await asyncio.to_thread(platform.services[RESTORED].start)
    await asyncio.to_thread(platform.services[RESTORED].wait_ready)
    async with standing.clients() as clients, loaded(clients, f"recovered-{seed}"):
        await clients.wait_acks(ACKS)
    await standing.expect_flawless(seed)


async def test_a_topic_deleted_and_made_anew_is_noticed_and_published_again(standing: Standing) -> None:
    platform, seed = standing.platform, new_seed()
    print(f"\nseed {seed}")
    await standing.settle()  # clocks stand still: only commands are decided
    await asyncio.to_thread(platform.services["sla"].stop)  # it has not heard all when the topic goes
    async with standing.clients() as clients:
        for number in range(CASES):
            await _open(clients, f"topic-{seed}-{number}")
    await _seen(platform, lambda found: found["ready"] and not found["lags"]["publish"])
    await _make_anew(platform, f"baton.{RESTORED}")
    said = await _seen(platform, lambda found: "publisher" in found["attention"])
    assert f"`baton publish {RESTORED} --from 1` sends it again" in said["attention"]["publisher"]
    await standing.baton("publish", RESTORED, "--from", "1")
    await _seen(platform, lambda found: not found["attention"])
    await asyncio.to_thread(platform.services["sla"].start)
    await standing.expect_flawless(seed)


async def _open(clients: Clients, key: str) -> None:
    assert await clients.ask(Ask(RESTORED, "/v1/cases", AGENT, {**OPENING, "reference": key}, key))


async def _while_stopped(platform: Platform, statements: tuple[str, ...], *, ready: bool = True) -> None:
    """These statements on the databases of a service that is stopped meanwhile."""
    service = platform.services[RESTORED]
    await asyncio.to_thread(service.stop)
    admin = await asyncpg.connect(platform.postgres.admin_url, command_timeout=ASK_SECONDS_MAX)
    try:
        for statement in statements:
            await admin.execute(statement)
    finally:
        await admin.close()
    await asyncio.to_thread(service.start)
    if ready:
        await asyncio.to_thread(service.wait_ready)


async def _seen(platform: Platform, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the service says of itself, once this holds."""
    async with asyncio.timeout(SEEN_SECONDS_MAX), httpx.AsyncClient(trust_env=False, timeout=ASK_SECONDS_MAX) as client:
        while True:
            try:
                found: dict[str, Any] = (await client.get(f"{platform.services[RESTORED].url}/readyz")).json()
                if holds(found):
                    return found
            except httpx.TransportError:  # it is only starting
                pass
            await asyncio.sleep(0.1)


def _expect_doors_closed(platform: Platform) -> None:
    with open_doors(platform) as doors:
        agent = doors.as_("frontend", AGENT)
        answer = agent.send("POST", RESTORED, "/v1/cases", {"Idempotency-Key": "restored"}, json=OPENING)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
        assert answer.json()["type"] == "urn:baton:problem:diverged"
        assert answer.headers["retry-after"] == "60"
        assert "rows" in agent.get(RESTORED, "/v1/cases")  # queries go on


async def _make_anew(platform: Platform, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=platform.kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone)
    finally:
        await admin.close()
    assert await platform.create_topics(ORDER) == [topic]
