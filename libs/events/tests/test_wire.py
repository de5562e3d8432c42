"""Entries as CloudEvents and back, read and written by an unrelated CloudEvents client too."""

from __future__ import annotations

import contextlib
import re
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from cloudevents.core.bindings import kafka as theirs
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from libs.events import wire
from libs.events.appends import Heard
from libs.events.entries import Entry, new_id
from libs.events.errors import Undecodable

INSTANT = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def entry(**changes: Any) -> Entry:
    plain: dict[str, Any] = {
        "position": 9,
        "sequence": 4,
        "id": new_id(),
        "type": "tasks.HandoffOffered",
        "schema_version": 2,
        "stream": uuid4(),
        "version": 3,
        "tenant": "main",
        "subject": uuid4(),
        "actor": "prod-1",
        "command_id": new_id(),
        "causation_id": None,
        "correlation_id": new_id(),
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "basis": 8,
        "epoch": 1,
        "occurred_at": INSTANT,
        "recorded_at": INSTANT + timedelta(seconds=1),
        "noted_at": INSTANT + timedelta(seconds=1),
        "backfilled": False,
        "data": b'{"number":1, "to":"purchasing"}',
    }
    return Entry(**{**plain, **changes})


def changed(record: wire.Outgoing, **headers: bytes | None) -> list[tuple[str, bytes]]:
    """The record's headers with some replaced (None: left out)."""
    plain = dict(record.headers)
    for name, value in headers.items():
        plain.pop(name, None)
        if value is not None:
            plain[name] = value
    return list(plain.items())


def test_an_entry_comes_back_as_it_went() -> None:
    sent = entry()
    record = wire.outgoing(sent, previous=2, epoch=5)
    event = wire.envelope(record.headers, record.value)
    got = wire.heard(event, backfilled=True)
    for name in msgspec.structs.asdict(sent).keys() & set(type(got).__struct_fields__):
        if name not in ("backfilled", "epoch"):
            assert getattr(got, name) == getattr(sent, name), name
    assert (got.backfilled, got.epoch) == (True, 5)
    assert wire.link(event) == (4, 2, 5)
    assert wire.owner_of(event) == "tasks"
    assert record.key == f"main:{sent.subject}".encode()


def read(headers: list[tuple[str, bytes]], value: bytes) -> Heard:
    """Everything that a listener looks at."""
    event = wire.envelope(headers, value)
    wire.owner_of(event)
    wire.link(event)
    return wire.heard(event, backfilled=False)


_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60)
_instants = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 made aware


@given(
    actor=_text,
    tenant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True),
    data=st.binary(max_size=200),
    occurred_at=_instants,
    causation_id=st.none() | st.uuids(),
    basis=st.none() | st.integers(1, 2**62 // 10),
    version=st.integers(1, 2**31 - 1),
)
def test_whatever_an_entry_says_survives_the_wire(**said: Any) -> None:
    sent = entry(**said)
    record = wire.outgoing(sent, previous=0, epoch=1)
    got = wire.heard(wire.envelope(record.headers, record.value), backfilled=False)
    assert {name: getattr(got, name) for name in said} == said


_zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(instant=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=_zones))  # noqa: DTZ001 made aware
@example(instant=INSTANT.replace(microsecond=0))
@example(instant=INSTANT.replace(microsecond=120_000))
def test_an_instant_has_one_form_since_the_digest_of_a_record_depends_on_it(instant: datetime) -> None:
    told = wire.instant_text(instant)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told)
    assert datetime.fromisoformat(told) == instant


def test_the_partition_follows_from_the_key_by_a_fixed_rule() -> None:
    assert wire.partition_of(b"main:1", 6) == zlib.crc32(b"main:1") % 6
    assert [wire.partition_of(f"main:{n}".encode(), 6) for n in range(8)] == [4, 0, 0, 0, 3, 5, 5, 1]


def test_a_heard_entry_is_never_published() -> None:
    with pytest.raises(ValueError, match="only its owner"):
        wire.outgoing(entry(sequence=None), previous=0, epoch=1)


def test_an_unrelated_client_reads_our_record() -> None:
    sent = entry()
    record = wire.outgoing(sent, previous=2, epoch=1)
    message = theirs.KafkaMessage(dict(record.headers), record.key, record.value)
    read = theirs.from_binary(message, JSONFormat(), CloudEvent)
    assert read.get_id() == str(sent.id)
    assert read.get_type() == "tasks.HandoffOffered"
    assert read.get_source() == "/baton/tasks"
    assert read.get_subject() == str(sent.subject)
    assert read.get_time() == INSTANT
    assert read.get_extension("sequence") == "4"
    assert read.get_data() == {"number": 1, "to": "purchasing"}


def foreign_event() -> CloudEvent:
    return CloudEvent(
        {
            "id": "4711",
            "type": "baton.request.received.v1",
            "source": "urn:city",
            "time": datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-5))),
            "subject": "R-1",
            "datacontenttype": "application/json",
            "timeline": "boston",
        },
        {"title": "路灯坏了"},
    )


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_we_read_the_record_of_an_unrelated_client(mode: str) -> None:
    write = theirs.to_binary if mode == "binary" else theirs.to_structured
    message = write(foreign_event(), JSONFormat())
    got = wire.foreign(wire.envelope(message.headers.items(), message.value))
    assert (got.id, got.source, got.type, got.subject) == ("4711", "urn:city", "baton.request.received.v1", "R-1")
    assert got.time == datetime(2024, 1, 2, 8, 4, 5, tzinfo=UTC)
    assert got.extensions == {"timeline": "boston"}
    assert msgspec.json.decode(got.data) == {"title": "路灯坏了"}


def test_structured_data_in_base64_is_read() -> None:
    value = b'{"specversion":"1.0","id":"1","type":"t","source":"s","count":7,"on":true,"data_base64":"e30="}'
    got = wire.foreign(wire.envelope([("Content-Type", b"application/cloudevents+json; charset=utf-8")], value))
    assert (got.data, got.extensions) == (b"{}", {"count": "7", "on": "true"})


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({"ce_id": None}, "ce_id"),
        ({"ce_id": b"no uuid"}, "ce_id"),
        ({"ce_id": b"\xff\xfe"}, "ce_id"),
        ({"ce_actor": b"a\x00b"}, "ce_actor"),
        ({"ce_specversion": b"0.3"}, "ce_specversion"),
        ({"ce_specversion": None}, "ce_specversion"),
        ({"ce_time": b"2024-05-06"}, "ce_time"),
        ({"ce_time": b"2024-05-06T07:08:09"}, "ce_time"),
        ({"ce_recordedat": b"0001-01-01T00:00:00+23:59"}, "ce_recordedat"),
        ({"ce_sequence": b"-1"}, "ce_sequence"),
        ({"ce_sequence": "٣".encode()}, "ce_sequence"),
        ({"ce_previous": b"9"}, "ce_previous"),
        ({"ce_schemaversion": b"0"}, "ce_schemaversion"),
        ({"ce_streamversion": b"99999999999"}, "ce_streamversion"),
        ({"ce_source": b"/elsewhere/tasks"}, "ce_source"),
        ({"ce_source": b"/baton/sla"}, "ce_type"),
        ({"ce_tenant": b"x" * 9000}, "ce_tenant"),
        ({"ce_tenant": b"main/tasks"}, "ce_tenant"),
        ({"content-type": b"text/plain"}, "content-type"),
        ({"content-type": b"application/cloudevents-batch+json"}, "content-type"),
        ({"content-type": b"application/cloudevents+json"}, "ce_specversion"),
    ],
)
def test_a_wrong_header_is_named(headers: dict[str, bytes | None], names: str) -> None:
    record = wire.outgoing(entry(), previous=1, epoch=1)
    with pytest.raises(Undecodable) as refused:
        read(changed(record, **headers), record.value)
    assert refused.value.field == names


def test_a_header_that_comes_twice_is_refused() -> None:
    record = wire.outgoing(entry(), previous=1, epoch=1)
    with pytest.raises(Undecodable, match="once only"):
        wire.envelope([*record.headers, ("CE_ID", str(uuid4()).encode())], record.value)


def test_broken_structured_json_is_refused() -> None:
    nested = b'{"data": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    base64 = (b'{"data_base64": "?"}', '{"data_base64": "é"}'.encode())
    for value in (b"{", b"[]", b'{"id": [1]}', b"\xff", *base64, nested):
        with pytest.raises(Undecodable, match="value="):
            wire.envelope([("content-type", b"application/cloudevents+json")], value)


_names = st.text(max_size=12) | st.sampled_from(["ce_id", "ce_type", "ce_specversion", "content-type"])


@given(headers=st.lists(st.tuples(_names, st.binary(max_size=40))))
def test_any_bytes_are_read_or_refused_and_nothing_else(headers: list[tuple[str, bytes]]) -> None:
    with contextlib.suppress(Undecodable):
        assert isinstance(read(headers, b"{}"), Heard)
