"""From a journal to Kafka and from Kafka to a journal.

The publisher sends the records of a filled journal; beside it a bare aiokafka producer sends the very same records,
made beforehand, in batches, with the same acknowledgement and compression. The listener hears them in a fresh journal;
beside it our batch append, and an aiokafka consumer that throws them away. Kafka's own ProducerPerformance sends the
same values from Java, without keys and headers, and so many that its start does not count.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench import appends
from bench.comparing import Comparison, Goal
from bench.events import CONTRACT, OWNER, SERVICE, facts, new_database
from bench.measuring import POLL_S, Ground, Sample, until
from bench.reads import filled
from infra.local.artifacts import KAFKA_TOOLS, jars_of
from infra.local.kafka import create_topics, java
from infra.local.progress import Progress
from libs.events import wire
from libs.events.contract import Contract
from libs.events.entries import new_id
from libs.events.journal import READ_ENTRIES_MAX, Journal
from libs.events.listener import Listener
from libs.events.parking import Parking
from libs.events.publisher import Publisher
from libs.events.sending import COMPRESSION, producing
from libs.events.service import Service
from libs.service.database import open_pool

SIZE = 100_000
PERFORMANCE_RECORDS = 3_000_000
PERFORMANCE_SECONDS_MAX = 240
SENT = re.compile(r"(\d+) records sent, ([\d.]+) records/sec")
PARTITIONS = 6
"""As infra/kafka/topics.yaml has it."""
WITHIN_S = 60.0
COMPARISONS = (
    Comparison(
        "publisher, journal to Kafka",
        "records/s",
        "ours, published",
        (Goal("aiokafka, batches", at_least=0.6), Goal("ProducerPerformance")),
        size=SIZE,
    ),
    Comparison(
        "listener, Kafka to journal",
        "records/s",
        "ours, heard",
        (Goal("batch append", at_least=0.5), Goal("aiokafka, read")),
        size=SIZE,
        clients=8,
        facts=100,
        seconds=4.0,
    ),
)


async def prepare(ground: Ground) -> dict[str, str]:
    """A filled journal, and the topic that it was published to."""
    address = await filled(ground, ground.size)
    await create_topics(ground.kafka, [OWNER])
    await _publish(ground, address, CONTRACT)
    return {"database": address}


async def published(ground: Ground) -> Sample:
    """The publisher, to a fresh topic, from the first sequence on."""
    contract = Contract(f"o{new_id().hex[-12:]}", ())
    await create_topics(ground.kafka, [contract.owner])
    return await _publish(ground, ground.made["database"], contract)


async def batches(ground: Ground) -> Sample:
    """aiokafka's own batches, filled by hand: the same records, partitions, headers, acknowledgement, compression."""
    topic = f"o{new_id().hex[-12:]}"
    await create_topics(ground.kafka, [topic])
    records = await _records(ground)
    began = time.perf_counter()
    async with producing(ground.kafka) as producer:
        sent = []
        for partition, of_partition in enumerate(records):
            batch = producer.create_batch()
            for record in of_partition:
                told = {"key": record.key, "value": record.value, "timestamp": None, "headers": record.headers}
                if batch.append(**told) is None:
                    sent.append(await producer.send_batch(batch, f"baton.{topic}", partition=partition))
                    batch = producer.create_batch()
                    batch.append(**told)
            sent.append(await producer.send_batch(batch, f"baton.{topic}", partition=partition))
        await asyncio.gather(*sent)
        took = time.perf_counter() - began
    return Sample(sum(map(len, records)), took)


async def performance(ground: Ground) -> Sample:
    """Kafka's own measuring producer; the topic is deleted afterwards."""
    topic = f"baton.o{new_id().hex[-12:]}"
    await create_topics(ground.kafka, [topic.removeprefix("baton.")])
    values = ground.work / "values"
    values.write_bytes(b"\n".join(CONTRACT.encode(fact)[2] for fact in facts()))
    class_path = os.pathsep.join(str(jar) for jar in jars_of(KAFKA_TOOLS, Progress(quiet=True)))
    done = await asyncio.to_thread(
        subprocess.run,
        [
            java(), "-Xmx512m", "-cp", class_path, "org.apache.kafka.tools.ProducerPerformance",
            "--topic", topic, "--payload-file", str(values), "--throughput", "-1",
            "--num-records", str(round(PERFORMANCE_RECORDS * ground.size / SIZE)), "--producer-props",
            f"bootstrap.servers={ground.kafka}", "acks=all", "enable.idempotence=true",
            f"compression.type={COMPRESSION}", "linger.ms=5", "batch.size=262144",
        ],
        capture_output=True, text=True, check=True, timeout=PERFORMANCE_SECONDS_MAX,
    )  # fmt: skip
    found = SENT.findall(done.stdout)[-1]
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    return Sample(int(found[0]), int(found[0]) / float(found[1]))


async def heard(ground: Ground) -> Sample:
    """The listener, into a fresh journal."""
    database = await new_database(ground, "heard")
    journal = await Journal.open(database.url, service="hearer")
    service = Service("hearer", Contract("hearer", ()), hears=(CONTRACT,), views=SERVICE.views)
    pool = await open_pool(database.url, service.name)
    parking = Parking(service.contract, journal, pool)
    listener = Listener(service, journal, dsn=database.url, kafka=ground.kafka, parking=parking)

    async def reached() -> bool:
        return await journal.position() >= ground.size

    began = time.perf_counter()
    work = asyncio.create_task(listener.run())
    try:
        await until(reached, WITHIN_S)
        return Sample(ground.size, time.perf_counter() - began)
    finally:
        work.cancel()
        await asyncio.wait([work])
        pool.terminate()
        await journal.close()


async def read(ground: Ground) -> Sample:
    """aiokafka's consumer, every record thrown away."""
    consumer = AIOKafkaConsumer(bootstrap_servers=ground.kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    began, count = time.perf_counter(), 0
    await consumer.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            consumer.assign([TopicPartition(CONTRACT.topic, p) for p in range(PARTITIONS)])
            while count < ground.size:
                count += sum(map(len, (await consumer.getmany(timeout_ms=1_000)).values()))
        return Sample(count, time.perf_counter() - began)
    finally:
        await consumer.stop()


async def _publish(ground: Ground, address: str, contract: Contract) -> Sample:
    journal = await Journal.open(address, service="bench")
    connection = await asyncpg.connect(address)
    await connection.execute("update journal.published set sequence = 0, topic_id = '', partitions = '{}'")
    publisher = Publisher(contract, journal, dsn=address, kafka=ground.kafka)
    began = time.perf_counter()
    work = asyncio.create_task(publisher.run())
    try:
        while publisher.state().published < ground.size:
            if work.done() or time.perf_counter() - began > WITHIN_S:
                raise RuntimeError(f"published {publisher.state().published}: {publisher.state().problem}")
            await asyncio.sleep(POLL_S)
        return Sample(ground.size, time.perf_counter() - began)
    finally:
        work.cancel()
        await asyncio.wait([work])
        await journal.close()
        connection.terminate()


async def _records(ground: Ground) -> list[list[wire.Outgoing]]:
    """What the publisher sends, by partition."""
    journal = await Journal.open(ground.made["database"], service="bench")
    found: list[list[wire.Outgoing]] = [[] for _ in range(PARTITIONS)]
    position = 0
    while page := await journal.read_decided(position, READ_ENTRIES_MAX):
        for entry in page:
            record = wire.outgoing(entry, previous=0, epoch=1)
            found[wire.partition_of(record.key, PARTITIONS)].append(record)
        position = page[-1].sequence or 0
    await journal.close()
    return found


SIDES = {
    "ours, published": published,
    "aiokafka, batches": batches,
    "ProducerPerformance": performance,
    "ours, heard": heard,
    "batch append": appends.ours,
    "aiokafka, read": read,
}
