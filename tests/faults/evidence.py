"""What journals, topics and views hold, read by plain SQL and a plain consumer into plain rows."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

READ_SECONDS_MAX = 600.0
POLL_MILLISECONDS = 500
TOPIC = "baton."


class Row(NamedTuple):
    """An entry of a journal."""

    position: int
    sequence: int
    decided: bool
    id: UUID
    type: str
    stream: UUID
    version: int
    tenant: str
    subject: UUID
    actor: str
    command_id: UUID
    causation_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    noted_at: datetime
    data: bytes

    @property
    def owner(self) -> str:
        return self.type.partition(".")[0]


class Record(NamedTuple):
    """A record of a topic."""

    partition: int
    offset: int
    key: bytes
    id: str
    type: str
    sequence: int
    previous: int
    stream: str
    version: int
    value: bytes


@dataclass
class Evidence:
    """`subscriptions`: service → types heard (`owner.*`: all of them). `views`: (service, view) → its rows, the columns
    that are compared, as text; `ledger`: event id → its JSON text. `told`: the lines of the load's logs. `came`:
    delivery id → how often it came to the world outside. `rested_at`: when nothing was due. `recovered`: services whose
    journals were completed from the topics.
    """

    journals: dict[str, list[Row]] = field(default_factory=dict)
    subscriptions: dict[str, list[str]] = field(default_factory=dict)
    topics: dict[str, list[Record]] = field(default_factory=dict)
    parked: dict[str, list[str]] = field(default_factory=dict)
    views: dict[tuple[str, str], list[tuple[str, ...]]] = field(default_factory=dict)
    ledger: dict[str, str] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    came: Counter[str] = field(default_factory=Counter)
    rested_at: datetime | None = None
    recovered: frozenset[str] = frozenset()


async def read(
    databases: Mapping[str, str],
    kafka: str,
    told: Iterable[dict[str, Any]] = (),
    views: Mapping[tuple[str, str], Sequence[str]] = MappingProxyType({}),
) -> Evidence:
    """`databases`: service → its address. `views`: which columns of which view are compared."""
    found = Evidence(told=list(told))
    for name, url in databases.items():
        connection = await asyncpg.connect(url, command_timeout=READ_SECONDS_MAX)
        try:
            await _read_database(connection, name, views, found)
        finally:
            await connection.close()
        found.topics[name] = await read_topic(kafka, TOPIC + name)
    return found


def read_log(log: Path) -> list[dict[str, Any]]:
    """The lines of what clients were told."""
    return [json.loads(line) for line in log.read_text().splitlines()]


async def newest_entry(url: str) -> datetime:
    """When a journal noted its last entry, or when the last of what it says happened; long ago for an empty one. The
    latter is ahead where a process whose clock was ahead said so, and what follows from that is due no earlier.
    """
    connection = await asyncpg.connect(url, command_timeout=READ_SECONDS_MAX)
    try:
        noted: datetime | None = await connection.fetchval(
            "select greatest(max(noted_at), max(occurred_at)) from journal.entries"
        )
        return noted or datetime.min.replace(tzinfo=UTC)
    finally:
        await connection.close()


async def _read_database(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    views: Mapping[tuple[str, str], Sequence[str]],
    found: Evidence,
) -> None:
    columns = ", ".join(Row._fields)
    rows = await connection.fetch(f"select {columns} from journal.entries order by position")
    found.journals[name] = [Row(*row) for row in rows]
    found.subscriptions[name] = [
        row[0]
        for row in await connection.fetch("select type from journal.subscriptions where listened_from is not null")
    ]
    parked = await connection.fetch("select kind, reason from journal.parked where state in ('parked', 'waiting')")
    found.parked[name] = [f"{row['kind']}: {row['reason']}" for row in parked]
    for (service, view), compared in views.items():
        if service == name:
            table = await _table(connection, view)
            texts = ", ".join(f"coalesce(\"{column}\"::text, '')" for column in compared)
            found.views[service, view] = [tuple(row) for row in await connection.fetch(f"select {texts} from {table}")]
    if name == "audit":
        table = await _table(connection, "ledger")
        found.ledger = {str(row["id"]): row["data"] for row in await connection.fetch(f"select id, data from {table}")}


async def _table(connection: asyncpg.Connection[asyncpg.Record], view: str) -> str:
    """The table of the view's newest version."""
    tables = await connection.fetch(
        "select tablename from pg_tables where schemaname = 'views' and tablename ~ $1", f"^{view}_v[0-9]+$"
    )
    newest = max((row[0] for row in tables), key=lambda table: int(table.rpartition("_v")[2]))
    return f"views.{newest}"


async def read_topic(bootstrap: str, topic: str) -> list[Record]:
    """All of it, partition by partition in the order of their offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in await _partitions(bootstrap, topic)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Record] = []
        async with asyncio.timeout(READ_SECONDS_MAX):
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=POLL_MILLISECONDS)).values():
                    found += [_record(record) for record in records]
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        return sorted(partition["partition"] for partition in described["partitions"])
    finally:
        await admin.close()


def _record(record: Any) -> Record:
    told = {name: value.decode() for name, value in record.headers}
    return Record(
        record.partition,
        record.offset,
        record.key,
        told["ce_id"],
        told["ce_type"],
        int(told["ce_sequence"]),
        int(told["ce_previous"]),
        told["ce_stream"],
        int(told["ce_streamversion"]),
        record.value,
    )
