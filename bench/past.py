"""A view of a million events: its queries now and as of an instant in the middle, and the memory of replaying it."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from bench.comparing import Comparison, Goal, Limit
from bench.events import OWNER, SERVICE, TASKS, TENANT
from bench.measuring import Ground, Sample, latencies, peak_megabytes
from bench.reads import filled_database
from libs.events import rebuilding
from libs.events.journal import Journal
from libs.events.projector import Projector
from libs.events.reading import Moment, Reader

SIZE = 1_000_000
QUERIES = 2_000
COMPARISONS = (
    Comparison(
        "query of one row, view of a million events",
        "queries/s",
        "ours, as of",
        (Goal("ours, now", at_most=2.0, of="p50_ms"), Goal("ours, now", at_most=2.0, of="p99_ms")),
        size=SIZE,
    ),
    Comparison(
        "a million events replayed",
        "events/s",
        "ours, replayed",
        limits=(Limit("megabytes", at_most=200.0),),
        size=SIZE,
    ),
)


async def prepare(ground: Ground) -> dict[str, str]:
    """A journal of so many events, folded."""
    database = await filled_database(ground, ground.size)
    made = {"database": database.url, "reader": database.reader_url}
    async with _open(made) as (journal, projector, _):
        while await projector.step():
            pass
        assert await projector.position() == await journal.position()
    return made


async def now(ground: Ground) -> Sample:
    return await _queries(ground, in_the_past=False)


async def as_of(ground: Ground) -> Sample:
    return await _queries(ground, in_the_past=True)


async def replayed(ground: Ground) -> Sample:
    """The view folded anew beside the live one, and compared."""
    journal = await Journal.open(ground.made["database"], service=OWNER)
    pool = await asyncpg.create_pool(ground.made["database"], min_size=1, max_size=4)
    began = time.perf_counter()
    rebuilt = await rebuilding.check(SERVICE, TASKS, journal, pool)
    took = time.perf_counter() - began
    assert not rebuilt.differing
    pool.terminate()
    await journal.close()
    return Sample(rebuilt.position, took, megabytes=peak_megabytes())


async def _queries(ground: Ground, *, in_the_past: bool) -> Sample:
    """One row by its key, a key at random."""
    async with _open(ground.made) as (journal, projector, reader):
        pool = await asyncpg.create_pool(ground.made["database"], min_size=1, max_size=1)
        table = projector.tables[TASKS].name
        keys = [record["task"] for record in await pool.fetch(f"select task from {table} order by task")]
        middle = (await journal.position()) // 2
        (entry,) = await journal.read(middle - 1, 1)
        at = Moment(entry.noted_at, middle, final=True) if in_the_past else None
        chance, took = random.Random(7), []
        began = time.perf_counter()
        for _ in range(QUERIES):
            key, start = chance.choice(keys), time.perf_counter()
            await reader.row(TASKS, key, tenant=TENANT, at=at)
            took.append(time.perf_counter() - start)
        pool.terminate()
        return Sample(QUERIES, time.perf_counter() - began, *latencies(took))


@asynccontextmanager
async def _open(made: dict[str, str]) -> AsyncIterator[tuple[Journal, Projector, Reader]]:
    journal = await Journal.open(made["database"], service=OWNER)
    pool = await asyncpg.create_pool(made["database"], min_size=1, max_size=4)
    readers = await asyncpg.create_pool(made["reader"], min_size=1, max_size=1)
    try:
        projector = Projector(SERVICE, journal, pool, dsn=made["database"])
        await projector.prepare()
        yield journal, projector, Reader(projector, journal, readers)
    finally:
        pool.terminate()
        readers.terminate()
        await journal.close()


SIDES = {"ours, as of": as_of, "ours, now": now, "ours, replayed": replayed}
