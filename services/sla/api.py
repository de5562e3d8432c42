"""sla's doors: policies and ladders come in, clocks and escalations are read."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from libs.service.doors import Accepted, Ask, Page, Read, roles
from services.sla.commands import PublishLadder, PublishPolicy
from services.sla.views.clocks import CLOCKS, Clock
from services.sla.views.escalations import ESCALATIONS, Escalation
from services.sla.views.ladders import LADDERS, Ladder
from services.sla.views.policies import POLICIES, Policy

router = APIRouter(prefix="/v1", tags=["sla"])


@router.post("/policies", dependencies=[roles("ops")])
async def publish_policy(body: PublishPolicy, ask: Ask) -> Accepted:
    """Publish a time limit, or its next version. Clocks that run keep the version they started with."""
    return await ask(body)


@router.get("/policies")
async def list_policies(read: Read, template: str | None = None, step: str | None = None) -> Page[Policy]:
    return await read.page(POLICIES, equal={"template": template, "step": step})


@router.post("/ladders", dependencies=[roles("ops")])
async def publish_ladder(body: PublishLadder, ask: Ask) -> Accepted:
    """Publish who is asked after whom, or the next version of it. Escalations under way keep theirs."""
    return await ask(body)


@router.get("/ladders")
async def list_ladders(read: Read, ladder: str | None = None) -> Page[Ladder]:
    return await read.page(LADDERS, equal={"ladder": ladder})


@router.get("/clocks")
async def list_clocks(
    read: Read,
    case_id: UUID | None = None,
    state: Literal["running", "breached", "met", "late"] | None = None,
    step: str | None = None,
    timeline: str | None = None,
) -> Page[Clock]:
    """Clocks by their due instant. `breached`: the limit is up and the step not done; `late`: done after it."""
    return await read.page(
        CLOCKS,
        equal={"case_id": case_id, "state": state, "step": step, "timeline": timeline},
        order=("due_at",),
    )


@router.get("/escalations")
async def list_escalations(
    read: Read, case_id: UUID | None = None, state: Literal["open", "ruled", "accepted", "closed"] | None = None
) -> Page[Escalation]:
    """Escalations, the latest first: who was asked last, and until when the next rung waits (`due_at`)."""
    return await read.page(ESCALATIONS, equal={"case_id": case_id, "state": state}, order=("-raised_at",))
