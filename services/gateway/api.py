"""Doors in: CloudEvents over HTTP, Jira's webhooks; and what came in, to be read."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from libs.events import handling
from libs.events.entries import entity_id
from libs.events.errors import BatonError, CommandReused, NotFound, Refusal
from libs.service import issuer, settings
from libs.service.auth import Identity
from libs.service.bodies import require_json
from libs.service.doors import Asking, AskSeveral, Doors, Instant, Page, Read, Shown, doors_of, identity_of, roles
from libs.service.errors import BodyTooLarge
from libs.service.problems import problem_of
from services.gateway.channels import cloudevents, jira, jira_rest
from services.gateway.channels.intake import Intake, Result, Taken, result_of
from services.gateway.commands import (
    NAME_CHARS_MAX,
    Name,
    NoteAlteredDelivery,
    ReconcileWorkItem,
    ReportWorkItem,
    Title,
    in_years,
)
from services.gateway.domain.work_item import ANSWER_BEHIND
from services.gateway.views.deliveries import DELIVERIES, DeliveriesRow
from services.gateway.views.repairs import REPAIRS, RepairRow
from services.gateway.views.requests import REQUESTS, RequestRow
from services.gateway.views.work_items import WORK_ITEMS, WorkItemRow

JIRA_ACTOR, JIRA_TENANT = "gateway/jira", "main"
MULTI_STATUS = 207
Running = Annotated[Doors, Depends(doors_of)]

router = APIRouter()


_ANSWER: dict[str, Any] = {
    "required": ["issues"],
    "properties": {"issues": {"type": "array", "items": {"type": "object"}, "maxItems": jira_rest.ISSUES_MAX}},
}


class EventTaken(BaseModel):
    """`subject`: the case (or source) that the event is about. `position`: a token to read one's own write."""

    model_config = ConfigDict(frozen=True)

    result: Result
    id: str
    source: str
    subject: UUID
    position: int


class EventRefused(BaseModel):
    """One element of a batch that was not taken, with the problem that it would have got alone."""

    model_config = ConfigDict(frozen=True)

    result: Literal["refused"]
    id: str | None
    source: str | None
    problem: dict[str, Any]


class BatchTaken(BaseModel):
    """One result per element, in the batch's order; 207 when some element was refused."""

    model_config = ConfigDict(frozen=True)

    results: tuple[EventTaken | EventRefused, ...]


class DeliveryTaken(BaseModel):
    """`altered`: this webhook identifier came before with another body; the first one stands, this is on record."""

    model_config = ConfigDict(frozen=True)

    result: Result
    host: str | None = None
    item: str | None = None
    altered: bool = False


class Reconciliation(BaseModel):
    """One page of an answer of the tracker, as it came. `origin`, `seen_at`: where and when it was read.

    `asked`: ids of issues of `host` that the page must show; one that it lacks is gone there, so the page must be the
    whole answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Title
    seen_at: Annotated[Instant, AfterValidator(in_years)]
    answer: Annotated[dict[str, Any], Field(json_schema_extra=_ANSWER)]
    host: Name | None = None
    asked: Annotated[tuple[Name, ...], Field(max_length=jira_rest.ISSUES_MAX)] = ()


class WorkItemCompared(BaseModel):
    """`repaired`: something differed, and the answer holds now. `behind`: what is known is newer than the answer."""

    model_config = ConfigDict(frozen=True)

    result: Literal["repaired", "equal", "behind"]
    host: str
    item: str
    position: int | None = None


class Reconciled(BaseModel):
    """One result per issue of the page, in its order; then those that it should have shown."""

    model_config = ConfigDict(frozen=True)

    results: tuple[WorkItemCompared, ...]


_EVENT = {"type": "object", "required": list(cloudevents.REQUIRED), "description": "a CloudEvent 1.0"}
_EVENT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            cloudevents.STRUCTURED: {"schema": _EVENT},
            cloudevents.BATCHED: {
                "schema": {"type": "array", "items": _EVENT, "maxItems": cloudevents.BATCH_EVENTS_MAX}
            },
            cloudevents.JSON: {"schema": {"type": "object", "description": "the data; attributes in ce-* headers"}},
        },
    }
}
_JIRA_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "required": ["webhookEvent"]}}},
    }
}


@router.post(
    "/events",
    status_code=202,
    dependencies=[roles("integration")],
    response_model=EventTaken | BatchTaken,
    responses={MULTI_STATUS: {"model": BatchTaken, "description": "a batch of which some elements were refused"}},
    openapi_extra=_EVENT_BODY,
)
async def events(
    request: Request, response: Response, doors: Running, identity: Annotated[Identity, Depends(identity_of)]
) -> EventTaken | BatchTaken:
    """Take CloudEvents in, structured, binary or batched. The same (source, id) again is a duplicate."""
    mode = cloudevents.mode_of(request.headers.get("content-type"))
    body = await request.body()
    intake = Intake(doors.handler, tenant=identity.tenant, actor=identity.person, now=doors.now)
    if mode == "batched":
        found = cloudevents.read_batch(body)
        results = [_shown(e, r) for e, r in zip(found, await intake.take_all(found), strict=True)]
        if any(isinstance(result, EventRefused) for result in results):
            response.status_code = MULTI_STATUS
        return BatchTaken(results=tuple(results))
    if mode == "structured":
        event = cloudevents.read_structured(body)
    else:
        event = cloudevents.read_binary_http(request.headers, body)
    return _taken(event, await intake.take(event))


@cache
def _secret() -> str:
    return issuer.secret(settings.load().keys, "jira")


async def webhook_secret() -> str:
    """The secret that Jira signs with, read once per process."""
    return _secret()


@router.post("/webhooks/jira", status_code=202, openapi_extra=_JIRA_BODY)
async def jira_webhook(
    request: Request,
    doors: Running,
    secret: Annotated[str, Depends(webhook_secret)],
    x_hub_signature: Annotated[str | None, Header()] = None,
    x_atlassian_webhook_identifier: Annotated[str | None, Header(max_length=NAME_CHARS_MAX)] = None,
) -> DeliveryTaken:
    """Take one delivery of Jira in. The same identifier, or the same body, again is a duplicate."""
    raw = await request.body()
    jira.require_signature(raw, x_hub_signature, secret)
    require_json(request.headers)
    command = jira.read(raw, JIRA_TENANT)
    now = doors.now()
    asked = handling.Request(
        command=command,
        tenant=JIRA_TENANT,
        actor=JIRA_ACTOR,
        command_id=entity_id(JIRA_TENANT, "jira-webhook", x_atlassian_webhook_identifier or command.digest),
        at=min(command.tracker_at or now, now),
    )
    try:
        answer = await doors.handler.ask(asked)
    except CommandReused:
        await _note_altered(doors, command, x_atlassian_webhook_identifier or "")
        return DeliveryTaken(result="duplicate", altered=True)
    return DeliveryTaken(result=result_of(answer), host=command.host, item=command.item)


async def _note_altered(doors: Doors, command: ReportWorkItem, identifier: str) -> None:
    """Jira repeats an identifier when it repeats a delivery; should the body differ, that is kept on record."""
    note = NoteAlteredDelivery(
        delivery=command.delivery, tracker=command.tracker, identifier=identifier, digest=command.digest
    )
    await doors.handler.ask(
        handling.Request(
            command=note,
            tenant=JIRA_TENANT,
            actor=JIRA_ACTOR,
            command_id=entity_id(JIRA_TENANT, "jira-webhook-altered", f"{command.digest}/{identifier}"),
            at=doors.now(),
        )
    )


@router.post("/v1/reconciliations", dependencies=[roles("integration")])
async def reconcile(body: Reconciliation, ask: AskSeveral) -> Reconciled:
    """Compare what Jira's search answers with what its deliveries said; where they differ, the answer holds."""
    asked = jira_rest.Asked(body.origin, body.seen_at, body.host or "", body.asked)
    return Reconciled(results=tuple([await _compared(c, ask) for c in jira_rest.read(body.answer, asked, ask.tenant)]))


async def _compared(command: ReconcileWorkItem, ask: Asking) -> WorkItemCompared:
    try:
        answer = await ask(command)
    except Refusal as refused:
        if refused.rule != ANSWER_BEHIND:
            raise
        return WorkItemCompared(result="behind", host=command.host, item=command.item)
    result: Literal["repaired", "equal"] = "repaired" if answer.facts or answer.known else "equal"
    return WorkItemCompared(result=result, host=command.host, item=command.item, position=answer.position)


@router.get("/v1/reconciliations")
async def reconciliations(read: Read, host: str | None = None, item: str | None = None) -> Page[RepairRow]:
    """What reconciliations have repaired, in the order in which they did."""
    return await read.page(REPAIRS, equal={"host": host, "item": item}, order=("repaired_at",))


@router.get("/v1/requests")
async def requests(
    read: Read,
    source: str | None = None,
    reference: str | None = None,
    template: str | None = None,
    state: Literal["open", "closed"] | None = None,
) -> Page[RequestRow]:
    """Requests in the order in which they were received."""
    equal = {"source": source, "reference": reference, "template": template, "state": state}
    return await read.page(REQUESTS, equal=equal, order=("received_at",))


@router.get("/v1/requests/{case_id}")
async def request_of_case(case_id: UUID, read: Read) -> Shown[RequestRow]:
    row = await read.row(REQUESTS, case_id)
    if row is None:
        raise NotFound(
            "unknown-request",
            f"no request became the case {case_id}; look it up in /v1/requests by its reference",
            f"没有请求对应工单 {case_id}，请在 /v1/requests 中按编号查找",
        )
    return read.shown(row)


@router.get("/v1/work-items")
async def work_items(
    read: Read, host: str | None = None, key: str | None = None, status: str | None = None
) -> Page[WorkItemRow]:
    """Work items of issue trackers, by host and issue id."""
    return await read.page(WORK_ITEMS, equal={"host": host, "key": key, "status": status})


@router.get("/v1/deliveries")
async def deliveries(read: Read) -> Page[DeliveriesRow]:
    """What each source sent that was accepted, and how far its watermark is."""
    return await read.page(DELIVERIES)


def _taken(event: cloudevents.InboundEvent, taken: Taken) -> EventTaken:
    return EventTaken(
        result=taken.result, id=event.id, source=event.source, subject=taken.subject, position=taken.position
    )


def _shown(
    event: cloudevents.InboundEvent | BatonError, result: Taken | BatonError | BodyTooLarge
) -> EventTaken | EventRefused:
    if isinstance(event, BatonError):
        return EventRefused(result="refused", id=None, source=None, problem=_problem(event))
    if not isinstance(result, Taken):
        return EventRefused(result="refused", id=event.id, source=event.source, problem=_problem(result))
    return _taken(event, result)


def _problem(error: BatonError | BodyTooLarge) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(problem_of(error))
    return plain
