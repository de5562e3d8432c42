"""Faults on a running platform: what is harmed, by chance, and what it takes until the part answers again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from infra.local import Platform
from infra.local.parts import Part

ASK_SECONDS_MAX = 10.0
PAUSE_SECONDS = (0.5, 2.5)


@dataclass(frozen=True)
class Harm:
    """`pid` of what was killed, or 0; `seconds` until the part was ready again."""

    kind: str
    part: str
    pid: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} {self.part} (process {self.pid}), ready again after {self.seconds:.1f} s"


Fault = Callable[[Platform, random.Random], Awaitable[tuple[str, int]]]


async def kill_service(platform: Platform, chance: random.Random) -> tuple[str, int]:
    return await _kill(platform.services[chance.choice(list(platform.services))])


async def kill_kafka(platform: Platform, chance: random.Random) -> tuple[str, int]:
    return await _kill(platform.kafka)


async def kill_postgres(platform: Platform, chance: random.Random) -> tuple[str, int]:
    """The postmaster; its children end by themselves."""
    return await _kill(platform.postgres)


async def end_connections(platform: Platform, chance: random.Random) -> tuple[str, int]:
    """pg_terminate_backend of about half of a service's connections."""
    name = chance.choice(list(platform.services))
    admin = await asyncpg.connect(platform.postgres.admin_url, command_timeout=ASK_SECONDS_MAX)
    try:
        ended = await admin.fetch(
            "select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid % 2 = $2",
            f"baton_{name}",
            chance.randrange(2),
        )
    finally:
        await admin.close()
    return f"{len(ended)} connections of {name}", 0


async def _kill(part: Part) -> tuple[str, int]:
    """kill -9, and a new start as the supervisor would."""
    pid = await asyncio.to_thread(part.kill)
    if pid is None:
        raise AssertionError(f"{part.name} had died by itself before:\n{part.log_tail()}")
    await asyncio.to_thread(part.start)
    await asyncio.to_thread(part.wait_ready)
    return part.name, pid


KINDS: dict[str, Fault] = {
    "kill service": kill_service,
    "kill kafka": kill_kafka,
    "kill postgres": kill_postgres,
    "end connections": end_connections,
}


async def harm(platform: Platform, chance: random.Random, times: int) -> list[Harm]:
    """`times` faults, every kind at least once, in an order by chance."""
    kinds = list(KINDS)
    kinds += chance.choices(kinds, (4, 1, 1, 2), k=max(times - len(kinds), 0))
    chance.shuffle(kinds)
    done = []
    for kind in kinds[:times]:
        await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))  # the load goes on in between
        started = time.monotonic()
        part, pid = await KINDS[kind](platform, chance)
        done.append(Harm(kind, part, pid, time.monotonic() - started))
        print(f"  {done[-1]}", flush=True)
    return done


async def all_ready(platform: Platform) -> None:
    """Every part, as it is: nobody died who was not killed."""
    await asyncio.gather(*(asyncio.to_thread(part.wait_ready) for part in platform.parts.values()))
