"""Reading everything in order, decoded to typed facts."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import msgspec

from bench.comparing import Comparison, Goal
from bench.events import SERVICE, appends, empty_database, facts, new_database
from bench.measuring import UNMADE, Ground, Sample, SideFailed, run
from bench.peers import message_db_database
from infra.local.databases import Database
from libs.events.ahead import Ahead
from libs.events.entries import new_id
from libs.events.journal import READ_ENTRIES_MAX, Journal

SIZE = 200_000
FACTS_AT_ONCE = 100
APPENDS_AT_ONCE = 32
COMPARISONS = (
    Comparison(
        "read in order, decoded",
        "events/s",
        "ours, read",
        (
            Goal("COPY, discarded", at_least=0.35),
            Goal("eventsourcing, read", at_least=2.5, peer=True),
            Goal("message-db, read", peer=True),
        ),
        size=SIZE,
    ),
)


async def prepare(ground: Ground) -> dict[str, str]:
    """The same number of events in each store."""
    made = {"ours": await filled(ground, ground.size)}
    for peer in ("eventsourcing", "message-db"):
        try:
            made[peer] = await (message_db_database(ground) if peer == "message-db" else empty_database(ground, "es"))
            told = msgspec.structs.replace(ground, made=made)
            await asyncio.to_thread(run, f"{peer}, filled", "bench.peers", told)
        except (SideFailed, OSError) as error:  # the side that reads it says so
            made[peer] = f"{UNMADE}{error}"
    return made


async def filled(ground: Ground, size: int) -> str:
    """The address of a journal with so many events, in streams of FACTS_AT_ONCE."""
    return (await filled_database(ground, size)).url


async def filled_database(ground: Ground, size: int) -> Database:
    database = await new_database(ground, "filled")
    journal = await Journal.open(database.url, service="bench")
    make, numbers = appends(facts(), FACTS_AT_ONCE), iter(range(size // FACTS_AT_ONCE))

    async def write() -> None:
        for number in numbers:
            await journal.append(make(new_id(), 0, number))

    try:
        await asyncio.gather(*(write() for _ in range(APPENDS_AT_ONCE)))
    finally:
        await journal.close()
    return database


async def ours(ground: Ground) -> Sample:
    """As every replay reads: while one page is decoded, the next is on its way."""
    journal = await Journal.open(ground.made["ours"], service="bench")
    language, pages = SERVICE.language, Ahead(journal.read, list, "position", READ_ENTRIES_MAX)
    began, position, count = time.perf_counter(), 0, 0
    try:
        while page := await pages.page(position):
            for entry in page:
                language.decode(entry.type, entry.schema_version, entry.data)
            position, count = page[-1].position, count + len(page)
        return Sample(count, time.perf_counter() - began)
    finally:
        await journal.close()


async def copy(ground: Ground) -> Sample:
    """PostgreSQL's binary COPY of the same columns, thrown away: as fast as rows come."""
    connection = await asyncpg.connect(ground.made["ours"])
    count = await connection.fetchval("select count(*) from journal.entries")
    bytes_ = 0

    async def sink(data: bytes) -> None:
        nonlocal bytes_
        bytes_ += len(data)

    began = time.perf_counter()
    await connection.copy_from_query(_ENTRIES, output=sink, format="binary")
    return Sample(count, time.perf_counter() - began, more={"bytes": bytes_})


_ENTRIES = """
select position, sequence, id, type, schema_version, stream, version, tenant, subject, actor, command_id, causation_id,
  correlation_id, traceparent, basis, epoch, occurred_at, recorded_at, noted_at, backfilled, data
from journal.entries order by position
"""
SIDES = {"ours, read": ours, "COPY, discarded": copy}
