"""CloudEvents are read in every mode, and what cannot be read says which field, what was there, and the cure."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.datastructures import Headers

from libs.events import wire
from libs.events.errors import Undecodable
from libs.events.handling import Answer, Request
from libs.service.doors import Doors
from libs.service.errors import NotJson, UnsupportedMedia, WrongShape
from services.gateway.channels import cloudevents
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.channels.intake import inbound_id
from services.gateway.channels.kafka import taking

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "crm",
    "type": "baton.request.closed.v1",
    "time": "2026-03-02T09:00:00+08:00",
    "data": {"reference": "STORY1"},
}
AS_READ = InboundEvent(
    id="1",
    source="crm",
    type="baton.request.closed.v1",
    data={"reference": "STORY1"},
    time=datetime(2026, 3, 2, 1, tzinfo=UTC),
)


def _body(**changes: Any) -> bytes:
    event = {**EVENT, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def test_the_same_event_is_read_from_every_mode() -> None:
    http = {f"Ce-{name.title()}": EVENT[name] for name in ("specversion", "id", "source", "type", "time")}
    data = json.dumps(EVENT["data"]).encode()
    assert cloudevents.read_structured(_body()) == AS_READ
    assert cloudevents.read_binary_http({**http, "Content-Type": "application/json"}, data) == AS_READ
    assert cloudevents.read_batch(b"[" + _body() + b"]") == [AS_READ]


def test_data_may_come_in_base64() -> None:
    encoded = base64.b64encode(json.dumps(EVENT["data"]).encode()).decode()
    assert cloudevents.read_structured(_body(data=None, data_base64=encoded)) == AS_READ


def test_headers_of_the_binary_mode_are_percent_decoded() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "%E6%8A%95%E8%AF%89", "ce-source": "crm", "ce-type": "t"}
    assert cloudevents.read_binary_http(headers, b"{}").id == "投诉"


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ('"e-1"', "e-1"),
        ('"%E6%8A%95 %22\\"x\\\\y"', '投 ""x\\y'),
        ('e-"1"', 'e-"1"'),
        ('"e-1', '"e-1'),
        ('"e"-"1"', '"e"-"1"'),
        ("%22e-1%22", '"e-1"'),
    ],
)
def test_double_quotes_around_a_header_are_none_of_its_value(header: str, meant: str) -> None:
    headers = {"ce-specversion": '"1.0"', "ce-id": header, "ce-source": "crm", "ce-type": "t"}
    assert cloudevents.read_binary_http(headers, b"{}").id == meant


def test_a_header_whose_bytes_are_no_text_is_not_read_as_another_one() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "%FF", "ce-source": "%C0%A0", "ce-type": "t"}
    with pytest.raises(WrongShape) as caught:
        cloudevents.read_binary_http(headers, b"{}")
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [("ce-id", "%FF"), ("ce-source", "%C0%A0")]


def test_a_header_that_comes_twice_is_refused_by_http_as_by_kafka() -> None:
    twice = [("ce-specversion", "1.0"), ("ce-id", "1"), ("CE-Id", "2"), ("ce-source", "crm"), ("ce-type", "t")]
    raw = [(name.encode(), value.encode()) for name, value in twice]
    with pytest.raises(WrongShape) as caught:
        cloudevents.read_binary_http(Headers(raw=raw), b"{}")
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [("ce-id", "2")]
    with pytest.raises(Undecodable, match="twice"):
        _record([*KAFKA, ("ce_id", b"2")], DATA)


@pytest.mark.parametrize(
    ("content_type", "mode"),
    [
        ("application/cloudevents+json", "structured"),
        ("application/cloudevents+json; charset=UTF-8", "structured"),
        ("application/cloudevents-batch+json", "batched"),
        ("application/json", "binary"),
        ("application/vnd.example+json; charset=utf-8", "binary"),
    ],
)
def test_the_content_type_tells_the_mode(content_type: str, mode: str) -> None:
    assert cloudevents.mode_of(content_type) == mode


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", "application/json; charset=gbk"])
def test_another_content_type_is_named_with_those_that_are_read(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMedia, match="cloudevents"):
        cloudevents.mode_of(content_type)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"id": "\xc3\x28"}', b'{"a": "\\ud800"}', b"[" * 100_000, b"nul"]
)
def test_what_is_not_json_in_utf8_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(NotJson):
        cloudevents.read_structured(body)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "body.id"),
        ({"id": ""}, "body.id"),
        ({"id": 7}, "body.id"),
        ({"source": "a\nb"}, "body.source"),
        ({"source": "s" * 201}, "body.source"),
        ({"type": None}, "body.type"),
        ({"specversion": "0.3"}, "body.specversion"),
        ({"specversion": None}, "body.specversion"),
        ({"time": "yesterday"}, "body.time"),
        ({"time": "2026-03-02T09:00:00"}, "body.time"),
        ({"time": "0001-01-01T00:00:00+10:00"}, "body.time"),
        ({"data": [1]}, "data"),
        ({"data": None}, "data"),
        ({"datacontenttype": "text/xml"}, "body.datacontenttype"),
        ({"data_base64": "%%"}, "body.data_base64"),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(WrongShape) as caught:
        cloudevents.read_structured(_body(**changes))
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("timline", "timeline"), ("Timeline", "timeline"), ("time-line", "timeline"), ("tennant", "tenant")],
)
def test_an_extension_of_ours_that_is_misspelt_is_answered_with_the_one_that_was_meant(
    misspelt: str, meant: str
) -> None:
    with pytest.raises(WrongShape, match=f"did you mean {meant}"):
        cloudevents.read_structured(_body(**{misspelt: "crm"}))


def test_a_kafka_record_with_a_misspelt_extension_is_not_read_without_it() -> None:
    with pytest.raises(WrongShape) as caught:
        cloudevents.read_foreign(_record([*KAFKA, *AS_JSON, ("ce_timline", b"crm")], DATA))
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [("ce_timline", "crm")]


@pytest.mark.parametrize("name", ["timezone", "timestamp", "partitionkey", "tracestate", "sequence", "dataschema"])
def test_an_extension_of_others_is_none_of_our_business(name: str) -> None:
    assert cloudevents.read_structured(_body(**{name: "x"})) == AS_READ


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(WrongShape) as caught:
        cloudevents.read_structured(b'{"specversion": "1.0"}')
    assert [fault.field for fault in caught.value.faults] == ["body.id", "body.source", "body.type", "data"]


def test_a_bad_element_does_not_harm_its_neighbours_in_a_batch() -> None:
    good, bad, also_good = cloudevents.read_batch(b"[" + _body() + b", 7, " + _body(id="2") + b"]")
    assert isinstance(good, InboundEvent)
    assert isinstance(bad, WrongShape)
    assert isinstance(also_good, InboundEvent)
    assert bad.faults[0].field == "body.1"


@pytest.mark.parametrize("data", ["nope", "%%", 7, "/w==", None])
def test_an_element_whose_data_is_no_json_has_its_own_answer_and_its_neighbours_theirs(data: object) -> None:
    encoded = base64.b64encode(data.encode()).decode() if data == "nope" else data
    batch = [json.loads(_body()), {**json.loads(_body(data=None)), "data_base64": encoded}]
    good, bad = cloudevents.read_batch(json.dumps(batch).encode())
    assert good == AS_READ
    assert isinstance(bad, WrongShape)
    assert [(fault.field, fault.value) for fault in bad.faults] == [("body.1.data_base64", encoded)]


def test_a_batch_is_bounded() -> None:
    with pytest.raises(WrongShape, match="at most 100"):
        cloudevents.read_batch(b"[" + b",".join([_body()] * 101) + b"]")


KAFKA = [(f"ce_{name}", EVENT[name].encode()) for name in ("specversion", "id", "source", "type", "time")]
DATA = json.dumps(EVENT["data"]).encode()
AS_JSON = [("content-type", b"application/json")]
AS_STRUCTURED = [("content-type", b"application/cloudevents+json; charset=utf-8")]


class Memory:
    """A door's handler that keeps what it is asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        self.requests.append(request)
        return Answer(position=1, stream=UUID(int=0), version=1, facts=("gateway.RequestClosed",), known=False)


def _doors(memory: Memory) -> Doors:
    return Doors(memory, cast(Any, None), cast(Any, None), lambda: datetime(2026, 3, 3, tzinfo=UTC), dict)


def _record(headers: list[tuple[str, bytes]], value: bytes) -> wire.ForeignEvent:
    return wire.foreign(wire.envelope(headers, value))


@pytest.mark.parametrize(("headers", "value"), [([*KAFKA, *AS_JSON], DATA), (KAFKA, DATA), (AS_STRUCTURED, _body())])
def test_the_same_event_is_read_from_a_kafka_record(headers: list[tuple[str, bytes]], value: bytes) -> None:
    assert cloudevents.read_foreign(_record(headers, value)) == AS_READ


async def test_a_kafka_record_is_taken_as_over_http_for_the_tenant_that_it_names() -> None:
    memory = Memory()
    take = taking(_doors(memory))
    await take(_record([*KAFKA, *AS_JSON, ("ce_tenant", b"main")], DATA))
    await take(_record([*KAFKA, *AS_JSON, ("ce_tenant", b"north")], DATA))
    here, there = memory.requests
    assert (here.tenant, there.tenant, here.actor) == ("main", "north", "gateway/inbound")
    assert here.command_id == inbound_id("main", "crm", "1")
    assert here.at == AS_READ.time


async def test_a_kafka_record_for_a_tenant_with_a_slash_is_parked() -> None:
    memory = Memory()
    with pytest.raises(Undecodable, match="ce_tenant='main/inbound'"):
        await taking(_doors(memory))(_record([*KAFKA, *AS_JSON, ("ce_tenant", b"main/inbound")], DATA))
    assert memory.requests == []


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([*KAFKA, *AS_JSON], b"{"),
        ([*KAFKA, *AS_JSON], b"[]"),
        ([*KAFKA, *AS_JSON], b'{"surprise": 1}'),
        ([*KAFKA, ("content-type", b"text/xml")], DATA),
        ([*KAFKA, *AS_JSON, ("ce_timeline", b"other")], DATA),
        ([header for header in KAFKA if header[0] != "ce_type"] + [("ce_type", b"com.example.thing")], DATA),
    ],
)
async def test_a_kafka_record_that_cannot_be_taken_says_why(headers: list[tuple[str, bytes]], value: bytes) -> None:
    with pytest.raises(Undecodable, match="crm 1"):
        await taking(_doors(Memory()))(_record([*headers, ("ce_tenant", b"main")], value))
