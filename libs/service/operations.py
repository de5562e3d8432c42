"""What operators of the platform ask of any service: where it stands, its clock, and what is parked.

Role ops, but what is parked is shown to auditors, too: what was left out or mended is for them to know.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, model_validator

from libs.events.errors import ILLEGIBLE, Forbidden, Unavailable, Unfit
from libs.events.parked import Parked
from libs.events.parking import PAGE_ROWS_MAX, Listed
from libs.service.auth import HOME_TENANT, Identity
from libs.service.doors import PAGE_ROWS, POSITION_MAX, Instant, identity_of, roles
from libs.service.machinery import Machinery
from libs.service.rows import AsRow
from libs.service.standing import ClockAt, Positions, clock_at, positions
from libs.service.storable import require_storable_value

HEADER_CHARS_MAX = 2_000


class ClockMove(BaseModel):
    """One of: stand still at an instant, let fire what is due by it, run on in real time from there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hold: Instant | None = None
    fire: bool = False
    run_on: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> ClockMove:
        if (self.hold is not None) + self.fire + self.run_on != 1:
            raise Unfit("say exactly one of hold, fire, run_on", "hold、fire、run_on 须且只能给出一个")
        return self


async def machinery_of(request: Request) -> Machinery:
    found: Machinery | None = getattr(request.app.state, "machinery", None)
    if found is None:
        raise Unavailable("the service is starting; try again")
    return found


class ParkedRecord(BaseModel):
    """A parked record as it came. `data`: its JSON where it is some, else `data_base64`. `mended`: as `data`."""

    id: UUID
    kind: str
    state: str
    topic: str
    partition: int
    record_offset: int
    key: str
    reason: str
    event_id: UUID | None
    type: str | None
    tenant: str
    headers: list[tuple[str, str]]
    data: Any = None
    data_base64: str | None = None
    mended: Any = None


class ParkedPage(BaseModel):
    """Parked records by age. `next_cursor`: null on the last page."""

    rows: list[Annotated[Listed, AsRow]]
    next_cursor: str | None


class Retry(BaseModel):
    """`data`: what the record should have said; absent: take it as it came, as reactions and gaps must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Any = None


_AS_IS = frozenset(ParkedRecord.model_fields) - {"headers", "data", "data_base64", "mended"}
Parts = Annotated[Machinery, Depends(machinery_of)]
Who = Annotated[Identity, Depends(identity_of)]


async def _of_the_platform(who: Who) -> None:
    """A clock and a parked record are the whole platform's: nobody of one tenant must see or move another's."""
    if who.tenant != HOME_TENANT:
        raise Forbidden(
            "platform-operators-only",
            f"tenant={who.tenant}: this is for people of the platform, whose tokens are of {HOME_TENANT}",
            f"tenant={who.tenant}：仅限平台自身人员（租户 {HOME_TENANT}）",
        )


router = APIRouter(prefix="/v1", tags=["operations"], dependencies=[Depends(_of_the_platform)])
ACTING, READING = [roles("ops")], [roles("ops", "auditor")]


@router.get("/positions", dependencies=ACTING)
async def where_it_stands(parts: Parts) -> Positions:
    """Every position of this service; two equal snapshots of all services, with nothing left to do, mean rest."""
    return await positions(parts)


@router.get("/clock", dependencies=ACTING)
async def read_clock(parts: Parts) -> ClockAt:
    return clock_at(await parts.clock.read())


@router.post("/clock", dependencies=ACTING)
async def move_clock(body: ClockMove, parts: Parts) -> ClockAt:
    """Move the domain clock, forward only; the head is announced at once."""
    if body.hold is not None:
        await parts.clock.hold(body.hold)
    elif body.fire:
        await parts.clock.fire()
    else:
        await parts.clock.run_on()
    parts.journal.wake.grew()
    await parts.publisher.announce()
    return clock_at(await parts.clock.read())


@router.get("/parked", dependencies=READING)
async def list_parked(
    parts: Parts,
    cursor: Annotated[int, Query(ge=0, le=POSITION_MAX, description="next_cursor of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX)] = PAGE_ROWS,
    ended: bool = False,
    waiting: bool = True,
) -> ParkedPage:
    """What could not be taken, the oldest first, and what waits behind it; `ended`: also what has been dealt with."""
    found = await parts.parking.page(after=cursor, limit=limit + 1, ended=ended, waiting=waiting)
    rows = found[:limit]
    return ParkedPage(rows=rows, next_cursor=str(rows[-1].number) if len(found) > limit else None)


@router.get("/parked/{parked_id}", dependencies=READING)
async def read_parked(parked_id: UUID, parts: Parts) -> ParkedRecord:
    """One parked record as it came."""
    return as_it_came(await parts.parking.record(parked_id))


def as_it_came(record: Parked) -> ParkedRecord:
    """Its data as JSON where it is JSON; any other bytes in base64."""
    headers = [(name, value.decode("utf-8", "backslashreplace")[:HEADER_CHARS_MAX]) for name, value in record.headers]
    shown = ParkedRecord(
        **{name: getattr(record, name) for name in _AS_IS},
        headers=headers,
        mended=None if record.mended is None else msgspec.json.decode(record.mended),
    )
    try:
        return shown.model_copy(update={"data": msgspec.json.decode(record.value)})
    except ILLEGIBLE:
        return shown.model_copy(update={"data_base64": base64.b64encode(record.value).decode()})


@router.post("/parked/{parked_id}/retry", dependencies=ACTING)
async def retry_parked(parked_id: UUID, parts: Parts, who: Who, body: Retry | None = None) -> Annotated[Listed, AsRow]:
    """Take a parked record after all, mended or as it came; the answer says what became of it."""
    mended = None
    if body is not None and "data" in body.model_fields_set:
        require_storable_value(body.data, "body.data")
        mended = msgspec.json.encode(body.data)
    return await parts.parking.retry(parked_id, who.person, mended)


@router.post("/parked/{parked_id}/drop", dependencies=ACTING)
async def drop_parked(parked_id: UUID, parts: Parts, who: Who) -> Annotated[Listed, AsRow]:
    """Give a parked record up; what waits behind it flows."""
    return await parts.parking.drop(parked_id, who.person)
