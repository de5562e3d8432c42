"""What routes are written with: Ask (a command), Read (a query), roles; the door adds who, when, once, and where.

    @router.post("/cases/{case_id}/close", dependencies=[roles("frontend")])
    async def close(case_id: UUID, body: Closing, ask: Ask) -> Accepted:
        return await ask(CloseCase(case_id=case_id, outcome=body.outcome))

A command answers 200, whether it was new, known before, or changed nothing; `facts` tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime

from libs.events import handling
from libs.events.deciding import Command
from libs.events.entries import derived_id, entity_id, new_id
from libs.events.errors import Unavailable
from libs.events.projector import Projector
from libs.events.reading import PAGE_ROWS_MAX, Moment, Reader
from libs.events.views import View
from libs.service.answers import Accepted, Page, Shown
from libs.service.auth import Identity, Role
from libs.service.errors import Fault, Unauthenticated, WrongShape, shorten
from libs.service.storable import require_storable

KEY_CHARS_MAX = 200
CURSOR_CHARS_MAX = 2_000
TOKEN_WAIT_S = 2.0
PAGE_ROWS = 50
POSITION_MAX = 2**63 - 1
POSITION_HEADER = "Baton-Position"
R = TypeVar("R")
__all__ = ["Accepted", "Ask", "Asking", "Doors", "Instant", "Page", "Read", "Reading", "Shown", "ask_as", "roles"]


class Asks(Protocol):
    """Handles commands (libs.events.handling.Handler)."""

    async def ask(self, request: handling.Request) -> handling.Answer: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What the doors of one running service lead to; `now` is the domain clock."""

    handler: Asks
    reader: Reader
    projector: Projector
    now: Callable[[], datetime]


class Asking:
    """Asks commands in the name of one request. Several in one request get ids of their own, in their order."""

    def __init__(
        self, doors: Doors, identity: Identity, response: Response, *, route: str, key: str | None, expected: int | None
    ) -> None:
        self._doors, self._identity, self._response = doors, identity, response
        self._route, self._key, self._expected = route, key, expected
        self._asked = 0

    @property
    def person(self) -> str:
        return self._identity.person

    @property
    def tenant(self) -> str:
        return self._identity.tenant

    @property
    def roles(self) -> frozenset[str]:
        return self._identity.roles

    @property
    def at(self) -> datetime:
        """The domain clock's now."""
        return self._doors.now()

    async def __call__(self, command: Command, *, at: datetime | None = None, key: str | None = None) -> Accepted:
        """Ask this command. `at`: when it happened in the world, for what an import tells (default: now).

        `key`: what makes it the same command whoever brings it, through whichever door of this service, such as
        `source/id` of an event (default: the request's Idempotency-Key, which holds for one actor and route).
        """
        require_storable(command)
        answer = await self._doors.handler.ask(
            handling.Request(
                command=command,
                tenant=self.tenant,
                actor=self.person,
                command_id=self._command_id(key),
                at=at or self.at,
                expected=self._expected,
            )
        )
        self._response.headers["ETag"] = f'"{answer.version}"'
        self._response.headers[POSITION_HEADER] = str(answer.position)
        return Accepted.model_validate(answer, from_attributes=True)

    def _command_id(self, key: str | None) -> UUID:
        if key is not None:
            return command_id(self.tenant, "", "", key)
        nth, self._asked = self._asked, self._asked + 1
        if self._key is None:
            return new_id()
        return command_id(self.tenant, self.person, self._route, self._key if nth == 0 else f"{self._key}#{nth}")


def command_id(tenant: str, actor: str, route: str, key: str) -> UUID:
    """The id of a command by its idempotency key; a key that is a UUIDv7 hands on its time prefix (faster to insert).

    With actor and route empty, it is the same command whoever brings it, through whichever door.
    """
    scope = f"{tenant}/{actor}/{route}"
    try:
        cause = UUID(key.partition("#")[0])
    except ValueError:
        cause = None
    if cause is None or cause.version != 7:
        cause = entity_id(tenant, "command", key)
    return derived_id(cause, scope, key)


class Reading:
    """Reads views in the name of one request, now or `as_of`, one page at a time."""

    def __init__(
        self,
        doors: Doors,
        identity: Identity,
        *,
        as_of: datetime | None,
        limit: int,
        cursor: str | None,
        after: int | None,
    ) -> None:
        self._doors, self._identity = doors, identity
        self.as_of, self._limit, self._cursor, self._after = as_of, limit, cursor, after
        self._moment: Moment | None = None
        self._settled = False

    @property
    def person(self) -> str:
        return self._identity.person

    @property
    def tenant(self) -> str:
        return self._identity.tenant

    @property
    def roles(self) -> frozenset[str]:
        return self._identity.roles

    @property
    def at(self) -> datetime:
        """The instant that the answer is about: `as_of`, or the domain clock's now (for lags in days, red, due …)."""
        return self.as_of or self._doors.now()

    @property
    def final(self) -> bool | None:
        """Whether the answer as of that instant can still change; None when nothing was read, or it is about now."""
        return self._moment.final if self._moment else None

    async def row(self, view: View[R], key: Any) -> R | None:
        """The row with this key, or None; waits for the position that the request named (bounded, then NotYet)."""
        await self._settle()
        return await self._doors.reader.row(view, key, tenant=self.tenant, at=self._moment)

    def shown(self, row: R) -> Shown[R]:
        """The answer that shows one row."""
        return Shown(row=row, as_of=self.as_of, final=self.final)

    async def page(
        self, view: View[R], *, equal: Mapping[str, Any] | None = None, order: Sequence[str] = ()
    ) -> Page[R]:
        """One page of the rows whose columns equal these values (None is no filter), by `order` and then by key."""
        await self._settle()
        page = await self._doors.reader.page(
            view,
            tenant=self.tenant,
            equal=equal,
            order=order,
            limit=self._limit,
            cursor=self._cursor,
            at=self._moment,
        )
        return Page(rows=page.rows, next_cursor=page.next_cursor, as_of=page.as_of, final=page.final)

    async def _settle(self) -> None:
        if self._settled:
            return
        if self._after is not None:
            await self._doors.projector.wait(self._after, TOKEN_WAIT_S)
        if self.as_of is not None:
            self._moment = await self._doors.reader.moment(self.as_of)
        self._settled = True


def identity_of(request: Request) -> Identity:
    """Who asks; Bearer put it there."""
    found = request.scope.get("baton.identity")
    if not isinstance(found, Identity):
        raise Unauthenticated("this address needs a token")
    return found


def doors_of(request: Request) -> Doors:
    """The running service; raises Unavailable while it is still starting."""
    found: Doors | None = getattr(request.app.state, "doors", None)
    if found is None:
        raise Unavailable("the service is starting; try again")
    return found


def roles(*needed: Role) -> Any:
    """A dependency: 403, naming the roles, unless the token has one of them."""

    def require(identity: Annotated[Identity, Depends(identity_of)]) -> None:
        identity.require(needed)

    return Depends(require)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("choose an instant between the years 1 and 9999 in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
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


def _asking(
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


def ask_as(actor: str, tenant: str = "main") -> Any:
    """A dependency that asks in the name of a door without tokens (a webhook, opened by its signature)."""

    def asking(request: Request, response: Response, doors: Annotated[Doors, Depends(doors_of)]) -> Asking:
        identity = Identity(actor, tenant, frozenset())
        return Asking(doors, identity, response, route=f"{request.method} {route_of(request)}", key=None, expected=None)

    return Depends(asking)


def _reading(
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
    return Reading(doors, identity, as_of=as_of, limit=limit, cursor=cursor, after=max(known, default=None))


Ask = Annotated[Asking, Depends(_asking)]
Read = Annotated[Reading, Depends(_reading)]


def route_of(request: Request) -> str:
    """The template of the route, such as /v1/cases/{case_id}/close."""
    return str(getattr(request.scope.get("route"), "path", request.url.path))


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    number = if_match.removeprefix("W/").strip('"')
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        cure = 'send the ETag of the answer before, such as "7", or *'
        raise WrongShape([Fault("header.If-Match", shorten(if_match), cure)])
    return int(number)
