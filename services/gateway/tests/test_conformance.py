"""The CloudEvents project's own conformance cases, through the door's decoders and the kernel's."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from libs.events import wire
from libs.events.errors import Undecodable
from libs.service.errors import UnsupportedMedia, WrongShape
from services.gateway.channels import cloudevents
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.tests.features import Case, cases

FOLDER = Path(__file__).parent / "conformance"
HTTP = list(cases(FOLDER / "http-protocol-binding.feature"))
KAFKA = list(cases(FOLDER / "kafka-protocol-binding.feature"))
HTTP_CASES, KAFKA_CASES, YAML_CASES = 4, 3, 6
# The door takes JSON objects only; the kernel, which looks at no data, takes them all.
TAKEN = {"conformance-0004"}
WITHOUT_JSON = {"conformance-0001", "conformance-0002", "conformance-0006"}
Event = dict[str, Any]


def _yaml(name: str) -> list[Event]:
    return list(yaml.safe_load_all((FOLDER / name).read_text("utf-8")))


def _headed(event: Event, prefix: str) -> dict[str, str]:
    """The attributes as headers of the binary mode."""
    attributes = {name: _text(value) for name, value in event["ContextAttributes"].items() if name != "Extensions"}
    attributes |= event["ContextAttributes"].get("Extensions", {})
    content_type = attributes.pop("datacontenttype", "application/json")
    return {**{f"{prefix}{name}": value for name, value in attributes.items()}, "content-type": content_type}


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _name(event: Event) -> str:
    return str(event["ContextAttributes"]["id"])


def test_every_case_is_here() -> None:
    assert (len(HTTP), len(KAFKA)) == (HTTP_CASES, KAFKA_CASES)
    assert [len(_yaml(f"{version}_minimum.yaml")) for version in ("v1", "v03")] == [YAML_CASES, YAML_CASES]
    assert [event.get("Mode") for event in (*_yaml("v1.yaml"), *_yaml("v03.yaml"))] == ["binary", "structured", None]


@pytest.mark.parametrize("case", HTTP, ids=lambda case: case.name)
def test_an_http_message_has_the_attributes_and_the_data_that_the_feature_says(case: Case) -> None:
    head, _, body = case.text("an HTTP request").partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    content_type = headers["Content-Type"]
    if cloudevents.mode_of(content_type) == "structured":
        read = cloudevents.read_structured(body.encode())
    else:
        read = cloudevents.read_binary_http(headers, body.encode())
        assert case.pairs("the attributes are")["datacontenttype"] == content_type
    _is_as_told(read, case)


@pytest.mark.parametrize("case", KAFKA, ids=lambda case: case.name)
def test_a_kafka_message_has_the_attributes_and_the_data_that_the_feature_says(case: Case) -> None:
    headers = [(name, value.encode()) for name, value in case.pairs("Kafka headers").items()]
    found = wire.envelope(headers, case.text("a Kafka message with payload").encode())
    assert found.attributes == case.pairs("the attributes are")
    foreign = wire.foreign(found)
    assert foreign.content_type == "application/json"
    assert msgspec.json.decode(foreign.data) == json.loads(case.text("the data is equal to the following JSON"))
    _is_as_told(cloudevents.read_foreign(foreign), case)


def _is_as_told(read: InboundEvent, case: Case) -> None:
    told = case.pairs("the attributes are")
    assert told["specversion"] == "1.0"
    assert (read.id, read.type, read.source) == (told["id"], told["type"], told["source"])
    assert read.time == wire.parse_instant("time", told["time"])
    assert read.data == json.loads(case.text("the data is equal to the following JSON"))


@pytest.mark.parametrize("event", _yaml("v1_minimum.yaml"), ids=_name)
def test_a_minimal_event_is_read_by_the_kernel_whatever_its_data_are(event: Event) -> None:
    headers = [(name, value.encode()) for name, value in _headed(event, "ce_").items()]
    found = wire.foreign(wire.envelope(headers, event["Data"].encode()))
    told = event["ContextAttributes"]
    assert (found.id, found.type, found.source) == (told["id"], told["type"], told["source"])
    assert (found.content_type, found.data) == (told["datacontenttype"], event["Data"].encode())
    assert (found.time, found.subject, found.extensions) == (None, None, {})


@pytest.mark.parametrize("event", _yaml("v1_minimum.yaml"), ids=_name)
def test_a_minimal_event_is_taken_by_the_door_when_its_data_are_a_json_object_and_else_refused_by_name(
    event: Event,
) -> None:
    headers, data = _headed(event, "ce-"), event["Data"].encode()
    structured = {**event["ContextAttributes"], "specversion": "1.0", "data": event["Data"]}
    if _name(event) in WITHOUT_JSON:
        with pytest.raises(UnsupportedMedia):
            cloudevents.mode_of(headers["content-type"])
        with pytest.raises(WrongShape, match="datacontenttype"):
            cloudevents.read_structured(json.dumps(structured).encode())
        return
    assert cloudevents.mode_of(headers["content-type"]) == "binary"
    structured["data"] = json.loads(data)
    if _name(event) in TAKEN:
        assert cloudevents.read_binary_http(headers, data).data == {"msg": "Hello, 🌎!"}
        assert cloudevents.read_structured(json.dumps(structured).encode()).data == {"msg": "Hello, 🌎!"}
    else:
        with pytest.raises(WrongShape, match="must be a JSON object"):
            cloudevents.read_binary_http(headers, data)
        with pytest.raises(WrongShape, match="must be a JSON object"):
            cloudevents.read_structured(json.dumps(structured).encode())


@pytest.mark.parametrize("event", _yaml("v1.yaml"), ids=lambda event: event["Mode"])
def test_an_event_with_extensions_is_read_in_its_mode_and_the_kernel_hands_them_on(event: Event) -> None:
    told, data = event["ContextAttributes"], json.loads(event["Data"])
    headers = _headed(event, "ce-")
    if event["Mode"] == "binary":
        assert cloudevents.mode_of(headers["content-type"]) == "binary"
        read = cloudevents.read_binary_http(headers, event["Data"].encode())
    else:
        names = {name: _text(value) for name, value in told.items() if name != "Extensions"}
        read = cloudevents.read_structured(json.dumps({**names, **told["Extensions"], "data": data}).encode())
    assert (read.id, read.type, read.source, read.time) == (told["id"], told["type"], told["source"], told["time"])
    assert read.data == data
    on_kafka = [(name, value.encode()) for name, value in _headed(event, "ce_").items()]
    assert wire.foreign(wire.envelope(on_kafka, event["Data"].encode())).extensions == told["Extensions"]


@pytest.mark.parametrize("event", [*_yaml("v03_minimum.yaml"), *_yaml("v03.yaml")], ids=_name)
def test_an_event_of_an_older_specification_is_refused_by_name(event: Event) -> None:
    headers = [(name, value.encode()) for name, value in _headed(event, "ce_").items()]
    with pytest.raises(Undecodable, match="ce_specversion"):
        wire.envelope(headers, event["Data"].encode())
    with pytest.raises(WrongShape, match="ce-specversion"):
        cloudevents.read_binary_http(_headed(event, "ce-"), b"{}")
