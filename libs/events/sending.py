"""Sending entries to a topic: which producer, which headers, and the chain of sequences that it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaProducer
from opentelemetry import trace

from libs.events import wire
from libs.events.broker import REQUEST_TIMEOUT_MS, Described, stop_producer, undisturbed
from libs.events.entries import Entry
from libs.events.leading import Lead
from libs.events.published import Published
from libs.events.tracing import links_of

SEND_WITHIN_S = 15.0
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
        waiting = []
        with _tracer.start_as_current_span(
            f"publish {self.topic}", kind=trace.SpanKind.PRODUCER, links=links_of(e.traceparent for e in entries)
        ) as span:
            span.set_attributes({"messaging.system": "kafka", "messaging.destination.name": self.topic})
            span.set_attribute("messaging.batch.message_count", len(entries))
            async with asyncio.timeout(SEND_WITHIN_S):
                for entry in entries:
                    key = wire.record_key(entry.tenant, entry.subject)
                    partition = wire.partition_of(key, self.described.partitions)
                    sequence = entry.sequence or 0
                    if sequence not in self.arrived:
                        record = wire.outgoing(entry, previous=sequences.get(partition, 0), epoch=self.epoch)
                        waiting.append(
                            await self.producer.send(
                                self.topic, record.value, key=key, partition=partition, headers=record.headers
                            )
                        )
                    self.arrived.discard(sequence)
                    sequences[partition] = sequence
                for sent in await asyncio.gather(*waiting):
                    if sent.offset >= 0:
                        offsets[sent.partition] = max(offsets.get(sent.partition, 0), sent.offset + 1)
        return Published(published.topic_id, entries[-1].sequence or 0, sequences, offsets)


@contextlib.asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """Idempotent, acks=all; thrown away as a whole with whatever it still holds."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=LINGER_BYTES_MAX,
        max_request_size=wire.VALUE_BYTES_MAX,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        await undisturbed(producer.start(), SEND_WITHIN_S)
        yield producer
    finally:
        await stop_producer(producer)
