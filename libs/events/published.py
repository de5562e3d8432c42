"""How far a journal is published: the stored state, and its comparison with what the topic itself shows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from libs.events import wire
from libs.events.broker import Described, partitions_of, read_on
from libs.events.errors import Diverged, LeadershipLost, Undecodable
from libs.events.journal import Head, Journal
from libs.events.leading import Lead

COMPARED_AT_ONCE_MAX = 1_000
CHAIN_ENTRIES_MAX = 1_000
CURE = "keep both as they are and follow docs/operating.md, “Diverged”"

_LOAD = "select sequence, topic_id, partitions::text as partitions from journal.published"
_STORE = """
update journal.published
set sequence = $1, topic_id = $2, partitions = $3::text::jsonb, updated_at = clock_timestamp()
where exists (select 1 from journal.leaders l where l.role = $4 and l.term = $5)
returning true
"""


class Published(NamedTuple):
    """Everything up to `sequence` is acknowledged; per partition the last sequence and the offset after it."""

    topic_id: str
    sequence: int
    sequences: Mapping[int, int]
    offsets: Mapping[int, int]


async def load(database: asyncpg.Connection[asyncpg.Record], described: Described) -> Published:
    """The stored state; of a topic made anew no offset is known."""
    row = await database.fetchrow(_LOAD)
    if row is None:
        raise Diverged(f"journal.published has lost its row; {CURE}")
    partitions = msgspec.json.decode(row["partitions"], type=dict[int, tuple[int, int]])
    beyond = [partition for partition in partitions if partition >= described.partitions]
    if beyond:
        raise Diverged(
            f"partitions {beyond} were published to, but the topic has {described.partitions}: its partition count may"
            f" never change, keys would move; {CURE}"
        )
    same = row["topic_id"] == described.id
    return Published(
        described.id,
        row["sequence"],
        {partition: sequence for partition, (sequence, _) in partitions.items()},
        {partition: offset for partition, (_, offset) in partitions.items()} if same else {},
    )


async def store(database: asyncpg.Connection[asyncpg.Record], published: Published, lead: Lead) -> None:
    """Raises LeadershipLost when another process publishes by now."""
    partitions = {p: (sequence, published.offsets.get(p, 0)) for p, sequence in published.sequences.items()}
    stored = await database.fetchval(
        _STORE,
        published.sequence,
        published.topic_id,
        msgspec.json.encode(partitions).decode(),
        lead.role,
        lead.term,
    )
    if not stored:
        raise LeadershipLost(f"{lead.role}: another process took over")


async def compare(
    kafka: str, journal: Journal, head: Head, topic: str, described: Described, stored: Published
) -> tuple[set[int], str | None]:
    """(sequences that arrived beyond the stored one, what the topic has lost or None).

    Reads each partition from its last acknowledged record on; raises Diverged when the topic knows what the journal
    does not.
    """
    starts = compared_from(topic, described, stored)
    arrived: set[int] = set()
    shown: dict[int, int] = {}
    async with aclosing(_links(kafka, starts)) as batches:
        async for batch in batches:
            ids = await _ids(journal, [link.sequence for _, link, _ in batch])
            for record, link, event_id in batch:
                where = f"topic {topic} partition {record.partition} offset {record.offset}"
                if link.epoch > head.epoch:
                    raise Diverged(f"{where} is of epoch {link.epoch}, the journal of epoch {head.epoch}; {CURE}")
                if link.sequence > head.sequence:
                    raise Diverged(
                        f"{where} has sequence {link.sequence}, the journal ends at {head.sequence}: it was restored"
                        f" from before; {CURE}"
                    )
                if ids[link.sequence] != event_id:
                    own = ids[link.sequence]
                    raise Diverged(f"{where} has id {event_id} at sequence {link.sequence}, the journal {own}; {CURE}")
                shown[record.partition] = max(shown.get(record.partition, 0), link.sequence)
                if link.sequence > stored.sequence:
                    arrived.add(link.sequence)
    return arrived, _lost(topic, stored, shown)


def compared_from(topic: str, described: Described, stored: Published) -> dict[TopicPartition, int]:
    """The last acknowledged record of each partition: from there on a topic shows what became of a journal."""
    return {p: max(stored.offsets.get(p.partition, 0) - 1, 0) for p in partitions_of(topic, described)}


def _lost(topic: str, stored: Published, shown: Mapping[int, int]) -> str | None:
    missing = {p: shown.get(p, 0) for p, sequence in stored.sequences.items() if shown.get(p, 0) < sequence}
    if not missing:
        return None
    return (
        f"topic {topic} no longer shows what it acknowledged (partition: last sequence) {missing}:"
        f" `baton publish {topic.removeprefix('baton.')} --from {min(missing.values()) + 1}` sends it again"
    )


async def _links(
    kafka: str, starts: Mapping[TopicPartition, int]
) -> AsyncGenerator[list[tuple[ConsumerRecord, wire.Link, UUID]]]:
    """Our own records from there to the end, in batches; what is not ours is the listeners' business."""
    batch: list[tuple[ConsumerRecord, wire.Link, UUID]] = []
    async with aclosing(read_on(kafka, starts)) as records:
        async for record in records:
            try:
                event = wire.envelope(record.headers, record.value)
                if f"baton.{wire.owner_of(event)}" != record.topic:
                    continue
                batch.append((record, wire.link(event), event.uuid("id")))
            except Undecodable:  # listeners park it with its reason; here it only tells that it is not one of ours
                continue
            if len(batch) >= COMPARED_AT_ONCE_MAX:
                yield batch
                batch = []
    if batch:
        yield batch


async def _ids(journal: Journal, sequences: list[int]) -> dict[int, UUID | None]:
    """The journal's ids at these sequences."""
    wanted = set(sequences)
    found: dict[int, UUID | None] = dict.fromkeys(wanted)
    while missing := [sequence for sequence in sorted(wanted) if found[sequence] is None]:
        entries = await journal.read_decided(missing[0] - 1, COMPARED_AT_ONCE_MAX)
        if not entries:
            break
        for entry in entries:
            if entry.sequence in wanted:
                found[entry.sequence] = entry.id
        wanted = {sequence for sequence in wanted if sequence > (entries[-1].sequence or 0)}
    return found


async def chain_before(journal: Journal, sequence: int, partitions: int) -> dict[int, int]:
    """The last sequence of each partition before `sequence`, read backwards until all are known."""
    last: dict[int, int] = {}
    until = sequence - 1
    while until > 0 and len(last) < partitions:
        after = max(until - CHAIN_ENTRIES_MAX, 0)
        found: dict[int, int] = {}
        read = after
        while read < until and (entries := await journal.read_decided(read, until - read)):
            for entry in entries:
                partition = wire.partition_of(wire.record_key(entry.tenant, entry.subject), partitions)
                found[partition] = read = entry.sequence or 0
        last = found | last
        until = after
    return last
