"""Each type has one function; dates without a time mean the end of their day; an import brings its own instants."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.sources import boston, northwind
from libs.events.entries import entity_id
from libs.events.testing import instant
from libs.service.errors import WrongShape
from services.gateway.channels.cloudevents import InboundEvent, read_structured
from services.gateway.channels.translation import Inbound, moment, occurred_at, translate
from services.gateway.commands import AdvanceSource, CloseRequest, ReceiveRequest

NOW = instant("2026-03-02T09:00+08:00")
REQUEST = {"reference": "STORY1", "template": "complaint", "category": "quality", "title": "veneer blisters"}


def _event(type_: str, data: dict[str, Any], **attributes: Any) -> InboundEvent:
    return InboundEvent(**{"id": "1", "source": "crm", "type": type_, "data": data, **attributes})


def test_a_request_becomes_the_case_that_every_service_computes() -> None:
    inbound = translate(_event("baton.request.received.v1", REQUEST), "main")
    assert isinstance(inbound.command, ReceiveRequest)
    assert inbound.command.case_id == inbound.subject == entity_id("main", "case", "crm/STORY1")
    assert translate(_event("baton.request.received.v1", REQUEST), "other").subject != inbound.subject


def test_an_order_is_a_request_due_at_the_end_of_the_day_it_is_required() -> None:
    data = {"order": "10248", "customer": "VINET", "placed_on": "2016-07-04", "required_by": "2016-08-01"}
    inbound = translate(_event("baton.order.placed.v1", data, timeline="crm"), "main")
    assert isinstance(inbound.command, ReceiveRequest)
    assert inbound.command.template == "order"
    assert inbound.command.target_at == instant("2016-08-02T00:00+00:00") - timedelta(microseconds=1)
    assert inbound.happened_at == instant("2016-07-05T00:00+00:00") - timedelta(microseconds=1)


def test_an_order_shipped_closes_the_request_that_it_was() -> None:
    data = {"order": "10248", "shipped_on": "2016-07-16", "zone": "Asia/Shanghai"}
    inbound = translate(_event("baton.order.shipped.v1", data), "main")
    assert isinstance(inbound.command, CloseRequest)
    assert inbound.command.case_id == entity_id("main", "case", "crm/10248")
    assert inbound.happened_at == instant("2016-07-17T00:00+08:00") - timedelta(microseconds=1)


def test_a_watermark_is_about_its_source() -> None:
    inbound = translate(_event("baton.source.advanced.v1", {"up_to": "2026-03-02T00:00:00Z"}), "main")
    assert isinstance(inbound.command, AdvanceSource)
    assert inbound.subject == entity_id("main", "source", "crm")


@pytest.mark.parametrize("type_", ["baton.request.received.v2", "baton.request.vanished.v1", "com.example.other"])
def test_an_unknown_type_or_version_is_answered_with_those_that_are_read(type_: str) -> None:
    with pytest.raises(WrongShape, match=r"baton\.order\.shipped\.v1"):
        translate(_event(type_, {}), "main")


@pytest.mark.parametrize(
    ("type_", "data", "field"),
    [
        ("baton.request.received.v1", {**REQUEST, "title": None}, "data.title"),
        ("baton.request.received.v1", {**REQUEST, "title": "a\x00b"}, "data.title"),
        ("baton.request.received.v1", {**REQUEST, "form": {"order": 7}}, "data.form.order"),
        ("baton.request.received.v1", {**REQUEST, "surprise": 1}, "data.surprise"),
        ("baton.request.received.v1", {**REQUEST, "target_at": "2026-03-02T09:00:00"}, "data.target_at"),
        ("baton.request.received.v1", {**REQUEST, "reference": "r" * 201}, "data.reference"),
        ("baton.request.closed.v1", {}, "data.reference"),
        ("baton.order.placed.v1", {"order": "1", "customer": "c", "required_by": "soon"}, "data.required_by"),
        ("baton.order.placed.v1", {"order": "1", "customer": "c", "required_by": "2016-13-01"}, "data.required_by"),
        ("baton.order.placed.v1", {"order": "1", "customer": "c", "zone": "Mars/Olympus"}, "data.zone"),
        ("baton.order.placed.v1", {"order": "1", "customer": "c", "zone": "../../etc/passwd"}, "data.zone"),
        ("baton.order.shipped.v1", {"order": "1", "shipped_on": "9999-12-31"}, "data.shipped_on"),
        ("baton.source.advanced.v1", {"up_to": "9999-12-31T00:00:00Z"}, "data.up_to"),
    ],
)
def test_data_of_the_wrong_shape_is_named(type_: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(WrongShape) as caught:
        translate(_event(type_, data), "main")
    assert caught.value.faults[0].field == field


def test_a_timeline_is_the_events_own_source_and_needs_an_instant() -> None:
    with pytest.raises(WrongShape, match="timeline"):
        translate(_event("baton.request.received.v1", REQUEST, timeline="erp", time=NOW), "main")
    with pytest.raises(WrongShape, match="time"):
        translate(_event("baton.request.received.v1", REQUEST, timeline="crm"), "main")


def test_outside_an_import_nothing_happens_after_now() -> None:
    inbound = translate(_event("baton.request.received.v1", REQUEST), "main")
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    assert occurred_at(inbound, "", NOW) == NOW
    assert occurred_at(Inbound(inbound.command, inbound.subject, earlier), "", NOW) == earlier
    assert occurred_at(Inbound(inbound.command, inbound.subject, later), "", NOW) == NOW
    assert occurred_at(Inbound(inbound.command, inbound.subject, later), "crm", NOW) == later


@given(st.dates(datetime(1990, 1, 1).date(), datetime(2100, 1, 1).date()))  # noqa: DTZ001 – bounds of dates
def test_the_end_of_a_day_is_the_last_microsecond_of_that_day_in_its_zone(day: Any) -> None:
    zone = ZoneInfo("America/New_York")
    end = moment("f", day.isoformat(), zone)
    assert end is not None
    assert end.astimezone(zone).date() == day
    assert (end + timedelta(microseconds=1)).astimezone(zone).date() == day + timedelta(days=1)
    assert end.tzinfo is UTC


@pytest.mark.parametrize("source", [boston, northwind])
def test_every_event_of_the_shipped_sources_is_understood(source: Any) -> None:
    for event in source.events():
        read = read_structured(json.dumps(event).encode())
        inbound = translate(read, "main")
        assert inbound.happened_at == datetime.fromisoformat(event["time"])
