"""From a CloudEvent's type to a command: one named function per type and version, in one table.

Adding a type is one function and one line of TRANSLATIONS; a source that speaks otherwise gets a type of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.events.contracts.tasks import case_id
from libs.events.deciding import Command
from libs.events.entries import entity_id
from libs.service.cures import faults_of
from libs.service.errors import Fault, WrongShape, shorten
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.commands import AdvanceSource, CloseRequest, Form, Instant, Name, ReceiveRequest, Text, Title

DATE_CHARS = len("2026-03-02")
M = TypeVar("M", bound=BaseModel)
Priority = Literal["low", "normal", "high", "urgent"]
"""As PRIORITIES of the contract has them; a test holds the two together."""


class Inbound(NamedTuple):
    """What an event asks for, about what (a case or a source), and when it happened (None: the event does not say)."""

    command: Command
    subject: UUID
    happened_at: datetime | None


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestReceivedV1(_Data):
    reference: Name
    template: Name
    category: Name
    title: Title
    form: Form = {}
    priority: Priority = "normal"
    department: Name | None = None
    target_at: Instant | None = None


class RequestClosedV1(_Data):
    reference: Name
    outcome: Text = ""


class SourceAdvancedV1(_Data):
    up_to: Instant


class OrderPlacedV1(_Data):
    """Dates or instants; a date without a time means the end of that day in `zone`."""

    order: Name
    customer: Name
    placed_on: Name | None = None
    required_by: Name | None = None
    zone: Name = "UTC"
    department: Name | None = None
    details: Form = {}


class OrderShippedV1(_Data):
    order: Name
    shipped_on: Name | None = None
    zone: Name = "UTC"


def request_received(event: InboundEvent, tenant: str) -> Inbound:
    data = _data(event, RequestReceivedV1)
    command = ReceiveRequest(
        case_id=case_id(tenant, event.source, data.reference),
        source=event.source,
        reference=data.reference,
        template=data.template,
        category=data.category,
        title=data.title,
        form=data.form,
        priority=data.priority,
        department=data.department,
        target_at=data.target_at,
        timeline=event.timeline,
        happened_at=event.time,
    )
    return Inbound(command, command.case_id, command.happened_at)


def request_closed(event: InboundEvent, tenant: str) -> Inbound:
    data = _data(event, RequestClosedV1)
    command = CloseRequest(
        case_id=case_id(tenant, event.source, data.reference),
        source=event.source,
        reference=data.reference,
        outcome=data.outcome,
        timeline=event.timeline,
        happened_at=event.time,
    )
    return Inbound(command, command.case_id, command.happened_at)


def source_advanced(event: InboundEvent, tenant: str) -> Inbound:
    data = _data(event, SourceAdvancedV1)
    source_id = entity_id(tenant, "source", event.source)
    command = AdvanceSource(source_id=source_id, source=event.source, up_to=data.up_to)
    return Inbound(command, source_id, event.time)


def order_placed(event: InboundEvent, tenant: str) -> Inbound:
    """An ERP's order is a request of the template `order`: due when it is required."""
    data = _data(event, OrderPlacedV1)
    zone = _zone(data.zone)
    placed_at = moment("data.placed_on", data.placed_on, zone)
    required_at = moment("data.required_by", data.required_by, zone)
    if placed_at and required_at and required_at < placed_at and not _same_day(placed_at, required_at, zone):
        cure = f"lies before data.placed_on={data.placed_on}; correct the one that is wrong, or leave it out"
        raise WrongShape([Fault("data.required_by", shorten(data.required_by), cure)])
    command = ReceiveRequest(
        case_id=case_id(tenant, event.source, data.order),
        source=event.source,
        reference=data.order,
        template="order",
        category="order",
        title=f"{data.order} · {data.customer}",
        form={**data.details, "order": data.order, "customer": data.customer},
        department=data.department,
        target_at=required_at,
        timeline=event.timeline,
        happened_at=placed_at or event.time,
    )
    return Inbound(command, command.case_id, command.happened_at)


def order_shipped(event: InboundEvent, tenant: str) -> Inbound:
    data = _data(event, OrderShippedV1)
    command = CloseRequest(
        case_id=case_id(tenant, event.source, data.order),
        source=event.source,
        reference=data.order,
        outcome="shipped",
        timeline=event.timeline,
        happened_at=moment("data.shipped_on", data.shipped_on, _zone(data.zone)) or event.time,
    )
    return Inbound(command, command.case_id, command.happened_at)


TRANSLATIONS: dict[str, Callable[[InboundEvent, str], Inbound]] = {
    "baton.request.received.v1": request_received,
    "baton.request.closed.v1": request_closed,
    "baton.source.advanced.v1": source_advanced,
    "baton.order.placed.v1": order_placed,
    "baton.order.shipped.v1": order_shipped,
}


def translate(event: InboundEvent, tenant: str) -> Inbound:
    """What this event asks for; raises WrongShape for an unknown type or version, or for data of the wrong shape."""
    translation = TRANSLATIONS.get(event.type)
    if translation is None:
        known = ", ".join(TRANSLATIONS)
        raise WrongShape([Fault("type", shorten(event.type), f"not read here; send one of {known}")])
    if event.timeline and event.timeline != event.source:
        cure = "a timeline is moved by its own source: leave it out, or send the event's source"
        raise WrongShape([Fault("timeline", shorten(event.timeline), cure)])
    try:
        inbound = translation(event, tenant)
    except ValidationError as error:
        raise WrongShape(_faults(error)) from error
    if event.timeline and inbound.happened_at is None:
        raise WrongShape([Fault("time", "", "an event on a timeline of its own says when it happened")])
    return inbound


def occurred_at(inbound: Inbound, timeline: str, now: datetime) -> datetime:
    """When it happened in the world. Outside an import nothing happens after the domain clock's now."""
    happened = inbound.happened_at or now
    return happened if timeline else min(happened, now)


def moment(field: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    """An instant, or the end of a day: the last microsecond before the next day begins in `zone`."""
    if text is None:
        return None
    try:
        if len(text) == DATE_CHARS:
            next_day = date.fromisoformat(text) + timedelta(days=1)
            return datetime.combine(next_day, time(), zone).astimezone(UTC) - timedelta(microseconds=1)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # answered below, with the cure
    raise WrongShape([Fault(field, shorten(text), "must be a date (2026-03-02) or an instant with a zone")])


def _same_day(one: datetime, other: datetime, zone: ZoneInfo) -> bool:
    """A date means the end of its day, so an instant of that day may lie before it and contradict nothing."""
    return one.astimezone(zone).date() == other.astimezone(zone).date()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        cure = "must be a time zone's name, such as Asia/Shanghai"
        raise WrongShape([Fault("data.zone", shorten(name), cure)]) from error


def _data(event: InboundEvent, model: type[M]) -> M:
    return model.model_validate(event.data)


def _faults(error: ValidationError) -> list[Fault]:
    return faults_of([dict(fault) for fault in error.errors(include_url=False)], "data")
