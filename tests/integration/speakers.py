"""Two sorts of services for the tests of transport: one that speaks (journal and publisher), one that hears."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.local.databases import Database
from libs.events import wire
from libs.events.appends import ANY, Append
from libs.events.broker import describe, partitions_of, read_on
from libs.events.contract import Contract, Kind
from libs.events.entries import Entry, Fact, derived_id, new_id, stream_id
from libs.events.journal import READ_ENTRIES_MAX, Journal
from libs.events.listener import Listener
from libs.events.parking import Parking
from libs.events.pools import Pool
from libs.events.publisher import Publisher
from libs.events.service import Service
from libs.events.views import View, on
from libs.service.database import open_pool

WITHIN_S = 30.0


class Said(Fact, frozen=True):
    number: int
    text: str = ""


class Whispered(Fact, frozen=True):
    number: int


class Heard(Fact, frozen=True):
    number: int


def contract(owner: str) -> Contract:
    return Contract(owner, (Kind("Said", 1, Said), Kind("Whispered", 1, Whispered)))


async def until(what: Callable[[], Awaitable[Any]], within_s: float = WITHIN_S) -> Any:
    """Asks until the answer is true."""
    async with asyncio.timeout(within_s):
        while True:
            answer = await what()
            if answer:
                return answer
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Runs a role; ends it as a service does, by cancelling."""
    task = asyncio.create_task(work.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@dataclass
class Speaker:
    """Decides facts and publishes them."""

    owner: str
    database: Database
    kafka: str
    journal: Journal
    pen: Pen
    publisher: Publisher = field(init=False)

    def __post_init__(self) -> None:
        self.contract = contract(self.owner)
        self.publisher = self.new_publisher()

    def new_publisher(self) -> Publisher:
        return Publisher(self.contract, self.journal, dsn=self.database.url, kafka=self.kafka)

    async def say(self, subject: UUID, *facts: Fact, tenant: str = "main", traceparent: str = "") -> int:
        """One append; returns the position of its last fact."""
        command = new_id()
        encoded = [self.contract.encode(fact) for fact in facts]
        appended = await self.journal.append(
            Append(
                stream=stream_id(tenant, self.owner, "talk", subject),
                expected=ANY,
                facts=tuple((derived_id(command, str(i)), *each) for i, each in enumerate(encoded)),
                tenant=tenant,
                subject=subject,
                actor="prod-1",
                command_id=command,
                digest=hashlib.sha256(b"".join(each[2] for each in encoded)).digest()[:16],
                causation_id=None,
                correlation_id=subject,
                traceparent=traceparent,
                basis=None,
                occurred_at=datetime.now(UTC),
            )
        )
        return appended.position

    async def decided(self) -> list[Entry]:
        return await every(self.journal.read_decided, lambda entry: entry.sequence or 0)

    async def published(self) -> None:
        """Waits until everything decided so far is in the topic and announced."""
        head = await self.journal.head()

        async def announced() -> bool:
            state = self.publisher.state()
            return state.announced is not None and state.announced.at >= head.instant

        await until(announced)

    async def records(self) -> list[ConsumerRecord]:
        topic = self.contract.topic
        described = (await describe(self.kafka, [topic]))[topic]
        starts = dict.fromkeys(partitions_of(topic, described), 0)
        return [record async for record in read_on(self.kafka, starts)]

    async def rewrite_topic(self, keep: Callable[[ConsumerRecord], bool]) -> None:
        """Kafka cannot delete a record in the middle of a topic: the topic is made anew without it."""
        topic = self.contract.topic
        before = await self.records()
        partitions = (await describe(self.kafka, [topic]))[topic].partitions
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await admin.delete_topics([topic])

            async def gone() -> bool:
                return topic not in await admin.list_topics()

            await until(gone)
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()
        for record in before:
            if keep(record):
                await self.pen.write(record)

    def partition(self, subject: UUID, tenant: str = "main") -> int:
        return wire.partition_of(wire.record_key(tenant, subject), 6)


@dataclass
class Pen:
    """Writes records into topics by hand."""

    kafka: str
    _producer: AIOKafkaProducer | None = None

    async def write(self, record: Any, *, value: bytes | None = None, **changes: bytes | None) -> None:
        """A record (topic, partition, key, value, headers), with another value or other headers (None: left out)."""
        headers = dict(record.headers)
        for name, changed in changes.items():
            headers.pop(name, None)
            if changed is not None:
                headers[name] = changed
        if self._producer is None:
            self._producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all")
            await self._producer.start()
        await self._producer.send_and_wait(
            record.topic,
            record.value if value is None else value,
            key=record.key,
            partition=record.partition,
            headers=list(headers.items()),
        )

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()


@dataclass(frozen=True)
class Row:
    number: int


def hearing_service(name: str, owners: Sequence[str], facts: Sequence[type[Fact]] = (Said,)) -> Service:
    """A service that needs these facts of these owners, for a view."""

    def fold(row: Row | None, fact: Any, entry: Entry) -> Row:
        return Row(fact.number)

    return Service(
        name=name,
        contract=Contract(name, (Kind("Heard", 1, Heard),)),
        hears=tuple(contract(owner) for owner in owners),
        views=(View("heard", 1, Row, ("number",), tuple(on(fact, fold) for fact in facts)),),
    )


@dataclass
class Hearer:
    """Listens."""

    service: Service
    database: Database
    kafka: str
    journal: Journal
    pool: Pool

    def __post_init__(self) -> None:
        self.parking = Parking(self.service.contract, self.journal, self.pool)
        self.listener = self.new_listener()

    def new_listener(self) -> Listener:
        return Listener(self.service, self.journal, dsn=self.database.url, kafka=self.kafka, parking=self.parking)

    async def heard(self) -> list[Entry]:
        noted = await every(self.journal.read, lambda entry: entry.position)
        return [entry for entry in noted if entry.sequence is None]

    async def has(self, count: int) -> None:
        """Waits until so many were heard."""

        async def came() -> bool:
            return len(await self.heard()) == count

        await until(came)

    async def caught_up(self, speaker: Speaker, within_s: float = WITHIN_S) -> None:
        """Waits until everything that the speaker announced by now was heard."""
        head = await speaker.journal.head()

        async def reached() -> bool:
            mark = self.listener.watermarks().get(speaker.owner)
            return mark is not None and mark.at is not None and mark.at >= head.instant

        await until(reached, within_s)


@dataclass
class World:
    kafka: str
    databases: Callable[[str], Awaitable[Database]]
    topics: Callable[..., Awaitable[list[str]]]
    journals: list[Journal] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pen = Pen(self.kafka)

    async def speaker(self) -> Speaker:
        owner = f"o{uuid4().hex[:10]}"
        await self.topics(owner)
        database = await self.databases("speaker")
        return Speaker(owner, database, self.kafka, await self.journal(database, owner), self.pen)

    async def hearer(self, *speakers: Speaker, facts: Sequence[type[Fact]] = (Said,)) -> Hearer:
        name = f"h{uuid4().hex[:10]}"
        database = await self.databases("hearer")
        service = hearing_service(name, [speaker.owner for speaker in speakers], facts)
        return await self.ears(service, database, await self.journal(database, name))

    async def ears(self, service: Service, database: Database, journal: Journal) -> Hearer:
        pool = await open_pool(database.url, service.name)
        self.pools.append(pool)
        return Hearer(service, database, self.kafka, journal, pool)

    async def journal(self, database: Database, service: str) -> Journal:
        journal = await Journal.open(database.url, service=service)
        self.journals.append(journal)
        return journal

    async def close(self) -> None:
        await self.pen.close()
        for journal in self.journals:
            await journal.close()
        for pool in self.pools:
            pool.terminate()


def seeded() -> random.Random:
    """A random source whose seed is printed, so that a failed run can be repeated."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


async def every(read: Callable[[int, int], Awaitable[list[Entry]]], place: Callable[[Entry], int]) -> list[Entry]:
    """All entries, page after page."""
    entries: list[Entry] = []
    while page := await read(place(entries[-1]) if entries else 0, READ_ENTRIES_MAX):
        entries += page
    return entries


def told(entries: Sequence[Entry]) -> list[tuple[UUID, bytes]]:
    return [(entry.id, entry.data) for entry in entries]
