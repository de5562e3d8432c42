"""Appends: single events of many clients and of one, and a hundred events at a time.

Every client writes to STREAMS_OF_A_CLIENT streams in turn and gives the version that it expects.
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from bench.comparing import Comparison, Goal
from bench.events import CONTRACT, STREAMS_OF_A_CLIENT, appends, empty_database, facts, metadata, new_database
from bench.measuring import Ground, Sample, latencies
from libs.events.entries import new_id
from libs.events.journal import Journal

SQL = Path(__file__).parent / "sql"
PGBENCH_THREADS = 2
SECONDS = 4.0
COMPARISONS = (
    Comparison(
        "append, 32 clients, single events",
        "appends/s",
        "ours",
        (
            Goal("pgbench", at_least=1.5),
            Goal("eventsourcing", at_least=15, peer=True),
            Goal("message-db", at_least=6, peer=True),
            Goal("Emmett", at_least=6, peer=True),
        ),
        clients=32,
        seconds=SECONDS,
    ),
    Comparison("append, 1 client", "appends/s", "ours", (Goal("pgbench", at_least=0.6),), clients=1, seconds=SECONDS),
    Comparison(
        "append of 100 events, 8 clients",
        "events/s",
        "ours",
        (Goal("COPY", at_least=1.0), Goal("eventsourcing", peer=True)),
        clients=8,
        facts=100,
        seconds=SECONDS,
    ),
)


async def ours(ground: Ground) -> Sample:
    """The journal: all clients of one process, group commit."""
    database = await new_database(ground, "ours")
    journal = await Journal.open(database.url, service="bench")
    make = appends(facts(), ground.facts)
    streams = [[new_id() for _ in range(STREAMS_OF_A_CLIENT)] for _ in range(ground.clients)]

    async def one(client: int, number: int) -> None:
        stream, version = streams[client][number % STREAMS_OF_A_CLIENT], number // STREAMS_OF_A_CLIENT * ground.facts
        await journal.append(make(stream, version, number))

    try:
        return await by_clients(ground, one)
    finally:
        await journal.close()


def pgbench(ground: Ground) -> Sample:
    """An append function, called once per transaction, from C."""
    address = asyncio.run(once(ground))
    kind, _, data = CONTRACT.encode(facts()[1])
    with tempfile.TemporaryDirectory() as logs:
        words = {"n": "-1", "typ": kind, "data": data.decode(), "meta": metadata()[1].decode()}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run(
            [
                str(ground.programs / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={ground.clients}",
                f"--jobs={min(PGBENCH_THREADS, ground.clients)}", f"--time={ground.seconds:.0f}",
                f"--file={SQL / 'once.pgbench'}", "--log", f"--log-prefix={logs}/log",
                *(f"--define={name}={value}" for name, value in words.items()), address,
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "number of failed transactions: 0" in said.stdout, said.stdout
        took = [int(line.split()[2]) / 1e6 for log in Path(logs).iterdir() for line in log.read_text().splitlines()]
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    return Sample(len(took), ground.seconds, *latencies(took), more={"client_cpu_s": used})


async def copy(ground: Ground) -> Sample:
    """COPY of the same rows, after a version check, in one transaction."""
    address = await once(ground)
    pool, meta = facts(), [m.decode() for m in metadata()]
    lines = [await asyncpg.connect(address) for _ in range(ground.clients)]
    columns = ("stream", "version", "type", "data", "meta")

    async def one(client: int, number: int) -> None:
        stream = f"task-{client}-{number % STREAMS_OF_A_CLIENT}"
        version = number // STREAMS_OF_A_CLIENT * ground.facts
        rows = []
        for i in range(ground.facts):
            nth = (number * ground.facts + i) % len(pool)
            kind, _, data = CONTRACT.encode(pool[nth])
            rows.append((stream, version + 1 + i, kind, data.decode(), meta[nth]))
        line = lines[client]
        async with line.transaction():
            stands = await line.fetchval(
                "select version from event where stream = $1 order by version desc limit 1", stream
            )
            assert (stands or 0) == version
            await line.copy_records_to_table("event", columns=columns, records=rows)

    return await by_clients(ground, one)


async def by_clients(ground: Ground, one: Callable[[int, int], Awaitable[None]]) -> Sample:
    """`one(client, number)` by every client again and again, until the time is over."""
    took: list[float] = []
    began = time.perf_counter()
    end = began + ground.seconds

    async def client(which: int) -> None:
        for number in itertools.count():
            start = time.perf_counter()
            if start >= end:
                return
            await one(which, number)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(client(which) for which in range(ground.clients)))
    return Sample(len(took) * ground.facts, time.perf_counter() - began, *latencies(took))


async def once(ground: Ground) -> str:
    """A fresh database with the append function that most would write; its address."""
    address = await empty_database(ground, "once")
    connection = await asyncpg.connect(address)
    try:
        await connection.execute((SQL / "once.sql").read_text())
    finally:
        await connection.close()
    return address


SIDES = {"ours": ours, "pgbench": pgbench, "COPY": copy}
