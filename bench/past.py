"""A view of a million events: queries of a row and of a page, now and as of an instant in the middle, and the memory of
replaying it.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg

from bench import events
from bench.comparing import Comparison, Goal, Limit
from bench.events import OWNER, TENANT
from bench.measuring import Ground, Sample, latencies, peak_megabytes
from bench.reads import filled_database
from libs.events import rebuilding
from libs.events.journal import Journal
from libs.events.projector import Projector
from libs.events.reading import Moment, Reader
from libs.service.database import READERS_MAX, open_pool

SIZE = 1_000_000
QUERIES = 2_000
PAGE = 50
TASKS = replace(events.TASKS, indexes=(("assignee",),))
SERVICE = replace(events.SERVICE, views=(TASKS,))
Query = Callable[[Reader, Any, Moment | None], Awaitable[object]]


def _comparison(name: str, side: str) -> Comparison:
    now = f"{side}, now"
    goals = (Goal(now, at_most=2.0, of="p50_ms"), Goal(now, at_most=2.0, of="p99_ms"))
    return Comparison(f"{name}, view of a million events", "queries/s", f"{side}, as of", goals, size=SIZE)


COMPARISONS = (
    _comparison("query of one row", "ours"),
    _comparison(f"query of {PAGE} rows by an indexed column", "ours, page"),
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


async def _row(reader: Reader, task: Any, at: Moment | None) -> object:
    return await reader.row(TASKS, task, tenant=TENANT, at=at)


async def _page(reader: Reader, assignee: Any, at: Moment | None) -> object:
    return await reader.page(TASKS, tenant=TENANT, equal={"assignee": assignee}, limit=PAGE, at=at)


async def replayed(ground: Ground) -> Sample:
    """The view folded anew beside the live one, and compared."""
    journal = await Journal.open(ground.made["database"], service=OWNER)
    pool = await open_pool(ground.made["database"], "bench")
    began = time.perf_counter()
    rebuilt = await rebuilding.check(SERVICE, TASKS, journal, pool)
    took = time.perf_counter() - began
    assert not rebuilt.differing
    pool.terminate()
    await journal.close()
    return Sample(rebuilt.position, took, megabytes=peak_megabytes())


def _side(query: Query, column: str, *, in_the_past: bool) -> Callable[[Ground], Awaitable[Sample]]:
    """QUERIES of this kind, each with a value of that column at random."""

    async def side(ground: Ground) -> Sample:
        async with _open(ground.made) as (journal, projector, reader):
            values = await _values(ground, projector, column)
            await projector.step()  # as in a service, whose projector knows how far it has come
            (entry,) = await journal.read((await journal.position()) // 2 - 1, 1)
            return await asked(query, reader, values, entry.noted_at if in_the_past else None)

    return side


async def asked(query: Query, reader: Reader, values: Sequence[Any], as_of: datetime | None) -> Sample:
    """As services are asked: where an instant lies in the journal is found anew for each question."""
    chance, took = random.Random(7), []
    began = time.perf_counter()
    for _ in range(QUERIES):
        value, start = chance.choice(values), time.perf_counter()
        await query(reader, value, await reader.moment(as_of) if as_of else None)
        took.append(time.perf_counter() - start)
    return Sample(QUERIES, time.perf_counter() - began, *latencies(took))


async def _values(ground: Ground, projector: Projector, column: str) -> Sequence[Any]:
    connection = await asyncpg.connect(ground.made["database"])
    try:
        table = projector.tables[TASKS].name
        return [row[0] for row in await connection.fetch(f"select distinct {column} from {table} order by 1")]
    finally:
        await connection.close()


@asynccontextmanager
async def _open(made: dict[str, str]) -> AsyncIterator[tuple[Journal, Projector, Reader]]:
    journal = await Journal.open(made["database"], service=OWNER)
    pool = await open_pool(made["database"], "bench")
    readers = await open_pool(made["reader"], "bench-read", READERS_MAX)
    try:
        projector = Projector(SERVICE, journal, pool, dsn=made["database"])
        await projector.prepare()
        yield journal, projector, Reader(projector, journal, readers)
    finally:
        pool.terminate()
        readers.terminate()
        await journal.close()


SIDES = {
    "ours, as of": _side(_row, "task", in_the_past=True),
    "ours, now": _side(_row, "task", in_the_past=False),
    "ours, page, as of": _side(_page, "assignee", in_the_past=True),
    "ours, page, now": _side(_page, "assignee", in_the_past=False),
    "ours, replayed": replayed,
}
