"""What was taken in stands; the same again changes nothing; what contradicts it is refused."""

from __future__ import annotations

from uuid import UUID

from libs.events.contracts.gateway import DeliveryAltered, RequestClosed, RequestReceived, SourceAdvanced
from libs.events.testing import MemoryService, given, instant
from services.gateway.commands import AdvanceSource, CloseRequest, NoteAlteredDelivery, ReceiveRequest
from services.gateway.domain import delivery, request, source
from services.gateway.main import SERVICE
from services.gateway.views.requests import REQUESTS

CASE = UUID(int=1)
AT = instant("2026-03-02T09:00+08:00")
RECEIVE = ReceiveRequest(
    case_id=CASE, source="crm", reference="STORY1", template="complaint", category="quality", title="t", form={"a": "b"}
)
RECEIVED = RequestReceived("crm", "STORY1", "complaint", "quality", "t", {"a": "b"})
CLOSE = CloseRequest(case_id=CASE, source="crm", reference="STORY1", outcome="done")
CLOSED = RequestClosed("crm", "STORY1", "done")
take, finish = request.HANDLES
(advance,) = source.HANDLES
_, note = delivery.HANDLES


def test_a_request_is_received_once() -> None:
    given(request.REQUEST).when(take, RECEIVE, by="crm-1", at=AT).then(RECEIVED)
    given(request.REQUEST, RECEIVED).when(take, RECEIVE, by="crm-2", at=AT).then()


def test_the_same_reference_with_other_content_is_refused() -> None:
    other = RECEIVE.model_copy(update={"title": "another"})
    outcome = given(request.REQUEST, RECEIVED).when(take, other, by="crm-1", at=AT)
    assert "STORY1" in outcome.refused("request-received-before").zh


def test_a_request_is_closed_once_and_after_it_was_received() -> None:
    given(request.REQUEST).when(finish, CLOSE, by="crm-1", at=AT).refused("unknown-request")
    given(request.REQUEST, RECEIVED).when(finish, CLOSE, by="crm-1", at=AT).then(CLOSED)
    given(request.REQUEST, RECEIVED, CLOSED).when(finish, CLOSE, by="crm-1", at=AT).then()
    other = CLOSE.model_copy(update={"outcome": "cancelled"})
    given(request.REQUEST, RECEIVED, CLOSED).when(finish, other, by="crm-1", at=AT).refused("request-closed-before")


def test_another_instant_of_the_same_close_is_a_contradiction_and_not_a_duplicate() -> None:
    early, late = instant("2026-03-01T00:00+00:00"), instant("2026-03-02T00:00+00:00")
    first = CLOSE.model_copy(update={"happened_at": early})
    closed = RequestClosed("crm", "STORY1", "done", happened_at=early)
    given(request.REQUEST, RECEIVED).when(finish, first, by="crm-1", at=early).then(closed)
    other = CLOSE.model_copy(update={"happened_at": late})
    given(request.REQUEST, RECEIVED, closed).when(finish, other, by="crm-1", at=late).refused("request-closed-before")
    given(request.REQUEST, RECEIVED, closed).when(finish, CLOSE, by="crm-1", at=late).then()
    given(request.REQUEST, RECEIVED, CLOSED).when(finish, other, by="crm-1", at=late).then()
    moved = RECEIVE.model_copy(update={"happened_at": late})
    received = RequestReceived("crm", "STORY1", "complaint", "quality", "t", {"a": "b"}, happened_at=early)
    given(request.REQUEST, received).when(take, moved, by="crm-1", at=late).refused("request-received-before")


def test_a_close_from_before_the_request_is_a_contradiction_and_its_own_day_is_not() -> None:
    placed = instant("2018-05-06T23:59:59+00:00")
    received = RequestReceived("crm", "STORY1", "complaint", "quality", "t", {"a": "b"}, happened_at=placed)
    early = CLOSE.model_copy(update={"happened_at": instant("1990-05-06T23:59:59+00:00")})
    refused = given(request.REQUEST, received).when(finish, early, by="crm-1", at=AT)
    assert "1990-05-06" in refused.refused("request-closed-too-early").en
    noon = instant("2018-05-06T12:00:00+00:00")
    same_day = CLOSE.model_copy(update={"happened_at": noon})
    closed = RequestClosed("crm", "STORY1", "done", happened_at=noon)
    given(request.REQUEST, received).when(finish, same_day, by="crm-1", at=AT).then(closed)
    given(request.REQUEST, RECEIVED).when(finish, early, by="crm-1", at=AT).then(
        RequestClosed("crm", "STORY1", "done", happened_at=early.happened_at)
    )


def test_a_request_of_an_import_is_not_closed_by_the_clock_on_the_wall() -> None:
    imported = RequestReceived("crm", "STORY1", "complaint", "quality", "t", {}, timeline="crm")
    given(request.REQUEST, imported).when(finish, CLOSE, by="crm-1", at=AT).refused("request-timeline")


def test_a_watermark_only_rises() -> None:
    early, late = instant("2026-03-01T00:00+00:00"), instant("2026-03-02T00:00+00:00")
    command = AdvanceSource(source_id=CASE, source="crm", up_to=late)
    given(source.SOURCE).when(advance, command, by="crm-1", at=AT).then(SourceAdvanced("crm", late))
    again = command.model_copy(update={"up_to": early})
    given(source.SOURCE, SourceAdvanced("crm", late)).when(advance, again, by="crm-1", at=AT).then()


def test_an_altered_delivery_is_noted_once_and_does_not_stand_for_the_body() -> None:
    command = NoteAlteredDelivery(delivery=CASE, tracker="jira", identifier="w1", digest="d")
    noted = DeliveryAltered("jira", "w1", "d")
    given(delivery.DELIVERY).when(note, command, by="gateway/jira", at=AT).then(noted)
    given(delivery.DELIVERY, noted).when(note, command, by="gateway/jira", at=AT).then()


def test_requests_are_shown_open_and_then_closed_with_the_worlds_instants() -> None:
    gateway = MemoryService(SERVICE)
    gateway.ask(RECEIVE, by="crm-1", at=AT)
    assert gateway.row(REQUESTS, CASE).state == "open"
    later = instant("2026-03-02T12:00+08:00")
    gateway.ask(CLOSE, by="crm-1", at=later)
    row = gateway.row(REQUESTS, CASE)
    assert (row.state, row.received_at, row.closed_at, row.outcome) == ("closed", AT, later, "done")
