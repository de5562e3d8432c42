"""Each type has one function; dates without a time mean the end of their day; an import brings its own instants."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, get_args

import pytest

from libs.events import wire
from libs.events.contracts.gateway import PRIORITIES
from libs.events.contracts.tasks import case_id
from libs.events.entries import entity_id
from libs.events.testing import instant
from libs.service.errors import WrongShape
from services.gateway.channels import cloudevents
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.channels.translation import DETAILS_MAX, Priority, translate
from services.gateway.commands import AdvanceSource, CloseRequest, ReceiveRequest

NOW = instant("2026-03-02T09:00+08:00")
REQUEST = {"reference": "STORY1", "template": "complaint", "category": "quality", "title": "veneer blisters"}


def _event(type_: str, data: dict[str, Any], **attributes: Any) -> InboundEvent:
    return InboundEvent(**{"id": "1", "source": "crm", "type": type_, "data": data, **attributes})


def test_a_request_becomes_the_case_that_every_service_computes() -> None:
    inbound = translate(_event("baton.request.received.v1", REQUEST), "main")
    assert isinstance(inbound.command, ReceiveRequest)
    assert inbound.command.case_id == inbound.subject == case_id("main", "crm", "STORY1")
    assert translate(_event("baton.request.received.v1", REQUEST), "other").subject != inbound.subject


def test_two_sources_never_share_a_case() -> None:
    assert case_id("main", "https://erp/a", "b/7") != case_id("main", "https://erp/a/b", "7")


def test_a_priority_that_nobody_knows_is_refused_with_the_known_ones() -> None:
    assert get_args(Priority) == PRIORITIES
    with pytest.raises(WrongShape, match=r"data\.priority.*hgih.*'low', 'normal', 'high' or 'urgent'"):
        translate(_event("baton.request.received.v1", {**REQUEST, "priority": "hgih"}), "main")


def test_an_order_is_a_request_due_at_the_end_of_the_day_it_is_required() -> None:
    data = {"order": "10248", "customer": "VINET", "placed_on": "2016-07-04", "required_by": "2016-08-01"}
    inbound = translate(_event("baton.order.placed.v1", data, timeline="crm"), "main")
    assert isinstance(inbound.command, ReceiveRequest)
    assert inbound.command.template == "order"
    assert inbound.command.target_at == instant("2016-08-02T00:00+00:00") - timedelta(microseconds=1)
    assert inbound.happened_at == instant("2016-07-05T00:00+00:00") - timedelta(microseconds=1)


@pytest.mark.parametrize("required_by", ["2025-01-01", "2026-11-01", "2026-11-01T23:59:59+08:00"])
def test_an_order_that_is_required_before_it_was_placed_is_refused_with_both_days(required_by: str) -> None:
    data = {"order": "1", "customer": "c", "placed_on": "2026-11-02", "required_by": required_by}
    with pytest.raises(WrongShape) as caught:
        translate(_event("baton.order.placed.v1", {**data, "zone": "Asia/Shanghai"}), "main")
    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("data.required_by", required_by)
    assert "before data.placed_on=2026-11-02" in fault.cure


@pytest.mark.parametrize(
    ("placed_on", "required_by"),
    [("2026-11-02", "2026-11-02"), ("2026-11-02", "2026-11-02T08:00:00+08:00"), (None, "2025-01-01")],
)
def test_an_order_may_be_required_on_the_day_it_was_placed(placed_on: str | None, required_by: str) -> None:
    data = {"order": "1", "customer": "c", "placed_on": placed_on, "required_by": required_by, "zone": "Asia/Shanghai"}
    command = translate(_event("baton.order.placed.v1", data), "main").command
    assert isinstance(command, ReceiveRequest)
    assert command.target_at is not None


def test_all_that_is_wrong_with_an_order_is_told_at_once() -> None:
    order: dict[str, Any] = {"order": "10248", "customer": "VINET", "placed_on": "2026-13-40", "required_by": "nope"}
    wrong = {**order, "zone": "Mars/Olympus", "department": 7, "foo": 1}
    with pytest.raises(WrongShape) as caught:
        translate(_event("baton.order.placed.v1", wrong, timeline="elsewhere"), "main")
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [
        ("timeline", "elsewhere"),
        ("data.placed_on", "2026-13-40"),
        ("data.required_by", "nope"),
        ("data.zone", "Mars/Olympus"),
        ("data.department", 7),
        ("data.foo", 1),
    ]


def test_an_attribute_has_one_name_in_faults_whoever_finds_it_wrong() -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "crm",
        "timeline": "elsewhere",
        "type": "no.such.type",
        "data": {},
    }
    headers = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
    raw = json.dumps(event).encode()
    (in_batch,) = cloudevents.read_batch(b"[" + raw + b"]")
    assert isinstance(in_batch, InboundEvent)
    for read, where in (
        (cloudevents.read_structured(raw), "body."),
        (in_batch, "body.0."),
        (cloudevents.read_binary_http(headers, b"{}"), "ce-"),
    ):
        with pytest.raises(WrongShape) as caught:
            translate(read, "main")
        assert [fault.field for fault in caught.value.faults] == [f"{where}timeline", f"{where}type"]
    untimed = json.dumps({**event, "timeline": "crm", "type": "baton.request.received.v1", "data": REQUEST}).encode()
    with pytest.raises(WrongShape, match=r"^body\.time: is missing"):
        translate(cloudevents.read_structured(untimed), "main")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2200-01-01", "2026-03-02T09:00"])
def test_a_day_that_no_clock_here_knows_is_refused_under_its_own_name(day: str) -> None:
    data = {"order": "10248", "customer": "VINET", "required_by": day, "zone": "Pacific/Kiritimati"}
    with pytest.raises(WrongShape, match=r"^data\.required_by="):
        translate(_event("baton.order.placed.v1", data), "main")


def test_the_details_of_an_order_stand_in_the_form_beside_its_own_fields_and_never_under_their_names() -> None:
    order: dict[str, Any] = {"order": "10248", "customer": "VINET"}
    most = {f"d{number}": "x" for number in range(DETAILS_MAX)}
    command = translate(_event("baton.order.placed.v1", {**order, "details": most}), "main").command
    assert isinstance(command, ReceiveRequest)
    assert command.form == {**most, **order}
    with pytest.raises(WrongShape, match=rf"^data\.details=.*at most {DETAILS_MAX} entries"):
        translate(_event("baton.order.placed.v1", {**order, "details": {**most, "more": "x"}}), "main")
    with pytest.raises(WrongShape) as caught:
        translate(_event("baton.order.placed.v1", {**order, "details": {"customer": "Ernst", "freight": "3"}}), "main")
    assert [fault.value for fault in caught.value.faults] == ["customer"]
    assert "leave it out of the details" in str(caught.value)


def test_an_order_shipped_closes_the_request_that_it_was() -> None:
    data = {"order": "10248", "shipped_on": "2016-07-16", "zone": "Asia/Shanghai"}
    inbound = translate(_event("baton.order.shipped.v1", data), "main")
    assert isinstance(inbound.command, CloseRequest)
    assert inbound.command.case_id == case_id("main", "crm", "10248")
    assert inbound.happened_at == instant("2016-07-17T00:00+08:00") - timedelta(microseconds=1)


def test_a_watermark_is_about_its_source() -> None:
    inbound = translate(_event("baton.source.advanced.v1", {"up_to": "2026-03-02T00:00:00Z"}), "main")
    assert isinstance(inbound.command, AdvanceSource)
    assert inbound.subject == entity_id("main", "source", "crm")


@pytest.mark.parametrize("wrong", [2026, 1793590200.5, "2026", "1793590200", "2026-11-02", "2026-11-02 03:30:00Z"])
def test_a_year_a_day_or_a_number_in_an_event_is_no_instant_of_1970(wrong: object) -> None:
    with pytest.raises(WrongShape, match=r"data\.target_at=.*must be an instant"):
        translate(_event("baton.request.received.v1", {**REQUEST, "target_at": wrong}), "main")
    with pytest.raises(WrongShape, match=r"data\.up_to=.*must be an instant"):
        translate(_event("baton.source.advanced.v1", {"up_to": wrong}), "main")


@pytest.mark.parametrize("text", ["2026-11-02T03:30:00Z", "2026-11-02t03:30:00z", "2026-11-02T11:30:00+08:00"])
def test_an_instant_is_read_alike_wherever_an_event_has_one(text: str) -> None:
    at = instant("2026-11-02T03:30:00+00:00")
    advanced = translate(_event("baton.source.advanced.v1", {"up_to": text}), "main").command
    assert isinstance(advanced, AdvanceSource)
    shipped = translate(_event("baton.order.shipped.v1", {"order": "1", "shipped_on": text}), "main")
    timed = {"specversion": "1.0", "id": "1", "source": "crm", "type": "t", "time": text, "data": {}}
    of_http = cloudevents.read_structured(json.dumps(timed).encode())
    assert (advanced.up_to, shipped.happened_at, of_http.time, wire.parse_instant("time", text)) == (at, at, at, at)


@pytest.mark.parametrize("type_", ["baton.request.received.v2", "baton.request.vanished.v1", "com.example.other"])
def test_an_unknown_type_or_version_is_answered_with_those_that_are_read(type_: str) -> None:
    with pytest.raises(WrongShape, match=r"baton\.order\.shipped\.v1"):
        translate(_event(type_, {}), "main")
