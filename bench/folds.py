"""A read model catches up: ours with its past, from the journal; beside it FastStream in batches, without a past.

Every key comes up SIZE / KEYS times, far apart. Both write the same rows; FastStream's decoding is bypassed (its best
case) and it stores no offsets but Kafka's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.comparing import Comparison, Goal
from bench.events import SERVICE, TASKS, Make, TaskFact, appends, empty_database, facts, new_database
from bench.installed import need_package
from bench.measuring import Ground, Sample
from libs.events.entries import new_id
from libs.events.folding import Held, Key, apply, lines_by_fact, touches
from libs.events.journal import Journal
from libs.events.projector import BATCH_ENTRIES_MAX, Decoder, Projector, folded
from libs.service.database import open_pool

SIZE = 300_000
KEYS = 60_000
APPENDS_AT_ONCE = 256
PARTITIONS = 4
BATCH_RECORDS = 2_000
CATCH_UP_WITHIN_S = 240.0
LINGER_BYTES = 256 * 1024
COMPARISONS = (
    Comparison(
        "view catch-up, with its past",
        "events/s",
        "ours, folded",
        (Goal("FastStream, upserted", at_least=1.0, peer=True),),
        size=SIZE,
    ),
)
_TABLE = """
create table tasks (task uuid primary key, version int not null, department text not null, assignee text not null,
  due_at timestamptz not null, "case" uuid not null)
"""
_UPSERT = """
insert into tasks select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[])
on conflict (task) do update set version = excluded.version, department = excluded.department,
  assignee = excluded.assignee, due_at = excluded.due_at, "case" = excluded."case"
"""


class Told(msgspec.Struct, gc=False):
    """A record's value: the fact and whose it is."""

    task: UUID
    version: int
    type: str
    data: msgspec.Raw


async def prepare(ground: Ground) -> dict[str, str]:
    """The same facts in a journal and in a topic."""
    keys = [new_id() for _ in range(round(KEYS * ground.size / SIZE))]
    database = await new_database(ground, "folded")
    journal = await Journal.open(database.url, service="bench")
    make = appends(facts(), 1)
    for round_ in range(ground.size // len(keys)):
        waiting = iter(keys)
        await asyncio.gather(*(_write(journal, make, waiting, round_) for _ in range(APPENDS_AT_ONCE)))
    topic = f"folds-{new_id().hex[-12:]}"
    await _fill(ground, topic, journal)
    await journal.close()
    return {"database": database.url, "topic": topic}


async def ours(ground: Ground) -> Sample:
    """The projector, from position 0."""
    address = ground.made["database"]
    journal = await Journal.open(address, service="bench")
    pool = await open_pool(address, "bench")
    table = f"{TASKS.name}_v{TASKS.version}"
    try:
        await pool.execute(f"drop table if exists views.{table}, views.{table}_past cascade")
        await pool.execute("delete from views.checkpoint")
        projector = Projector(SERVICE, journal, pool, dsn=address)
        await projector.prepare()
        end, began = await journal.position(), time.perf_counter()
        while await projector.step():
            pass
        took = time.perf_counter() - began
        assert await projector.position() == end
        rows = await pool.fetchval(f"select count(*) from views.{table}")
        return Sample(end, took, more={"rows": rows, **await _parts(journal, took / end)})
    finally:
        pool.terminate()
        await journal.close()


async def _parts(journal: Journal, whole_s: float) -> dict[str, float]:
    """Microseconds per event: reading, decoding and the fold itself, each done alone; the tables are what is left."""
    decoder, lines, live = Decoder(SERVICE.language, folded(SERVICE.views)), lines_by_fact(TASKS), dict[Key, Held]()
    spent, position, count = [0.0, 0.0, 0.0], 0, 0
    while True:
        instants = [time.perf_counter()]
        page = await journal.read(position, BATCH_ENTRIES_MAX)
        instants.append(time.perf_counter())
        batch = decoder.sift(page).decoded
        instants.append(time.perf_counter())
        work = [touch for entry, fact in batch for touch in touches(TASKS, lines, entry, fact)]
        for touch in work:
            live.setdefault(touch.key, Held(None, 0))
        apply(live, work)
        instants.append(time.perf_counter())
        spent = [so_far + end - start for so_far, (start, end) in zip(spent, pairwise(instants), strict=True)]
        if not page:
            break
        position, count = page[-1].position, count + len(page)
    read, decode, fold = (part / count * 1e6 for part in spent)
    return {
        "read, µs": read,
        "decode, µs": decode,
        "fold, µs": fold,
        "tables, µs": whole_s * 1e6 - read - decode - fold,
    }


async def faststream(ground: Ground) -> Sample:
    """A batch subscriber that upserts the latest row of each key, one transaction a batch."""
    need_package("faststream")
    from faststream.kafka import KafkaBroker
    from faststream.kafka.annotations import KafkaMessage

    connection = await asyncpg.connect(await empty_database(ground, "upserts"))
    await connection.execute(_TABLE)
    upsert = await connection.prepare(_UPSERT)
    decode, language = msgspec.json.Decoder(Told).decode, SERVICE.language
    broker, done, count = KafkaBroker(ground.kafka, logger=None), asyncio.Event(), 0

    @broker.subscriber(
        ground.made["topic"],
        batch=True,
        group_id=new_id().hex,
        auto_offset_reset="earliest",
        max_records=BATCH_RECORDS,
        decoder=lambda message: message.body,
    )
    async def fold(message: KafkaMessage) -> None:
        nonlocal count
        latest = {}
        for record in message.raw_message:
            told = decode(record.value)
            fact = language.decode(told.type, 1, bytes(told.data))
            assert isinstance(fact, TaskFact)
            latest[told.task] = (told.version, fact)
        rows = [
            (task, version, fact.department, fact.assignee, fact.due_at, fact.case)
            for task, (version, fact) in sorted(latest.items())
        ]
        async with connection.transaction():
            await upsert.fetch(*zip(*rows, strict=True))
        count += len(message.raw_message)
        if count >= ground.size:
            done.set()

    began = time.perf_counter()
    await broker.start()
    await asyncio.wait_for(done.wait(), CATCH_UP_WITHIN_S)
    took = time.perf_counter() - began
    await broker.stop()
    return Sample(count, took, more={"rows": await connection.fetchval("select count(*) from tasks")})


async def _write(journal: Journal, make: Make, streams: Iterator[UUID], version: int) -> None:
    for stream in streams:
        await journal.append(make(stream, version, version))


async def _fill(ground: Ground, topic: str, journal: Journal) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    position = 0
    async with AIOKafkaProducer(bootstrap_servers=ground.kafka, acks="all", max_batch_size=LINGER_BYTES) as producer:
        while page := await journal.read(position, BATCH_RECORDS):
            for entry in page:
                value = msgspec.json.encode(Told(entry.subject, entry.version, entry.type, msgspec.Raw(entry.data)))
                await producer.send(topic, value, key=entry.subject.bytes)
            position = page[-1].position
        await producer.flush()


SIDES = {"ours, folded": ours, "FastStream, upserted": faststream}
