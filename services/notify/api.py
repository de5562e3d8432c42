"""notify's doors: one's own inbox and channels, who was told what and why, what was sent, and the words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from libs.events.errors import Forbidden, NotFound
from libs.service.doors import Accepted, Ask, Asking, Page, Read, Reading, roles
from libs.service.zones import known_zone
from services.notify.channels.outside import Outside, outside
from services.notify.channels.webhook import secret_of
from services.notify.commands import (
    ADDRESS_CHARS_MAX,
    CODE_CHARS_MAX,
    WEBHOOK,
    ZONE_CHARS_MAX,
    AcknowledgeMessage,
    ChooseChannel,
    DropChannel,
    PublishText,
    RepeatDelivery,
)
from services.notify.domain.delivery import no_such_delivery
from services.notify.domain.message import no_such_message
from services.notify.domain.words import without_words, written
from services.notify.views.channels import CHANNELS, Channel
from services.notify.views.deliveries import DELIVERIES, Delivery
from services.notify.views.messages import MESSAGES, Message
from services.notify.views.texts import TEXTS, Text

router = APIRouter(prefix="/v1", tags=["notify"])


class Letter(msgspec.Struct, frozen=True):
    """A message as it is read, in both languages; instants in the zone that was asked for."""

    message: UUID
    to: str
    template: str
    en: str
    zh: str
    params: dict[str, str]
    because: str
    cause: UUID
    case_id: UUID
    posted_at: datetime
    acknowledged_at: datetime | None


async def _zone(
    zone: Annotated[
        str,
        Query(max_length=ZONE_CHARS_MAX, description="time zone of instants in the texts"),
        AfterValidator(known_zone),
    ] = "UTC",
) -> ZoneInfo:
    return ZoneInfo(zone)


async def of_this_process() -> Outside:
    return outside()


Zone = Annotated[ZoneInfo, Depends(_zone)]
Told = Annotated[Outside, Depends(of_this_process)]
ByChannel = Literal["email", "webhook"]
DeliveryState = Literal["waiting", "sending", "arrived", "failed", "unknown"]
Somebody = Annotated[str | None, Query(min_length=1, max_length=CODE_CHARS_MAX, description="ops only")]


class Choice(BaseModel):
    """Where messages go as well: an e-mail address, or that of a webhook. `zone`: in which they write instants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Annotated[str, Field(min_length=1, max_length=ADDRESS_CHARS_MAX)]
    zone: Annotated[str, Field(max_length=ZONE_CHARS_MAX), AfterValidator(known_zone)] = "UTC"


class Secret(BaseModel):
    """What one's webhooks are signed with (Standard Webhooks). Another address has another secret."""

    model_config = ConfigDict(frozen=True)

    secret: str


@router.get("/inbox", dependencies=[roles("frontend", "ops")])
async def list_inbox(
    read: Read, zone: Zone, person: str | None = None, acknowledged: bool | None = None
) -> Page[Letter]:
    """Somebody's messages, the newest first. One's own, unless ops asks for a `person`'s."""
    owner = person or read.person
    if owner != read.person and "ops" not in read.roles:
        raise Forbidden(
            "own-inbox-only",
            f"person={owner} is not you; only the role ops reads somebody else's inbox",
            f"只能查看本人的收件箱；查看 {owner} 的收件箱需要 ops 角色",
        )
    page = await read.page(MESSAGES, equal={"to": owner, "acknowledged": acknowledged}, order=("-posted_at",))
    return await _letters(page, read, zone)


@router.post("/inbox/{message}/acknowledgement", dependencies=[roles("frontend", "ops")])
async def acknowledge(message: UUID, ask: Ask, read: Read) -> Accepted:
    """I have read it. Only the person that it went to says so."""
    row = await read.row(MESSAGES, message)
    if row is None:
        raise no_such_message(message)
    return await ask(AcknowledgeMessage(message=message, case_id=row.case_id))


@router.get("/messages", dependencies=[roles("ops", "auditor")])
async def list_messages(
    read: Read, zone: Zone, case_id: UUID | None = None, to: str | None = None, template: str | None = None
) -> Page[Letter]:
    """Who got which message, by which rule and which event, in the order in which they were posted."""
    equal = {"case_id": case_id, "to": to, "template": template}
    return await _letters(await read.page(MESSAGES, equal=equal, order=("posted_at",)), read, zone)


@router.get("/channels", dependencies=[roles("frontend", "ops")])
async def list_channels(read: Read, person: Somebody = None) -> Page[Channel]:
    """Where somebody's messages go beside the inbox. One's own, unless ops asks for a `person`'s."""
    return await read.page(CHANNELS, equal={"person": _own(person, read)})


@router.post("/channels/{channel}", dependencies=[roles("frontend", "ops")])
async def choose_channel(channel: ByChannel, body: Choice, ask: Ask, person: Somebody = None) -> Accepted:
    """From now on my messages also go there. It takes the place of what was chosen before."""
    owner = _own(person, ask)
    return await ask(ChooseChannel(person=owner, channel=channel, address=body.address, zone=body.zone))


@router.post("/channels/{channel}/removal", dependencies=[roles("frontend", "ops")])
async def drop_channel(channel: ByChannel, ask: Ask, person: Somebody = None) -> Accepted:
    """Nothing more goes out by this channel. The inbox stays."""
    return await ask(DropChannel(person=_own(person, ask), channel=channel))


@router.get("/channels/webhook/secret", dependencies=[roles("frontend", "ops")])
async def show_webhook_secret(read: Read, told: Told) -> Secret:
    """The secret by which the receiver of my webhooks knows that they come from here. Nobody else gets it."""
    row = await read.row(CHANNELS, (read.person, WEBHOOK))
    if row is None:
        raise NotFound("no-webhook", f"{read.person} has chosen no webhook", f"{read.person} 未设置 webhook")
    return Secret(secret=secret_of(told.webhook_key(), row.choice))


@router.get("/deliveries/{channel}", dependencies=[roles("frontend", "ops", "auditor")])
async def list_deliveries(
    channel: ByChannel,
    read: Read,
    state: DeliveryState | None = None,
    to: str | None = None,
    case_id: UUID | None = None,
) -> Page[Delivery]:
    """What was sent by this channel, or is to be, the newest first; one's own, unless ops or auditor ask."""
    whose = to if {"ops", "auditor"} & read.roles else _own(to, read)
    return await read.page(
        DELIVERIES[channel], equal={"state": state, "to": whose, "case_id": case_id}, order=("-planned_at",)
    )


@router.post("/deliveries/{channel}/{delivery}/repetition", dependencies=[roles("ops")])
async def repeat_delivery(channel: ByChannel, delivery: UUID, ask: Ask, read: Read) -> Accepted:
    """Send one that failed, or of which nobody knows, again, now. An e-mail that did arrive will be there twice."""
    row = await read.row(DELIVERIES[channel], delivery)
    if row is None:
        raise no_such_delivery(delivery)
    return await ask(RepeatDelivery(delivery=delivery, case_id=row.case_id))


@router.post("/texts", dependencies=[roles("ops")])
async def publish_text(body: PublishText, ask: Ask) -> Accepted:
    """Publish the words of a template, or the next version of them. Posted messages keep theirs."""
    return await ask(body)


@router.get("/texts")
async def list_texts(read: Read, template: str | None = None) -> Page[Text]:
    return await read.page(TEXTS, equal={"template": template})


def _own(person: str | None, by: Reading | Asking) -> str:
    owner = person or by.person
    if owner != by.person and "ops" not in by.roles:
        raise Forbidden(
            "own-channels-only",
            f"person={owner} is not you; only the role ops reads and chooses somebody else's channels",
            f"只能查看和设置本人的通知渠道；{owner} 的渠道需要 ops 角色",
        )
    return owner


async def _letters(page: Page[Message], read: Read, zone: ZoneInfo) -> Page[Letter]:
    texts: dict[tuple[str, int], Text | None] = {}
    for key in dict.fromkeys((row.template, row.template_version) for row in page.rows):
        text = await read.row(TEXTS, key)
        texts[key] = text
    rows = tuple(_letter(row, texts[row.template, row.template_version], zone) for row in page.rows)
    return Page[Letter](rows=rows, next_cursor=page.next_cursor, as_of=page.as_of, final=page.final)


def _letter(row: Message, text: Text | None, zone: ZoneInfo) -> Letter:
    bare = without_words(row.template, row.params, zone)
    return Letter(
        message=row.message,
        to=row.to,
        template=row.template,
        en=bare if text is None else written(text.en, row.params, zone),
        zh=bare if text is None else written(text.zh, row.params, zone),
        params=row.params,
        because=row.because,
        cause=row.cause,
        case_id=row.case_id,
        posted_at=row.posted_at,
        acknowledged_at=row.acknowledged_at,
    )
