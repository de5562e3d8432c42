"""A batch: each event has its own result, each subject keeps its order, a watermark comes after what it promises."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from libs.events.errors import BatonError, CommandReused, NotFound, Refusal, Unavailable
from libs.events.handling import Answer, Request, digest_of
from libs.events.testing import MemoryService, instant
from libs.service.errors import ABSENT, BodyTooLarge, Contradicted, Fault, WrongShape
from libs.service.problems import problem_of
from libs.service.running import Checked
from libs.service.storable import COMMAND_BYTES_MAX
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.channels.intake import WATERMARK_AHEAD_MAX, Intake, Taken, inbound_id
from services.gateway.main import SERVICE
from services.gateway.views.requests import REQUESTS

NOW = instant("2026-03-02T09:00+08:00")


class Memory:
    """The service in memory, remembering commands by their ids as the journal does."""

    def __init__(self) -> None:
        self.service = MemoryService(SERVICE)
        self.digests: dict[UUID, bytes] = {}
        self.types: list[str] = []
        self.away_after = 1_000

    async def ask(self, request: Request) -> Answer:
        await asyncio.sleep(0)  # let the neighbours run
        if len(self.types) >= self.away_after:
            raise Unavailable("the database is away")
        digest = digest_of(request.command)
        known = self.digests.get(request.command_id)
        if known is not None and known != digest:
            raise CommandReused(request.command_id)
        facts = () if known else self.service.ask(request.command, by=request.actor, at=request.at)
        if facts:
            self.digests[request.command_id] = digest
        self.types += [type(fact).__name__ for fact in facts]
        names = tuple(type(fact).__name__ for fact in facts)
        return Answer(position=1, stream=UUID(int=0), version=1, facts=names, known=known is not None)


def _event(name: str, type_: str, data: dict[str, Any], **more: Any) -> InboundEvent:
    return InboundEvent(id=name, source="erp", type=f"baton.{type_}.v1", data=data, **more)


def _placed(order: str) -> InboundEvent:
    return _event(f"{order}-placed", "order.placed", {"order": order, "customer": "c"})


def _shipped(order: str) -> InboundEvent:
    return _event(f"{order}-shipped", "order.shipped", {"order": order})


def _intake(memory: Memory) -> Intake:
    return Intake(memory, tenant="main", actor="erp-1", now=lambda: NOW)


def _short(results: list[Taken | BatonError | BodyTooLarge]) -> list[Any]:
    return [result.result if isinstance(result, Taken) else type(result) for result in results]


async def test_sending_again_is_answered_as_a_duplicate() -> None:
    memory = Memory()
    assert _short(await _intake(memory).take_all([_placed("1"), _placed("1")])) == ["accepted", "duplicate"]
    assert (await _intake(memory).take(_placed("1"))).result == "duplicate"
    assert memory.types == ["RequestReceived"]


async def test_the_same_id_with_other_content_is_refused() -> None:
    memory = Memory()
    await _intake(memory).take(_placed("1"))
    with pytest.raises(CommandReused, match="came before with other content"):
        await _intake(memory).take(_event("1-placed", "order.placed", {"order": "1", "customer": "another"}))


async def test_the_same_event_with_another_day_of_shipment_is_refused_as_other_content() -> None:
    def shipped(name: str, day: str) -> InboundEvent:
        return _event(name, "order.shipped", {"order": "1", "shipped_on": day})

    intake = _intake(Memory())
    await intake.take_all([_placed("1"), shipped("s-1", "2026-02-01")])
    assert _short(await intake.take_all([shipped("s-1", "2026-02-01")])) == ["duplicate"]
    with pytest.raises(CommandReused):
        await intake.take(shipped("s-1", "2026-02-02"))
    with pytest.raises(Refusal, match="another instant"):
        await intake.take(shipped("s-2", "2026-02-02"))


async def test_an_order_that_contradicts_the_first_one_is_told_which_fields_and_what_they_were() -> None:
    def placed(name: str, **data: Any) -> InboundEvent:
        return _event(name, "order.placed", {"order": "1001", **data})

    intake = _intake(Memory())
    await intake.take(placed("p-1", customer="Ernst", required_by="2026-03-20", details={"freight": "3"}))
    with pytest.raises(Contradicted) as caught:
        await intake.take(placed("p-2", customer="Ernst Handel", required_by="2026-03-27", department="sales"))
    assert caught.value.rule == "request-received-before"
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [
        ("data.customer", "Ernst Handel"),
        ("data.department", "sales"),
        ("data.required_by", "2026-03-27"),
        ("data.details.freight", ABSENT),
    ]
    customer, department, required_by, freight = caught.value.faults
    assert (customer.cure, customer.cure_zh) == (
        'came first as "Ernst"; send it so again',
        '首次发送的是 "Ernst"；请按原值发送',
    )
    assert "left out when it came first" in department.cure
    assert "2026-03-20T23:59:59" in required_by.cure
    assert 'came first as "3"' in freight.cure
    assert 'data.customer="Ernst Handel": came first as "Ernst"' in str(caught.value)
    assert problem_of(caught.value).faults == list(caught.value.faults)


async def test_an_end_before_the_beginning_or_on_another_timeline_names_its_field() -> None:
    intake = _intake(Memory())
    await intake.take(_event("p", "order.placed", {"order": "1", "customer": "c", "placed_on": "2026-03-01"}))
    early = _event("s-1", "order.shipped", {"order": "1", "shipped_on": "2026-02-01"})
    timed = _event("s-2", "order.shipped", {"order": "1"}, time=instant("2026-02-01T09:00+08:00"), where="body.")
    aside = _event("s-3", "order.shipped", {"order": "1", "shipped_on": "2026-03-02"}, timeline="erp", where="body.")
    for event, rule, field, value in (
        (early, "request-closed-too-early", "data.shipped_on", "2026-02-01"),
        (timed, "request-closed-too-early", "body.time", timed.time),
        (aside, "request-timeline", "body.timeline", "erp"),
    ):
        with pytest.raises(Contradicted) as caught:
            await intake.take(event)
        (fault,) = caught.value.faults
        assert (caught.value.rule, fault.field, fault.value) == (rule, field, value)


async def test_another_outcome_of_the_same_end_is_told_with_the_first_one() -> None:
    request = {"reference": "1", "template": "complaint", "category": "quality", "title": "blisters"}
    intake = _intake(Memory())
    await intake.take(_event("r", "request.received", request))
    await intake.take(_event("c-1", "request.closed", {"reference": "1", "outcome": "repaired"}))
    with pytest.raises(Contradicted, match=r'data\.outcome="refunded": came first as "repaired"'):
        await intake.take(_event("c-2", "request.closed", {"reference": "1", "outcome": "refunded"}))


async def test_an_order_that_was_ended_otherwise_is_not_told_to_send_a_field_that_its_shipment_does_not_have() -> None:
    intake = _intake(Memory())
    await intake.take(_placed("1"))
    await intake.take(_event("c", "request.closed", {"reference": "1", "outcome": "replaced by 2"}))
    with pytest.raises(Contradicted) as caught:
        await intake.take(_shipped("1"))
    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("type", "baton.order.shipped.v1")
    assert 'came first as "replaced by 2"' in fault.cure


async def test_a_bad_event_does_not_harm_its_neighbours() -> None:
    memory = Memory()
    events: list[InboundEvent | WrongShape] = [
        _placed("1"),
        WrongShape([Fault("body.1", "7", "no")]),
        _event("x", "nothing", {}),
        _shipped("2"),
    ]
    results = await _intake(memory).take_all([*events, _shipped("1")])
    assert _short(results) == ["accepted", WrongShape, WrongShape, NotFound, "accepted"]


async def test_an_event_that_is_too_large_does_not_harm_its_neighbours() -> None:
    memory = Memory()
    form = {f"field-{number}": "x" * 9_000 for number in range(1 + COMMAND_BYTES_MAX // 9_000)}
    request = {"reference": "2", "template": "complaint", "category": "quality", "title": "blisters", "form": form}
    large = _event("2", "request.received", request)
    intake = Intake(Checked(memory), tenant="main", actor="erp-1", now=lambda: NOW)
    results = await intake.take_all([_placed("1"), large, _placed("3")])
    assert _short(results) == ["accepted", BodyTooLarge, "accepted"]


async def test_events_of_one_subject_are_taken_in_their_order() -> None:
    memory = Memory()
    orders = [str(number) for number in range(20)]
    events = [event(order) for event in (_placed, _shipped) for order in orders]
    assert set(_short(await _intake(memory).take_all(events))) == {"accepted"}
    assert all(row.state == "closed" for row in memory.service.rows(REQUESTS))


async def test_a_watermark_is_taken_after_all_that_came_before_it_and_before_the_rest() -> None:
    memory = Memory()
    mark = _event("mark", "source.advanced", {"up_to": "2026-03-01T00:00:00Z"})
    await _intake(memory).take_all([_placed("1"), _placed("2"), mark, _placed("3")])
    assert memory.types == ["RequestReceived", "RequestReceived", "SourceAdvanced", "RequestReceived"]


async def test_a_watermark_from_the_far_future_is_refused_and_harms_no_neighbour() -> None:
    memory = Memory()
    ahead = _event("ahead", "source.advanced", {"up_to": "2126-03-02T00:00:00Z"})
    tomorrow = _event("tomorrow", "source.advanced", {"up_to": (NOW + WATERMARK_AHEAD_MAX).isoformat()})
    results = await _intake(memory).take_all([_placed("1"), ahead, _placed("2"), tomorrow])
    assert _short(results) == ["accepted", Refusal, "accepted", "accepted"]
    with pytest.raises(Refusal, match=r"data\.up_to=2126-03-02.*2026-03-02"):
        await _intake(memory).take(ahead)


async def test_a_batch_that_was_cut_off_is_sent_again_as_a_whole() -> None:
    memory = Memory()
    memory.away_after = 2
    events = [_placed("1"), _placed("2"), _placed("3")]
    with pytest.raises(Unavailable):
        await _intake(memory).take_all(events)
    memory.away_after = 1_000
    assert _short(await _intake(memory).take_all(events)) == ["duplicate", "duplicate", "accepted"]


async def test_an_event_for_another_tenant_is_refused() -> None:
    event = _event("1", "order.placed", {"order": "1", "customer": "c"}, tenant="other")
    with pytest.raises(WrongShape, match="tenant"):
        await _intake(Memory()).take(event)


def test_the_identity_of_an_event_is_its_source_and_its_id() -> None:
    assert inbound_id("main", "a", "bc") != inbound_id("main", "ab", "c")
    assert inbound_id("main", "a", "b") != inbound_id("other", "a", "b")
