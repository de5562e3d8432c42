"""Fetching from Kafka: all partitions of some topics, from offsets that are ours to keep.

Kafka's committed offsets only show the lag to its own tools. A topic that was made anew or has gone, an offset that it
does not hold, a record that cannot be parsed, or a consumer that stands still behind the end of its partition ends
the fetching with Unavailable; the caller opens a new one, which looks at everything afresh. A topic that does not exist
keeps no other from being read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from libs.events.appends import Offset
from libs.events.broker import (
    Described,
    consumer,
    describe_those_there,
    partitions_of,
    stop_consumer,
    undisturbed,
    why_missing,
)
from libs.events.errors import Unavailable
from libs.events.judging import Raw
from libs.events.parked import key_text
from libs.events.records import Records

RECORDS_MAX = 500
POLL_MS = 200
TAIL_RECORDS_MAX = 5_000
TEND_EVERY_S = 2.0
TEND_WITHIN_S = 10.0
STALL_AFTER_S = 15.0
MEASURE_WITHIN_S = 2.0

Partition = tuple[str, int]


class Fetching:
    """`described`: the topics that are read; `missing`: those that do not exist."""

    def __init__(
        self, kafka: str, consumer_: AIOKafkaConsumer, described: Mapping[str, Described], missing: Sequence[str] = ()
    ) -> None:
        self._kafka, self._consumer, self.described, self.missing = kafka, consumer_, described, tuple(missing)
        self._stopped: set[Partition] = set()
        self._records = Records(consumer_, RECORDS_MAX)
        self._tends_at = 0.0
        self._moved_at: dict[Partition, float] = {}
        self.lag: dict[Partition, int] = {}
        self.commit_problem: str | None = None

    async def start(
        self, topics: Sequence[str], tails: Sequence[str], stored: Mapping[Partition, Offset]
    ) -> dict[Partition, int]:
        """Go to the stored offsets; returns where each partition of `topics` starts.

        Without a valid one a partition starts at its first record: what was heard before vanishes by its ids. Of
        `tails` only the last records are read.
        """
        there = [topic for topic in (*topics, *tails) if topic in self.described]
        everything = [tp for topic in there for tp in partitions_of(topic, self.described[topic])]
        self._consumer.assign(everything)
        first, ends = await self._consumer.beginning_offsets(everything), await self._consumer.end_offsets(everything)
        starts: dict[Partition, int] = {}
        for tp in everything:
            if tp.topic in tails:
                start = max(first[tp], ends[tp] - TAIL_RECORDS_MAX)
            else:
                start = starts[tp.topic, tp.partition] = self._start(stored, tp, first[tp], ends[tp])
            self.seek((tp.topic, tp.partition), start)
        now = time.monotonic()
        self._moved_at = dict.fromkeys(starts, now)
        self.lag = {place: ends[TopicPartition(*place)] - start for place, start in starts.items()}
        return starts

    def _start(self, stored: Mapping[Partition, Offset], tp: TopicPartition, first: int, end: int) -> int:
        offset = stored.get((tp.topic, tp.partition))
        known = offset is not None and offset.topic_id == self.described[tp.topic].id
        return offset.next_offset if offset is not None and known and first <= offset.next_offset <= end else first

    async def take(self) -> dict[Partition, list[Raw]]:
        """The next records, each partition in order; empty after a while without any."""
        batches = await self._records.take(timeout_ms=POLL_MS)
        now = time.monotonic()
        taken: dict[Partition, list[Raw]] = {}
        for tp, records in batches.items():
            place = (tp.topic, tp.partition)
            if place not in self._stopped:
                self._moved_at[place] = now
                taken[place] = [raw_of(record, self.described[tp.topic].id) for record in records]
        return taken

    def seek(self, place: Partition, offset: int) -> None:
        """Read from there next."""
        self._records.seek(TopicPartition(*place), offset)

    def stop(self, place: Partition) -> None:
        """Read nothing more of this partition until `go`."""
        self._stopped.add(place)
        self._consumer.pause(TopicPartition(*place))

    def go(self, place: Partition, offset: int) -> None:
        self._stopped.discard(place)
        self._moved_at[place] = time.monotonic()
        self._consumer.resume(TopicPartition(*place))
        self.seek(place, offset)

    async def tend(self, next_offsets: Mapping[Partition, int]) -> None:
        """Every few seconds: measure the lag, show it to Kafka, and notice what is wrong with topic or consumer."""
        now = time.monotonic()
        if now < self._tends_at:
            return
        self._tends_at = now + TEND_EVERY_S
        async with asyncio.timeout(TEND_WITHIN_S):
            described, _ = await describe_those_there(self._kafka, (*self.described, *self.missing))
            anew = [topic for topic, known in self.described.items() if described.get(topic, known) != known]
            anew += [topic for topic in self.missing if topic in described]
            if anew:
                raise Unavailable(f"topics {anew} were made anew; they are read from their start")
            if gone := [topic for topic in self.described if topic not in described]:
                raise Unavailable(why_missing(gone))
            next_offsets = self._read(next_offsets)
            ends = await self._consumer.end_offsets([TopicPartition(*place) for place in next_offsets])
            for place, offset in next_offsets.items():
                tp = TopicPartition(*place)
                self.lag[place] = ends[tp] - offset
                behind = await self._consumer.position(tp) < ends[tp]
                if not behind or place in self._stopped:
                    self._moved_at[place] = now
                elif now - self._moved_at[place] > STALL_AFTER_S:
                    raise Unavailable(
                        f"{tp} stood still for {STALL_AFTER_S} s behind its end; the consumer is made anew"
                    )
            await self._show(next_offsets)

    async def behind(self, next_offsets: Mapping[Partition, int]) -> int:
        """How many records are still to be taken, asked of Kafka now (by what was measured last when it is away)."""
        next_offsets = self._read(next_offsets)
        try:
            async with asyncio.timeout(MEASURE_WITHIN_S):
                ends = await self._consumer.end_offsets([TopicPartition(*place) for place in next_offsets])
        except (KafkaError, TimeoutError):
            return sum(self.lag.values())
        return sum(max(0, ends[TopicPartition(*place)] - offset) for place, offset in next_offsets.items())

    def _read(self, next_offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Without the places in topics that do not exist."""
        return {place: offset for place, offset in next_offsets.items() if place[0] in self.described}

    async def _show(self, next_offsets: Mapping[Partition, int]) -> None:
        try:
            await self._consumer.commit({TopicPartition(*place): offset for place, offset in next_offsets.items()})
            self.commit_problem = None
        except KafkaError as error:  # only the lag that Kafka's own tools show depends on it
            self.commit_problem = repr(error)


def raw_of(record: ConsumerRecord, topic_id: str) -> Raw:
    """A record of Kafka's, to be judged."""
    return Raw(
        record.topic,
        topic_id,
        record.partition,
        record.offset,
        key_text(record.key),
        tuple([each if each[1] is not None else (each[0], b"") for each in record.headers]),
        record.value or b"",
    )


@asynccontextmanager
async def fetching(kafka: str, group: str, topics: Sequence[str]) -> AsyncIterator[Fetching]:
    described, missing = await describe_those_there(kafka, topics)
    if not described:
        raise Unavailable(why_missing(missing))
    reader = consumer(kafka, group_id=group)
    try:
        await undisturbed(reader.start(), TEND_WITHIN_S)
        yield Fetching(kafka, reader, described, missing)
    finally:
        await stop_consumer(reader)
