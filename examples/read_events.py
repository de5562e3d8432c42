"""Reads everything that Baton has said, and proves that it has everything. No code of Baton's: aiokafka and json.

    pip install 'aiokafka[lz4]'
    python read_events.py 127.0.0.1:17402

1. Read the heads: how far each owner has published, partition by partition.
2. Read those partitions from their beginning. Each record names the sequence before it in its partition: if that is not
   the last one seen, records are missing. Read past it: once they are sent again, all that follow them are, too.
   A record may come twice: its id tells.
3. Stop where the heads say that it is enough, or where nothing more is there: what is missing then is an error.
"""

import asyncio
import json
import sys
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

HEADS = TopicPartition("baton.heads", 0)
SILENCE_MS_MAX = 30_000


async def read_heads(bootstrap: str) -> dict[str, Any]:
    """The newest announcement of each owner. The topic is compacted: read it to its end."""
    heads: dict[str, Any] = {}
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([HEADS])
        await consumer.seek_to_beginning(HEADS)
        end = (await consumer.end_offsets([HEADS]))[HEADS]
        while await consumer.position(HEADS) < end:
            record = await consumer.getone()
            heads[record.key.decode()] = json.loads(record.value)
    return heads


class Partition:
    """How far one partition of an owner was read, and the facts that were taken from it."""

    def __init__(self, owner: str, goal: int) -> None:
        self.source, self.goal = f"/baton/{owner}", goal
        self.sequence = self.epoch = self.repeated = self.foreign = 0
        self.gap = ""
        self.ids: set[str] = set()  # yours would be a unique key where you store what you make of the facts
        self.counts: Counter[str] = Counter()

    @property
    def done(self) -> bool:
        return self.sequence >= self.goal

    @property
    def missing(self) -> str:
        why = self.gap or f"{self.goal} was announced, but is not there"
        return f"{self.source}: {why}; seen up to {self.sequence}"

    def take(self, headers: dict[str, str], value: bytes) -> None:
        links = [headers.get(f"ce_{name}", "") for name in ("sequence", "previous", "epoch")]
        if headers.get("ce_source") != self.source or not all(link.isdecimal() for link in links):
            self.foreign += 1  # anybody who may write to the topic can; it is no link of the chain
            return
        sequence, previous, epoch = map(int, links)
        if epoch < self.epoch or sequence > self.goal:
            return  # from a journal that was replaced since; or newer than the heads that were read
        if previous > self.sequence:  # to take it would lose the missing ones; it comes again behind them
            self.gap = self.gap or f"{previous} is missing before {sequence}"
            return
        if sequence > self.sequence:
            self.gap = ""
        self.sequence, self.epoch = max(self.sequence, sequence), epoch
        if headers["ce_id"] in self.ids:
            self.repeated += 1
            return
        self.ids.add(headers["ce_id"])
        json.loads(value)  # the fact; contracts/schemas/<type>.v<schemaversion>.json says what is in it
        self.counts[headers["ce_type"]] += 1


async def main(bootstrap: str) -> None:
    heads = await read_heads(bootstrap)
    partitions = {
        TopicPartition(f"baton.{owner}", int(number)): Partition(owner, goal)
        for owner, head in heads.items()
        for number, goal in head["sequences"].items()
    }
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign(list(partitions))
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(list(partitions))  # what the heads announce lies before them
        while behind := [at for at, p in partitions.items() if not p.done and await consumer.position(at) < ends[at]]:
            batches = await consumer.getmany(timeout_ms=SILENCE_MS_MAX)
            if not batches:
                raise SystemExit(f"Kafka has given nothing for {SILENCE_MS_MAX} ms of {behind}")
            for place, records in batches.items():
                for record in records:
                    partitions[place].take(
                        {name: (raw or b"").decode(errors="replace") for name, raw in record.headers}, record.value
                    )
    if missing := [p.missing for p in partitions.values() if not p.done]:
        raise SystemExit("\n".join(missing))
    counts = sum((partition.counts for partition in partitions.values()), Counter[str]())
    for type_, count in sorted(counts.items()):
        print(f"{count:7} {type_}")
    repeated, foreign = (sum(getattr(p, name) for p in partitions.values()) for name in ("repeated", "foreign"))
    print(f"{counts.total():7} facts of {len(heads)} owners; none missing, {repeated} repeated, {foreign} not theirs")
    print(f"        complete up to {min(head['at'] for head in heads.values())}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
