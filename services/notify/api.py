"""notify's doors: one's own inbox, who was told what and why, and the words of the templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from fastapi import APIRouter, Depends, Query

from libs.events.errors import Forbidden
from libs.service.doors import Accepted, Ask, Page, Read, roles
from libs.service.errors import Fault, WrongShape, shorten
from services.notify.commands import AcknowledgeMessage, PublishText
from services.notify.domain.message import no_such_message
from services.notify.domain.words import without_words, written
from services.notify.views.messages import MESSAGES, Message
from services.notify.views.texts import TEXTS, Text

ZONE_CHARS_MAX = 64

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


def _zone(
    zone: Annotated[str, Query(max_length=ZONE_CHARS_MAX, description="time zone of instants in the texts")] = "UTC",
) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WrongShape([Fault("query.zone", shorten(zone), "name a time zone such as Asia/Shanghai")]) from error


Zone = Annotated[ZoneInfo, Depends(_zone)]


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


@router.post("/texts", dependencies=[roles("ops")])
async def publish_text(body: PublishText, ask: Ask) -> Accepted:
    """Publish the words of a template, or the next version of them. Posted messages keep theirs."""
    return await ask(body)


@router.get("/texts")
async def list_texts(read: Read, template: str | None = None) -> Page[Text]:
    return await read.page(TEXTS, equal={"template": template})


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
