"""Sending entries to a topic: which producer, which headers, and the chain of sequences that it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from opentelemetry import trace

from libs.events import wire
from libs.events.broker import REQUEST_TIMEOUT_MS, Described, stop_producer, undisturbed
from libs.events.entries import Entry
from libs.events.leading import Lead
from libs.events.published import Published
from libs.events.tracing import links_of

SEND_WITHIN_S = 15.0
COMPRESSION = "lz4"
LINGER_BYTES_MAX = 256 * 1024
_tracer = trace.get_tracer("baton")

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Sending:
    """What one term of leadership sends with. `arrived`: sequences that are in the topic though not stored as sent."""

    topic: str
    described: Described
    epoch: int
    arrived: set[int]
    producer: AIOKafkaProducer
    database: Database
    lead: Lead

    async def send(self, entries: Sequence[Entry], published: Published) -> Published:
        """Send entries in order, but those that have already arrived; returns the chain after them."""
        self.lead.check()
        sequences, offsets = dict(published.sequences), dict(published.offsets)
        records: dict[int, list[wire.Outgoing]] = {}
        with _tracer.start_as_current_span(
            f"publish {self.topic}", kind=trace.SpanKind.PRODUCER, links=links_of(e.traceparent for e in entries)
        ) as span:
            span.set_attributes({"messaging.system": "kafka", "messaging.destination.name": self.topic})
            span.set_attribute("messaging.batch.message_count", len(entries))
            for entry in entries:
                partition = wire.partition_of(wire.record_key(entry.tenant, entry.subject), self.described.partitions)
                sequence = entry.sequence or 0
                if sequence not in self.arrived:
                    previous = sequences.get(partition, 0)
                    record = wire.outgoing(entry, previous=previous, epoch=self.epoch)
                    records.setdefault(partition, []).append(record)
                self.arrived.discard(sequence)
                sequences[partition] = sequence
            async with asyncio.timeout(SEND_WITHIN_S):
                ends = await asyncio.gather(*(self._send_in_order(*of_partition) for of_partition in records.items()))
        for partition, end in zip(records, ends, strict=True):
            offsets[partition] = max(offsets.get(partition, 0), end)
        return Published(published.topic_id, entries[-1].sequence or 0, sequences, offsets)

    async def _send_in_order(self, partition: int, records: Sequence[wire.Outgoing]) -> int:
        """The offset after the last (0 when the broker had it already: it does not say where)."""
        waiting, counts = [], []
        for batch in self._batches(records):
            waiting.append(await self.producer.send_batch(batch, self.topic, partition=partition))
            counts.append(batch.record_count())
        told = await asyncio.gather(*waiting)
        return max(
            (sent.offset + count for sent, count in zip(told, counts, strict=True) if sent.offset >= 0), default=0
        )

    def _batches(self, records: Sequence[wire.Outgoing]) -> Iterator[BatchBuilder]:
        """Filled here: the producer's own bookkeeping costs more, per record, than making the record."""
        batch = self.producer.create_batch()
        for record in records:
            told = {"key": record.key, "value": record.value, "headers": record.headers, "timestamp": None}
            if batch.append(**told) is None:
                yield batch
                batch = self.producer.create_batch()
                batch.append(**told)  # the first one always has room
        yield batch


@contextlib.asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """Idempotent, acks=all; thrown away as a whole with whatever it still holds."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        enable_idempotence=True,
        compression_type=COMPRESSION,
        max_batch_size=LINGER_BYTES_MAX,
        max_request_size=wire.VALUE_BYTES_MAX,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        await undisturbed(producer.start(), SEND_WITHIN_S)
        yield producer
    finally:
        await stop_producer(producer)
