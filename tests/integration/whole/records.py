"""Another system at a Kafka topic: writes what it likes, each key to the partition where Baton keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from libs.events.wire import partition_of

WITHIN_S = 60.0


@dataclass(frozen=True)
class Record:
    key: str
    value: bytes
    headers: Mapping[str, bytes | str]


def write(bootstrap: str, topic: str, records: Sequence[Record]) -> None:
    """In order, each acknowledged."""
    asyncio.run(_write(bootstrap, topic, records))


async def _write(bootstrap: str, topic: str, records: Sequence[Record]) -> None:
    async with asyncio.timeout(WITHIN_S), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        partitions = len(await producer.partitions_for(topic))
        for record in records:
            await producer.send_and_wait(
                topic,
                record.value,
                key=record.key.encode(),
                partition=partition_of(record.key.encode(), partitions),
                headers=[(n, v.encode() if isinstance(v, str) else v) for n, v in record.headers.items()],
            )
