"""From a CloudEvent's type to a command: one named function per type and version, in one table.

Adding a type is one function and one line of TRANSLATIONS; a source that speaks otherwise gets a type of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from libs.events.contracts.tasks import case_id
from libs.events.deciding import Command
from libs.events.entries import entity_id
from libs.events.errors import Unfit
from libs.events.instants import instant_of
from libs.service.cures import Cure, faults_of
from libs.service.errors import ABSENT, Fault, WrongShape
from libs.service.zones import known_zone
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.commands import (
    FORM_FIELDS_MAX,
    AdvanceSource,
    CloseRequest,
    Form,
    Instant,
    Name,
    ReceiveRequest,
    Text,
    Title,
    in_years,
)
from services.gateway.domain.request import Differing

DATE_CHARS = len("2026-03-02")
ATTRIBUTES = {"happened_at": "time", "timeline": "timeline", "type": "type"}
"""What an event says by its attributes, unless its data say it."""
ORDERS_OWN = ("order", "customer")
"""What the form has of the order itself, beside its details."""
DETAILS_MAX = FORM_FIELDS_MAX - len(ORDERS_OWN)


def _legible(text: str) -> str:
    """Checked beside its zone, so that the faults of both are told at once."""
    in_years(moment(text, UTC))
    return text


def _beside_the_orders_own(name: str) -> str:
    if name in ORDERS_OWN:
        raise Unfit("is a field of the order itself; leave it out of the details", "是订单本身的字段，请勿放入 details")
    return name


Moment = Annotated[
    Name,
    AfterValidator(_legible),
    Field(
        description="a date, such as 2026-03-02, or an instant with its zone, such as 2026-03-02T09:00:00Z",
        json_schema_extra={"pattern": r"^\d{4}-\d{2}-\d{2}([Tt].+)?$"},
    ),
]
Zone = Annotated[
    Name, AfterValidator(known_zone), Field(description="a time zone by its IANA name, such as Asia/Shanghai")
]
Detail = Annotated[
    Name, AfterValidator(_beside_the_orders_own), Field(json_schema_extra={"not": {"enum": list(ORDERS_OWN)}})
]
Details = Annotated[dict[Detail, Text], Field(max_length=DETAILS_MAX)]
M = TypeVar("M", bound=BaseModel)
Priority = Literal["low", "normal", "high", "urgent"]
"""As PRIORITIES of the contract has them; a test holds the two together."""


class Inbound(NamedTuple):
    """What an event asks for, about what (a case or a source), and when it happened (None: the event does not say).

    `fields`: those of the command that the event says under another name, or by its type alone.
    """

    command: Command
    subject: UUID
    happened_at: datetime | None
    fields: Mapping[str, str] = {}

    def fault(self, event: InboundEvent, differing: Differing) -> Fault:
        """What is wrong with a field of the command, under the event's own name for it and with the value that came."""
        own = self.fields.get(differing.field, differing.field)
        if own in ATTRIBUTES:
            attribute = ATTRIBUTES[own]
            value = getattr(event, attribute) or ABSENT
            return Fault(event.named(attribute), differing.en, differing.zh, value)
        name, _, entry = own.partition(".")
        name = self.fields.get(name, name)
        if not entry:
            return Fault(f"data.{name}", differing.en, differing.zh, event.data.get(name, ABSENT))
        value = event.data.get(name, {}).get(entry, ABSENT)
        return Fault(f"data.{name}.{entry}", differing.en, differing.zh, value)


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
    """Dates or instants; a date alone means the end of that day in `zone`. `details` go into the form of the case."""

    order: Name
    customer: Name
    placed_on: Moment | None = None
    required_by: Moment | None = None
    zone: Zone = "UTC"
    department: Name | None = None
    details: Details = {}


class OrderShippedV1(_Data):
    order: Name
    shipped_on: Moment | None = None
    zone: Zone = "UTC"


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


_OF_AN_ORDER = {
    "template": "type",
    "category": "type",
    "title": "customer",
    "form": "details",
    **{f"form.{name}": name for name in ORDERS_OWN},
    "target_at": "required_by",
}


def order_placed(event: InboundEvent, tenant: str) -> Inbound:
    """An ERP's order is a request of the template `order`: due when it is required."""
    data = _data(event, OrderPlacedV1)
    zone = ZoneInfo(data.zone)
    placed_at = moment(data.placed_on, zone) if data.placed_on else None
    required_at = moment(data.required_by, zone) if data.required_by else None
    if placed_at and required_at and required_at < placed_at and not _same_day(placed_at, required_at, zone):
        raise WrongShape([Fault("data.required_by", *_before_placed(data.placed_on), data.required_by)])
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
    dated = {"happened_at": "placed_on"} if placed_at else {}
    return Inbound(command, command.case_id, command.happened_at, _OF_AN_ORDER | dated)


def order_shipped(event: InboundEvent, tenant: str) -> Inbound:
    data = _data(event, OrderShippedV1)
    command = CloseRequest(
        case_id=case_id(tenant, event.source, data.order),
        source=event.source,
        reference=data.order,
        outcome="shipped",
        timeline=event.timeline,
        happened_at=moment(data.shipped_on, ZoneInfo(data.zone)) if data.shipped_on else event.time,
    )
    dated = {"happened_at": "shipped_on"} if data.shipped_on else {}
    return Inbound(command, command.case_id, command.happened_at, {"outcome": "type"} | dated)


TRANSLATIONS: dict[str, Callable[[InboundEvent, str], Inbound]] = {
    "baton.request.received.v1": request_received,
    "baton.request.closed.v1": request_closed,
    "baton.source.advanced.v1": source_advanced,
    "baton.order.placed.v1": order_placed,
    "baton.order.shipped.v1": order_shipped,
}
_TYPE = Cure(
    f"is not read here; send one of {', '.join(TRANSLATIONS)}", f"此处不读取该类型；可发送：{'、'.join(TRANSLATIONS)}"
)
_TIMELINE = Cure(
    "a timeline is moved by its own source: leave it out, or send the event's source",
    "时间线由其来源自己推进：请删除，或填写事件的 source",
)
_TIME = Cure(
    "is missing; send when it happened, as the event is on a timeline", "缺少此项；时间线上的事件须注明发生时刻"
)


def translate(event: InboundEvent, tenant: str) -> Inbound:
    """What this event asks for; raises WrongShape for an unknown type or version, or for data of the wrong shape."""
    faults = []
    if event.timeline not in ("", event.source):
        faults.append(Fault(event.named("timeline"), *_TIMELINE, event.timeline))
    translation = TRANSLATIONS.get(event.type)
    if translation is None:
        raise WrongShape([*faults, Fault(event.named("type"), *_TYPE, event.type)])
    try:
        inbound = translation(event, tenant)
    except ValidationError as error:
        raise WrongShape([*faults, *_faults(error)]) from error
    if event.timeline and inbound.happened_at is None:
        faults.append(Fault(event.named("time"), *_TIME))
    if faults:
        raise WrongShape(faults)
    return inbound


def occurred_at(inbound: Inbound, timeline: str, now: datetime) -> datetime:
    """When it happened in the world. Outside an import nothing happens after the domain clock's now."""
    happened = inbound.happened_at or now
    return happened if timeline else min(happened, now)


def moment(text: str, zone: tzinfo) -> datetime:
    """An instant, or the end of a day: the last microsecond before the next day begins in `zone`."""
    try:
        if len(text) == DATE_CHARS:
            next_day = date.fromisoformat(text) + timedelta(days=1)
            return datetime.combine(next_day, time(), zone).astimezone(UTC) - timedelta(microseconds=1)
        return instant_of(text)
    except (ValueError, OverflowError):
        pass  # answered below, with the cure
    raise Unfit(
        "must be a date (2026-03-02) or an instant with a zone (2026-03-02T09:00:00Z)",
        "必须是日期（2026-03-02）或带时区的时刻（2026-03-02T09:00:00Z）",
    )


def _same_day(one: datetime, other: datetime, zone: ZoneInfo) -> bool:
    """A date means the end of its day, so an instant of that day may lie before it and contradict nothing."""
    return one.astimezone(zone).date() == other.astimezone(zone).date()


def _before_placed(placed_on: object) -> Cure:
    return Cure(
        f"lies before data.placed_on={placed_on}; correct the one that is wrong, or leave it out",
        f"早于 data.placed_on={placed_on}；请更正其中有误的一项，或省略该字段",
    )


def _data(event: InboundEvent, model: type[M]) -> M:
    return model.model_validate(event.data)


def _faults(error: ValidationError) -> list[Fault]:
    return faults_of([dict(fault) for fault in error.errors(include_url=False)], "data")
