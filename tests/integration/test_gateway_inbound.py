"""baton.inbound on a real Kafka: foreign CloudEvents become requests; what cannot be taken is parked, not lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from infra.local.databases import Database
from libs.events.inbound import Inbound
from libs.events.parking import Listed, Parking
from services.gateway.api import router
from services.gateway.channels.kafka import taking
from services.gateway.main import SERVICE
from services.gateway.views.requests import REQUESTS
from tests.integration.doors import Standing, doors
from tests.integration.errands_service import until

pytestmark = pytest.mark.platform
REQUEST = {"reference": "STORY1", "template": "complaint", "category": "quality", "title": "veneer blisters"}
_numbers = itertools.count(1)


@dataclass
class Topic:
    """gateway taking in from a topic of its own, and another system that sends to it."""

    gateway: Standing
    parking: Parking
    producer: AIOKafkaProducer
    name: str

    async def send(self, value: bytes, headers: Mapping[str, bytes | str], key: str = "STORY1") -> None:
        raw = [(name, text.encode() if isinstance(text, str) else text) for name, text in headers.items()]
        await self.producer.send_and_wait(self.name, value, key=key.encode(), headers=raw, partition=0)

    async def send_event(self, event: CloudEvent, key: str = "STORY1", *, structured: bool = False) -> None:
        """As an unrelated CloudEvents client writes it."""
        message = (to_structured if structured else to_binary)(event, JSONFormat())
        await self.send(message.value, message.headers, key)

    async def requests(self) -> dict[str, str]:
        """State by reference."""
        page = await self.gateway.parts.reader.page(REQUESTS, tenant="main")
        return {row.reference: row.state for row in page.rows}

    async def has(self, **states: str) -> None:
        async def there() -> bool:
            return await self.requests() == states

        await until(there, f"the requests are {states}")

    async def parked(self, count: int) -> list[Listed]:
        async def there() -> bool:
            return len(await self.parking.page(waiting=False)) == count

        await until(there, f"{count} records are parked")
        return await self.parking.page(waiting=False)


@asynccontextmanager
async def _created(kafka: str) -> AsyncIterator[str]:
    name = f"inbound.{os.getpid()}.{next(_numbers)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1)])
        yield name
        await admin.delete_topics([name])
    finally:
        await admin.close()


@pytest.fixture
async def topic(database: Database, kafka: str, tmp_path: Path) -> AsyncIterator[Topic]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as gateway, _created(kafka) as name:
        parking = Parking(SERVICE.contract, gateway.parts.journal, gateway.parts.pool)
        inbound = Inbound(
            SERVICE.contract,
            gateway.parts.journal,
            taking(gateway.app.state.doors),
            dsn=database.url,
            kafka=kafka,
            parking=parking,
            topic=name,
        )
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        role = asyncio.create_task(inbound.run())
        try:
            yield Topic(gateway, parking, producer, name)
        finally:
            failed = role.exception() if role.done() else None
            role.cancel()
            await asyncio.gather(role, return_exceptions=True)
            await producer.stop()
            assert failed is None, failed


def _event(name: str, type_: str, data: Any, **attributes: str) -> CloudEvent:
    required = {"specversion": "1.0", "id": name, "source": "crm", "type": f"baton.{type_}.v1"}
    return CloudEvent({**required, "datacontenttype": "application/json", **attributes}, data)


async def test_an_unrelated_client_is_understood_in_both_modes(topic: Topic) -> None:
    await topic.send_event(_event("1", "request.received", REQUEST))
    await topic.send_event(_event("2", "request.closed", {"reference": "STORY1"}), structured=True)
    await topic.has(STORY1="closed")


async def test_an_event_that_comes_twice_or_by_both_doors_is_one(topic: Topic) -> None:
    event = _event("1", "request.received", REQUEST)
    named = event.get_time()
    assert named is not None  # the client says when it made its event: a part of what the event says, by either door
    attributes = {"specversion": "1.0", "id": "1", "source": "crm", "type": event.get_type(), "time": named.isoformat()}
    structured = {**attributes, "data": REQUEST}
    headers = topic.gateway.bearer("integration") | {"Content-Type": "application/cloudevents+json"}
    for _ in range(2):
        await topic.send_event(event)
    await topic.has(STORY1="open")
    answer = await topic.gateway.client.post("/events", content=json.dumps(structured), headers=headers)
    assert answer.json()["result"] == "duplicate"
    await topic.send_event(_event("2", "request.received", REQUEST | {"reference": "NEXT"}), "NEXT")
    await topic.has(STORY1="open", NEXT="open")
    assert await topic.gateway.parts.journal.position() == 2


async def test_bad_records_are_parked_each_with_its_reason_and_the_rest_flows(topic: Topic) -> None:
    good = {"ce_specversion": "1.0", "ce_id": "9", "ce_source": "crm", "ce_type": "baton.request.received.v1"}
    data = json.dumps(REQUEST).encode()
    bad: list[tuple[bytes, dict[str, bytes | str], str]] = [
        (b"{", {**good}, "not JSON"),
        (b"\xff\xfe", {**good}, "not JSON"),
        (b"[]", {**good}, "must be a JSON object"),
        (b'{"reference": 7}', {**good}, "data.reference"),
        (data, {**good, "ce_type": "baton.request.received.v2"}, "baton.request.received.v1"),
        (data, {**good, "ce_specversion": "0.3"}, "ce_specversion"),
        (data, {**good, "content-type": "text/xml"}, "text/xml"),
        (data, {**good, "ce_id": b"\xff"}, "ce_id"),
        (data, {}, "ce_specversion"),
    ]
    for number, (value, headers, _) in enumerate(bad):
        await topic.send(value, headers, key=f"bad-{number}")
    await topic.send_event(_event("1", "request.received", REQUEST))
    await topic.has(STORY1="open")
    parked = await topic.parked(len(bad))
    for row, (_, _, reason) in zip(parked, bad, strict=True):
        assert reason in row.reason


@pytest.mark.parametrize(
    "poison", ['"data":' + "[" * 2_000 + "]" * 2_000, '"data_base64":"é"'], ids=["nested without end", "no base64"]
)
async def test_a_record_that_no_reader_can_read_does_not_stop_those_behind_it(topic: Topic, poison: str) -> None:
    bad = f'{{"specversion":"1.0","id":"x","source":"crm","type":"baton.request.received.v1",{poison}}}'
    await topic.send(bad.encode(), {"content-type": "application/cloudevents+json"}, key="bad")
    await topic.send_event(_event("1", "request.received", REQUEST))
    await topic.has(STORY1="open")
    (row,) = await topic.parked(1)
    assert row.kind == "unreadable"


async def test_the_same_id_with_other_content_is_parked_and_the_first_stands(topic: Topic) -> None:
    await topic.send_event(_event("1", "request.received", REQUEST))
    await topic.send_event(_event("1", "request.received", REQUEST | {"title": "another"}))
    (row,) = await topic.parked(1)
    assert row.kind == "altered"
    await topic.has(STORY1="open")
    page = await topic.gateway.parts.reader.page(REQUESTS, tenant="main")
    assert [found.title for found in page.rows] == ["veneer blisters"]


async def test_a_parked_record_is_mended_and_what_waited_behind_it_follows(topic: Topic) -> None:
    await topic.send_event(_event("1", "request.received", {**REQUEST, "title": None}))
    await topic.send_event(_event("2", "request.closed", {"reference": "STORY1"}))
    await topic.send_event(_event("3", "request.received", REQUEST | {"reference": "OTHER"}), "OTHER")
    await topic.has(OTHER="open")
    (row,) = await topic.parked(1)
    await topic.parking.retry(row.id, "ops-1", json.dumps(REQUEST).encode())
    await topic.has(STORY1="closed", OTHER="open")
    assert await topic.parked(0) == []


async def test_a_corrected_event_with_the_same_uuid_waits_behind_the_broken_one_and_is_not_lost(topic: Topic) -> None:
    id_ = str(UUID(int=7))
    await topic.send_event(_event(id_, "request.received", {**REQUEST, "title": None}))
    await topic.send_event(_event(id_, "request.received", REQUEST))
    (row,) = await topic.parked(1)
    await topic.parking.drop(row.id, "ops-1")
    await topic.has(STORY1="open")


async def test_a_key_or_type_that_cannot_be_stored_as_it_is_parks_its_record_alone(topic: Topic) -> None:
    broken = {**REQUEST, "title": None}
    for key in ("\0\0\0\x01", "k" * 100_000):
        await topic.send_event(_event(f"1{len(key)}", "request.received", broken), key)
    odd = {"specversion": "1.0", "id": "2", "source": "erp", "type": "a\0b", "data": REQUEST}
    await topic.send(json.dumps(odd).encode(), {"content-type": "application/cloudevents+json"}, "odd")
    await topic.send_event(_event("3", "request.received", REQUEST))
    await topic.has(STORY1="open")
    assert {row.key[:8] for row in await topic.parked(3)} == {"hex:0000", "kkkkkkkk", "odd"}
