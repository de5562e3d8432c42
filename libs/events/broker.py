"""What Kafka knows about topics: their ids, partitions and offsets, and what stands at the end of a partition.

A topic's id tells a topic made anew from the one that our offsets are about. aiokafka asks for metadata in a version
that has no ids yet, so the newer form of that one request is spelled out here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from libs.events.errors import Unavailable
from libs.events.records import Records

T = TypeVar("T")
_log = logging.getLogger(__name__)
REQUEST_TIMEOUT_MS = 10_000
ANSWER_WITHIN_S = 15.0
CANCELLED_WITHIN_S = 2.0
STOP_WITHIN_S = 2.0
FETCH_WAIT_MS = 250
READ_WITHIN_MS = 10_000
READ_RECORDS_MAX = 1_000
FETCH_BYTES_MAX = 8 * 1024 * 1024


class Described(NamedTuple):
    """A topic: `id` changes when it is made anew."""

    id: str
    partitions: int


class _TopicId(AbstractType[UUID]):  # type: ignore[misc]  # aiokafka ships no types
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]  # likewise
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _TopicId),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # likewise
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("id", _TopicId), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("create", Boolean),
        ("operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # likewise
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics: list[tuple[UUID, str, dict[int, bytes]]] = [(UUID(int=0), topic, {}) for topic in topics]

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class(self._topics, False, False, {})


async def undisturbed(work: Coroutine[Any, Any, T], within_s: float) -> T:
    """Runs `work` to its end, then heeds a cancellation that came meanwhile: cancelled in the middle of connecting or
    closing, aiokafka loses its connection. Raises TimeoutError after `within_s`.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=within_s)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=CANCELLED_WITHIN_S)
        if task.done() and not task.cancelled():
            task.exception()
        raise
    finally:
        task.cancel()
    if not task.done():
        raise TimeoutError(f"Kafka did not answer within {within_s} s")
    return task.result()


async def stop_consumer(reader: AIOKafkaConsumer) -> None:
    await _stop(reader.stop(), (reader._coordinator, reader._fetcher, reader._client))


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """What it still holds is not waited for: it is sent again from the stored position."""
    await _stop(producer.stop(), (producer._sender, producer.client))


async def _stop(stop: Coroutine[Any, Any, None], parts: Sequence[Any]) -> None:
    """When stopping takes too long, as it does with records that a broker which is away will never acknowledge, the
    parts are closed one by one, so that none goes on working in the background.
    """
    if await _in_time(stop):
        return
    for part in parts:
        if part is not None:
            await _in_time(part.close())


async def _in_time(step: Coroutine[Any, Any, None]) -> bool:
    """Whether this step of stopping came to its end; cancelled otherwise."""
    task = asyncio.create_task(step)
    await asyncio.wait([task], timeout=STOP_WITHIN_S)
    if not task.done():
        task.cancel()
        return False
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("a client of Kafka did not stop in order: %r", error)
        return False
    return True


async def describe(kafka: str, topics: Iterable[str]) -> dict[str, Described]:
    """Ids and partition counts of these topics; raises Unavailable for one that does not exist."""
    described, missing = await describe_those_there(kafka, topics)
    if missing:
        raise Unavailable(why_missing(missing))
    return described


async def describe_those_there(kafka: str, topics: Iterable[str]) -> tuple[dict[str, Described], tuple[str, ...]]:
    """Those topics that exist, and the names of those that do not."""
    answer = await undisturbed(_ask(kafka, topics), ANSWER_WITHIN_S)
    described: dict[str, Described] = {}
    missing: list[str] = []
    for code, name, topic_id, _internal, partitions, *_ in answer.topics:
        if code == UnknownTopicOrPartitionError.errno:
            missing.append(name)
        elif code != 0:
            raise Unavailable(f"topic {name}: {for_code(code).__name__}; Kafka cannot say yet what it is like")
        else:
            described[name] = Described(str(topic_id), len(partitions))
    return described, tuple(sorted(missing))


def why_missing(topics: Iterable[str]) -> str:
    return (
        f"there is no topic {', '.join(topics)}; it is created before use: `baton down`, then `baton up` makes what is"
        " missing (elsewhere: infra/kafka/topics.yaml)"
    )


def told(error: Exception) -> str:
    """What failed, for people. Kafka's client names the class itself; and it calls a topic unknown also when nobody
    answers its question where that is. Whether it is missing is for `describe` to say, with which all begins anew.
    """
    if isinstance(error, UnknownTopicOrPartitionError):
        return "nothing is learnt of Kafka's topics: it is away, or one is missing; the next try says which"
    return str(error) if isinstance(error, KafkaError) else f"{type(error).__name__}: {error}"


async def _ask(kafka: str, topics: Iterable[str]) -> Any:
    client = AIOKafkaClient(bootstrap_servers=kafka, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        return await client.send(client.get_random_node(), _MetadataRequest(topics))
    finally:
        await client.close()


def partitions_of(topic: str, described: Described) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(described.partitions)]


def consumer(kafka: str, **settings: Any) -> AIOKafkaConsumer:
    """A consumer that never chooses an offset by itself, and never reads what a foreign producer took back."""
    return AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_max_bytes=FETCH_BYTES_MAX,
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **settings,
    )


async def read_on(kafka: str, starts: Mapping[TopicPartition, int]) -> AsyncGenerator[ConsumerRecord]:
    """All records from these offsets to where the partitions end now, each partition in order. Close it when done.

    An offset outside of what the partition holds starts at its first record. Raises Unavailable where a record cannot
    be parsed.
    """
    reader = consumer(kafka)
    found = Records(reader, READ_RECORDS_MAX)
    try:
        await undisturbed(reader.start(), ANSWER_WITHIN_S)
        reader.assign(list(starts))
        first, ends = await reader.beginning_offsets(list(starts)), await reader.end_offsets(list(starts))
        waiting = set()
        for partition, start in starts.items():
            valid = start if first[partition] <= start <= ends[partition] else first[partition]
            found.seek(partition, valid)
            if valid < ends[partition]:
                waiting.add(partition)
        while waiting:
            batches = await found.take(*waiting, timeout_ms=READ_WITHIN_MS)
            if not batches:
                raise Unavailable(f"Kafka did not give the end of {sorted(waiting)} within {READ_WITHIN_MS} ms")
            for partition, records in batches.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record
                if records[-1].offset + 1 >= ends[partition]:
                    waiting.discard(partition)
    finally:
        await stop_consumer(reader)
