"""What routes are written with: Ask (a command), Read (a query), roles; the door adds who, when, once, and where.

    @router.post("/cases/{case_id}/close", dependencies=[roles("frontend")])
    async def close(case_id: UUID, body: Closing, ask: Ask) -> Accepted:
        return await ask(CloseCase(case_id=case_id, outcome=body.outcome))

A command answers 200, whether it was new, known before, or changed nothing; `facts` tells which. Dependencies are
`async def`, though they wait for nothing: any other is run in a thread, which costs more than the whole request.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from pydantic import AfterValidator

from libs.events.errors import Unavailable, Unfit
from libs.events.instants import Written
from libs.events.reading import PAGE_ROWS_MAX
from libs.service.answers import TAGGED, Accepted, Page, Shown
from libs.service.asking import Asking, command_id
from libs.service.auth import Identity, Role
from libs.service.cures import IN_UTC, Cure
from libs.service.errors import Fault, Unauthenticated, WrongShape
from libs.service.querying import Reading
from libs.service.running import Checked, Doors

__all__ = [
    "TAGGED",
    "Accepted",
    "Ask",
    "AskSeveral",
    "Asking",
    "Checked",
    "Doors",
    "Instant",
    "Page",
    "Read",
    "Reading",
    "Shown",
    "as_of_said",
    "command_id",
    "doors_of",
    "identity_of",
    "roles",
]
KEY_CHARS_MAX = 200
CURSOR_CHARS_MAX = 2_000
PAGE_ROWS = 50
POSITION_MAX = 2**63 - 1
_ETAG = Cure('send the ETag of the answer before, such as "7", or *', '请发送上一次应答的 ETag，例如 "7"，或 *')


async def identity_of(request: Request) -> Identity:
    """Who asks; Bearer put it there."""
    found = request.scope.get("baton.identity")
    if not isinstance(found, Identity):
        raise Unauthenticated("this address needs a token")
    return found


async def doors_of(request: Request) -> Doors:
    """The running service; raises Unavailable while it is still starting."""
    found: Doors | None = getattr(request.app.state, "doors", None)
    if found is None:
        raise Unavailable("the service is starting; try again")
    return found


def roles(*needed: Role) -> Any:
    """A dependency: 403, naming the roles, unless the token has one of them."""

    async def require(identity: Annotated[Identity, Depends(identity_of)]) -> None:
        identity.require(needed)

    return Depends(require)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise Unfit(*IN_UTC) from None


Instant = Annotated[Written, AfterValidator(_in_utc)]
"""An instant with a zone, in UTC from here on."""

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_CHARS_MAX,
        pattern=r"^[\x21-\x7e]+$",
        description="the same key makes it the same command",
    ),
]
_IfMatch = Annotated[
    str | None, Header(alias="If-Match", description='the stream version that this is about, such as "7"')
]


async def _asking(
    request: Request,
    response: Response,
    identity: Annotated[Identity, Depends(identity_of)],
    doors: Annotated[Doors, Depends(doors_of)],
    idempotency_key: _Key = None,
    if_match: _IfMatch = None,
) -> Asking:
    return Asking(
        doors,
        identity,
        response,
        route=f"{request.method} {route_of(request)}",
        key=idempotency_key,
        expected=_version(if_match),
    )


async def _asking_several(
    request: Request,
    response: Response,
    identity: Annotated[Identity, Depends(identity_of)],
    doors: Annotated[Doors, Depends(doors_of)],
    idempotency_key: _Key = None,
) -> Asking:
    route = f"{request.method} {route_of(request)}"
    return Asking(doors, identity, response, route=route, key=idempotency_key, expected=None, tagged=False)


async def _reading(
    request: Request,
    response: Response,
    identity: Annotated[Identity, Depends(identity_of)],
    doors: Annotated[Doors, Depends(doors_of)],
    as_of: Annotated[Instant | None, Query(description="what was known at this instant (ISO, with zone)")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX)] = PAGE_ROWS,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARS_MAX, description="next_cursor of the page before")
    ] = None,
    after: Annotated[int | None, Query(ge=0, le=POSITION_MAX, description="wait for this position")] = None,
    baton_position: Annotated[int | None, Header(ge=0, le=POSITION_MAX, description="the same as `after`")] = None,
) -> Reading:
    known = [position for position in (after, baton_position) if position is not None]
    return Reading(
        doors,
        identity,
        response,
        as_of=as_of,
        said=as_of_said(request),
        limit=limit,
        cursor=cursor,
        after=max(known, default=None),
    )


Ask = Annotated[Asking, Depends(_asking)]
AskSeveral = Annotated[Asking, Depends(_asking_several)]
"""For a door that asks about several streams: no version of one of them says what a request is about."""
Read = Annotated[Reading, Depends(_reading)]


def route_of(request: Request) -> str:
    """The template of the route, such as /v1/cases/{case_id}/close."""
    return str(getattr(request.scope.get("route"), "path", request.url.path))


def as_of_said(request: Request) -> str:
    """`as_of` as it came."""
    return request.query_params.get("as_of", "")


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    number = if_match.removeprefix("W/").strip('"')
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise WrongShape([Fault("header.If-Match", *_ETAG, if_match)])
    return int(number)
