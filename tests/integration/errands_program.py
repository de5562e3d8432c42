"""The errands service as a program of its own, with doors: `python -m tests.integration.errands_program`.

ERRANDS_OWNER names it, ERRANDS_BELLS whom it hears: tests share one Kafka, and a fresh journal may not meet the topic
of another.
"""

from __future__ import annotations

import os
from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from libs.events.contract import Contract
from libs.events.errors import NotFound
from libs.events.service import Service
from libs.events.tests import errands as errands_declared
from libs.events.tests.errands import BELLS, CONTRACT, ERRANDS, SERVICE, ErrandRow, FinishErrand, GiveErrand, PassOn
from libs.service.doors import Accepted, Ask, Page, Read, Shown, roles

router = APIRouter(prefix="/v1")


class Giving(BaseModel):
    to: str
    due_in_s: float | None = None


class Passing(BaseModel):
    to: str


@router.post("/errands/{errand}", dependencies=[roles("frontend")])
async def give(errand: UUID, body: Giving, ask: Ask) -> Accepted:
    return await ask(GiveErrand(errand=errand, to=body.to, due_in_s=body.due_in_s))


@router.post("/errands/{errand}/pass-on")
async def pass_on(errand: UUID, body: Passing, ask: Ask) -> Accepted:
    return await ask(PassOn(errand=errand, to=body.to))


@router.post("/errands/{errand}/finish")
async def finish(errand: UUID, ask: Ask) -> Accepted:
    return await ask(FinishErrand(errand=errand))


@router.get("/errands")
async def errands(read: Read, to: str | None = None, passed_on: int | None = None) -> Page[ErrandRow]:
    return await read.page(ERRANDS, equal={"to": to, "passed_on": passed_on}, order=("to",))


@router.get("/errands/{errand}")
async def errand(errand: UUID, read: Read) -> Shown[ErrandRow]:
    row = await read.row(ERRANDS, errand)
    if row is None:
        raise NotFound("errand", "there is no such errand", "没有此事项")
    return read.shown(row)


def named(owner: str, bells: str = BELLS.owner) -> Service:
    """The same service under another name, and who rings bells likewise."""
    kinds = [kind for kind in CONTRACT.kinds.values() if kind.fact.__module__ == errands_declared.__name__]
    heard = [kind for kind in BELLS.kinds.values() if kind.fact.__module__ == errands_declared.__name__]
    return replace(SERVICE, name=owner, contract=Contract(owner, kinds), hears=(Contract(bells, heard),))


if __name__ == "__main__":
    from libs.service.program import run

    run(named(os.environ["ERRANDS_OWNER"], os.environ.get("ERRANDS_BELLS", BELLS.owner)), router)
