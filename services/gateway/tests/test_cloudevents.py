"""CloudEvents are read in every mode, and what cannot be read says which field, what was there, and the cure."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.service.errors import NotJson, UnsupportedMedia, WrongShape
from services.gateway.channels import cloudevents
from services.gateway.channels.cloudevents import InboundEvent

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
    kafka = [(f"ce_{name}", EVENT[name].encode()) for name in ("specversion", "id", "source", "type", "time")]
    data = json.dumps(EVENT["data"]).encode()
    structured = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    assert cloudevents.read_structured(_body()) == AS_READ
    assert cloudevents.read_binary_http({**http, "Content-Type": "application/json"}, data) == AS_READ
    assert cloudevents.read_batch(b"[" + _body() + b"]") == [AS_READ]
    assert cloudevents.read_kafka([*kafka, ("content-type", b"application/json")], data) == AS_READ
    assert cloudevents.read_kafka(structured, _body()) == AS_READ


def test_data_may_come_in_base64() -> None:
    encoded = base64.b64encode(json.dumps(EVENT["data"]).encode()).decode()
    assert cloudevents.read_structured(_body(data=None, data_base64=encoded)) == AS_READ


def test_headers_of_the_binary_mode_are_percent_decoded() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "%E6%8A%95%E8%AF%89", "ce-source": "crm", "ce-type": "t"}
    assert cloudevents.read_binary_http(headers, b"{}").id == "投诉"


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


def test_a_batch_is_bounded() -> None:
    with pytest.raises(WrongShape, match="at most 100"):
        cloudevents.read_batch(b"[" + b",".join([_body()] * 101) + b"]")


def test_a_kafka_record_without_attributes_or_value_is_refused() -> None:
    with pytest.raises(NotJson):
        cloudevents.read_kafka([], None)
    with pytest.raises(WrongShape, match="ce_id"):
        cloudevents.read_kafka([("ce_specversion", b"1.0")], b"{}")
    with pytest.raises(WrongShape, match="UTF-8"):
        cloudevents.read_kafka([("ce_id", b"\xff")], b"{}")
