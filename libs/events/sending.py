"""Sending entries to a topic: which producer, which headers, and the chain of sequences that it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from uuid import UUID

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


class Batch(NamedTuple):
    """So many records, ready to be sent, by partition; `chain`: the last sequence of each partition after them."""

    sequence: int
    size: int
    links: Sequence[trace.Link]
    filled: Mapping[int, Sequence[BatchBuilder]]
    chain: Mapping[int, int]


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

    def prepare(self, entries: Sequence[Entry], chain: Mapping[int, int]) -> Batch:
        """The records of entries, but those that have already arrived, and the chain after them. No I/O: a batch can be
        made while the one before it is under way.
        """
        chain = dict(chain)
        places: dict[tuple[str, UUID], int] = {}
        filled: dict[int, list[BatchBuilder]] = {}
        for entry in entries:
            key = (entry.tenant, entry.subject)
            partition = places.get(key)
            if partition is None:
                partition = places[key] = wire.partition_of(wire.record_key(*key), self.described.partitions)
            sequence = entry.sequence or 0
            if sequence not in self.arrived:
                record = wire.outgoing(entry, previous=chain.get(partition, 0), epoch=self.epoch)
                self._fill(filled.setdefault(partition, []), record)
            self.arrived.discard(sequence)
            chain[partition] = sequence
        links = links_of(entry.traceparent for entry in entries)
        return Batch(entries[-1].sequence or 0, len(entries), links, filled, chain)

    def _fill(self, builders: list[BatchBuilder], record: wire.Outgoing) -> None:
        """Filled here: the producer's own bookkeeping costs more, per record, than making the record."""
        told = {"key": record.key, "value": record.value, "headers": record.headers, "timestamp": None}
        if not builders or builders[-1].append(**told) is None:
            builders.append(self.producer.create_batch())
            builders[-1].append(**told)  # the first one always has room

    async def send(self, batch: Batch, published: Published) -> Published:
        """Send a batch in order, after everything before it was acknowledged; returns how far it is then."""
        self.lead.check()
        with _tracer.start_as_current_span(
            f"publish {self.topic}", kind=trace.SpanKind.PRODUCER, links=batch.links
        ) as span:
            span.set_attributes({"messaging.system": "kafka", "messaging.destination.name": self.topic})
            span.set_attribute("messaging.batch.message_count", batch.size)
            async with asyncio.timeout(SEND_WITHIN_S):
                ends = await asyncio.gather(*(self._send_in_order(*one) for one in batch.filled.items()))
        offsets = dict(published.offsets)
        for partition, end in zip(batch.filled, ends, strict=True):
            offsets[partition] = max(offsets.get(partition, 0), end)
        return Published(published.topic_id, batch.sequence, batch.chain, offsets)

    async def _send_in_order(self, partition: int, builders: Sequence[BatchBuilder]) -> int:
        """The offset after the last (0 when the broker had it already: it does not say where)."""
        waiting = [await self.producer.send_batch(each, self.topic, partition=partition) for each in builders]
        told = await asyncio.gather(*waiting)
        ends = (
            sent.offset + each.record_count() for sent, each in zip(told, builders, strict=True) if sent.offset >= 0
        )
        return max(ends, default=0)


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
