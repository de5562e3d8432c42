"""What operators ask of any service, role ops: where it stands, its clock, and what is parked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, model_validator

from libs.events.errors import Unavailable
from libs.service.auth import Identity
from libs.service.doors import Instant, identity_of, roles
from libs.service.machinery import Machinery
from libs.service.standing import ClockAt, Positions, clock_at, positions

PARKED_ROWS_MAX = 200


class ClockMove(BaseModel):
    """One of: stand still at an instant, let fire what is due by it, run on in real time from there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hold: Instant | None = None
    fire: bool = False
    run_on: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> ClockMove:
        if (self.hold is not None) + self.fire + self.run_on != 1:
            raise ValueError("say exactly one of hold, fire, run_on")
        return self


def machinery_of(request: Request) -> Machinery:
    found: Machinery | None = getattr(request.app.state, "machinery", None)
    if found is None:
        raise Unavailable("the service is starting; try again")
    return found


Parts = Annotated[Machinery, Depends(machinery_of)]
Who = Annotated[Identity, Depends(identity_of)]
router = APIRouter(prefix="/v1", tags=["operations"], dependencies=[roles("ops")])


@router.get("/positions")
async def where_it_stands(parts: Parts) -> Positions:
    """Every position of this service; two equal snapshots of all services, with nothing left to do, mean rest."""
    return await positions(parts)


@router.get("/clock")
async def read_clock(parts: Parts) -> ClockAt:
    return clock_at(await parts.clock.read())


@router.post("/clock")
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
