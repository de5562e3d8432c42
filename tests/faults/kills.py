"""Faults on a running platform: what is harmed, by chance, and what it takes until the part answers again.

Each shows that it did harm: a fault that nobody felt proves nothing, and raises DidNotBite.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import asyncpg
import httpx
import psutil

from infra.local import Platform, processes
from infra.local.parts import Part
from infra.local.services import Service
from tests.faults.ground import Clock, Disk, Ground, Network

ASK_SECONDS_MAX = 10.0
PAUSE_SECONDS = (0.5, 2.5)
OUTAGE_SECONDS = 12.0
"""Longer than Kafka's session and every time-out of a request or statement (10 s)."""
LOSS_SECONDS = 8.0
JUMP_SECONDS = 6.0
JUMP = 2 * 60 * 60
JUMP_SEEN_WITHIN_S = 10.0
JUMP_OFF_S_MAX = 5.0
"""Answers are dated to the second, and take their time."""
STOPPED_WITHIN_S = 2.0
POLL_S = 0.05
_END_HALF = """
select pg_terminate_backend(pid) as ended from (
  select pid, row_number() over (order by pid) % 2 as half from pg_stat_activity where datname = $1) c
where half = $2
"""


@dataclass(frozen=True)
class Site:
    """What is harmed, and by what means."""

    platform: Platform
    ground: Ground

    def service(self, chance: random.Random) -> Part:
        return self.platform.services[chance.choice(list(self.platform.services))]


@dataclass(frozen=True)
class Harm:
    """`pid` of what was killed or stopped, or 0; `seconds` until the part was ready again."""

    kind: str
    part: str
    pid: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind}: {self.part} (process {self.pid}), ready again after {self.seconds:.1f} s"


class DidNotBite(AssertionError):
    """A fault was done, and what it was to do did not come about."""


Fault = Callable[[Site, random.Random], Awaitable[tuple[str, int]]]


async def kill_service(site: Site, chance: random.Random) -> tuple[str, int]:
    return await kill(site.service(chance))


async def kill_kafka(site: Site, chance: random.Random) -> tuple[str, int]:
    return await kill(site.platform.kafka)


async def kill_postgres(site: Site, chance: random.Random) -> tuple[str, int]:
    """The postmaster; its children end by themselves."""
    return await kill(site.platform.postgres)


async def stop_postgres(site: Site, chance: random.Random) -> tuple[str, int]:
    """An "immediate" stop: no checkpoint, sessions thrown out; it recovers from its log at the next start."""
    part, pid = site.platform.postgres, await _signal(site.platform.postgres, signal.SIGQUIT)
    await asyncio.to_thread(processes.wait_gone, _recorded(part), ASK_SECONDS_MAX)
    await _another(part, pid)
    return part.name, pid


async def end_connections(site: Site, chance: random.Random) -> tuple[str, int]:
    """pg_terminate_backend of about half of a service's connections; after the last fault it may be connecting yet."""
    name, half = site.service(chance).name, chance.randrange(2)
    admin = await asyncpg.connect(site.platform.postgres.admin_url, command_timeout=ASK_SECONDS_MAX)
    ended = 0

    async def end() -> bool:
        nonlocal ended
        rows = await admin.fetch(_END_HALF, f"baton_{name}", half)
        ended = sum(row["ended"] for row in rows)
        return ended > 0

    try:
        await _until(end, ASK_SECONDS_MAX, f"no connection of {name} was ended")
    finally:
        await admin.close()
    return f"{ended} connections of {name}", 0


async def pause_service(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _pause(site.service(chance))


async def pause_kafka(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _pause(site.platform.kafka)


async def fill_postgres(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _outlast(site.ground.disks["postgres"].full(), site.platform.postgres)


async def fill_kafka(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _outlast(site.ground.disks["kafka"].full(), site.platform.kafka)


async def cut_network(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _outlast(site.ground.network.cut(), site.platform.kafka)


async def lose_packets(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _outlast(site.ground.network.losing(), site.platform.kafka, LOSS_SECONDS)


async def jump_service(site: Site, chance: random.Random) -> tuple[str, int]:
    return await _jump(site, site.service(chance), chance)


async def jump_postgres(site: Site, chance: random.Random) -> tuple[str, int]:
    """The domain clock, which never goes back in a journal: after a jump ahead it stands until it is caught up with."""
    return await _jump(site, site.platform.postgres, chance)


async def kill(part: Part) -> tuple[str, int]:
    """kill -9, and a new start as the supervisor would."""
    pid = await asyncio.to_thread(part.kill)
    if pid is None:
        raise AssertionError(_died(part))
    await _another(part, pid)
    return part.name, pid


async def _pause(part: Part) -> tuple[str, int]:
    pid = await _signal(part, signal.SIGSTOP)
    try:
        await _until(lambda: _stopped(pid), STOPPED_WITHIN_S, f"{part.name} runs on")
        await asyncio.sleep(OUTAGE_SECONDS)
    finally:
        await _signal(part, signal.SIGCONT)
    await _again(part)
    return part.name, pid


async def _outlast(
    outage: AbstractContextManager[None], part: Part, seconds: float = OUTAGE_SECONDS
) -> tuple[str, int]:
    """The outage lasts so long; who dies of it is started again afterwards."""
    pid = part.pid
    with outage:
        await asyncio.sleep(seconds)
    died = part.pid != pid
    await _again(part)
    return f"{part.name}{', which died of it' if died else ''}", pid or 0


async def _jump(site: Site, part: Part, chance: random.Random) -> tuple[str, int]:
    """The part starts anew under a clock that then jumps, and after a while jumps back."""
    clock, by = site.ground.clock, chance.choice((-JUMP, JUMP))
    await asyncio.to_thread(clock.start, part)
    await all_ready(site.platform)
    clock.set(by)
    try:
        await _until(lambda: _jumped(site, part, by), JUMP_SEEN_WITHIN_S, f"the clock of {part.name} is right")
        await asyncio.sleep(JUMP_SECONDS)
    finally:
        clock.set(0)
    await asyncio.to_thread(part.wait_ready)
    return f"{part.name} by {by:+d} s", part.pid or 0


async def _another(part: Part, killed: int) -> None:
    """Another process takes its place."""
    _expect(not psutil.pid_exists(killed) or processes.started_at(killed) is None, f"{part.name} lives on")
    await _again(part)
    _expect(part.pid not in (None, killed), f"{part.name} was not started anew")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DidNotBite(otherwise)


async def _until(bites: Callable[[], Awaitable[bool]], within_s: float, otherwise: str) -> None:
    until = time.monotonic() + within_s
    while not await bites():
        _expect(time.monotonic() < until, otherwise)
        await asyncio.sleep(POLL_S)


def _off(time_there: datetime | None, by: int) -> bool:
    """Whether it is about so far from the truth; one that does not answer has not shown it yet."""
    return time_there is not None and abs((time_there - datetime.now(UTC)).total_seconds() - by) < JUMP_OFF_S_MAX


async def _jumped(site: Site, part: Part, by: int) -> bool:
    return _off(await (_service_time(part) if isinstance(part, Service) else _postgres_time(site)), by)


async def _service_time(part: Service) -> datetime | None:
    """As its answers are dated."""
    try:
        async with httpx.AsyncClient(timeout=ASK_SECONDS_MAX, trust_env=False) as client:
            answer = await client.get(f"{part.url}/healthz")
    except httpx.TransportError:
        return None
    return parsedate_to_datetime(answer.headers["date"])


async def _postgres_time(site: Site) -> datetime:
    admin = await asyncpg.connect(site.platform.postgres.admin_url, timeout=ASK_SECONDS_MAX)
    try:
        found: datetime = await admin.fetchval("select clock_timestamp()")
        return found
    finally:
        await admin.close()


async def _stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def _again(part: Part) -> None:
    await asyncio.to_thread(part.start)
    await asyncio.to_thread(part.wait_ready)


async def _signal(part: Part, number: signal.Signals) -> int:
    if not processes.send(_recorded(part), number):
        raise AssertionError(_died(part))
    return _recorded(part).pid


def _recorded(part: Part) -> processes.Running:
    found = processes.recorded(part.record)
    assert found is not None, f"{part.name} was never started"
    return found


def _died(part: Part) -> str:
    return f"{part.name} had died by itself before:\n{part.log_tail()}"


@dataclass(frozen=True)
class Kind:
    """`weight`: how often it comes compared with the others. `lacking`: why it cannot be had on this machine."""

    fault: Fault
    weight: float
    lacking: str | None = None


KINDS: dict[str, Kind] = {
    "kill service": Kind(kill_service, 4),
    "kill kafka": Kind(kill_kafka, 1),
    "kill postgres": Kind(kill_postgres, 1),
    "stop postgres": Kind(stop_postgres, 1),
    "end connections": Kind(end_connections, 2),
    "pause service": Kind(pause_service, 1),
    "pause kafka": Kind(pause_kafka, 0.5),
    "fill disk of postgres": Kind(fill_postgres, 0.5, Disk.lacking),
    "fill disk of kafka": Kind(fill_kafka, 0.5, Disk.lacking),
    "cut network": Kind(cut_network, 0.5, Network.lacking),
    "lose packets": Kind(lose_packets, 0.5, Network.lacking),
    "jump clock of service": Kind(jump_service, 1, Clock.lacking),
    "jump clock of postgres": Kind(jump_postgres, 0.5, Clock.lacking),
}
KILLS = ("kill service", "kill kafka", "kill postgres", "end connections")
KILLS_MIN = 10
"""Of these together in a run of ENOUGH faults or more."""
ENOUGH = 25
POSSIBLE = [kind for kind, found in KINDS.items() if found.lacking is None]
LACKING = {kind: found.lacking for kind, found in KINDS.items() if found.lacking is not None}


async def harm(site: Site, chance: random.Random, times: int) -> list[Harm]:
    """`times` faults, every kind at least once and KILLS_MIN kills where there are as many, in an order by chance."""
    chosen = list(POSSIBLE)
    chosen += chance.choices(KILLS, k=KILLS_MIN - len(KILLS))
    weights = [KINDS[kind].weight for kind in POSSIBLE]
    chosen += chance.choices(POSSIBLE, weights, k=max(times - len(chosen), 0))
    chance.shuffle(chosen)
    done: list[Harm] = []
    for kind in chosen[:times]:
        await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))  # the load goes on in between
        started = time.monotonic()
        try:
            part, pid = await KINDS[kind].fault(site, chance)
        except Exception as error:
            error.add_note(f"fault {len(done) + 1} of {times}: {kind}")
            raise
        done.append(Harm(kind, part, pid, time.monotonic() - started))
        print(f"  {done[-1]}", flush=True)
    return done


async def all_ready(platform: Platform) -> None:
    """Every part, as it is: nobody died who was not killed."""
    await asyncio.gather(*(asyncio.to_thread(part.wait_ready) for part in platform.parts.values()))
