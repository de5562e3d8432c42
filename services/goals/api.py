"""goals' doors: goals and KPIs come in; where they stand, and by which events, is read."""

from __future__ import annotations

from fastapi import APIRouter

from libs.events.errors import NotFound
from libs.service.doors import Accepted, Ask, Page, Read, Shown, roles
from services.goals.commands import SetGoal, ShareKpi
from services.goals.views.goals import GOALS, Goal
from services.goals.views.kpis import KPIS, Kpi
from services.goals.views.samples import SAMPLES, Sample

router = APIRouter(prefix="/v1", tags=["goals"])


@router.post("/goals", dependencies=[roles("ops")])
async def set_goal(body: SetGoal, ask: Ask) -> Accepted:
    """Set a company goal, or change its name, period or bonus rule."""
    return await ask(body)


@router.get("/goals")
async def list_goals(read: Read) -> Page[Goal]:
    return await read.page(GOALS)


@router.post("/kpis", dependencies=[roles("ops")])
async def share_kpi(body: ShareKpi, ask: Ask) -> Accepted:
    """Share a KPI among departments, or change its threshold, name or departments. It counts from then on."""
    return await ask(body)


@router.get("/kpis")
async def list_kpis(read: Read, goal: str | None = None) -> Page[Kpi]:
    return await read.page(KPIS, equal={"goal": goal})


@router.get("/kpis/{kpi}")
async def show_kpi(kpi: str, read: Read) -> Shown[Kpi]:
    """One KPI: its value now (or as of an instant), and whether it is met."""
    return read.shown(await _known(kpi, read))


@router.get("/kpis/{kpi}/samples")
async def list_samples(kpi: str, read: Read, hit: bool | None = None) -> Page[Sample]:
    """The samples of a KPI, each with the id of the event behind it."""
    await _known(kpi, read)
    return await read.page(SAMPLES, equal={"kpi": kpi, "hit": hit}, order=("measured_at",))


async def _known(kpi: str, read: Read) -> Kpi:
    row = await read.row(KPIS, kpi)
    if row is None:
        raise NotFound("unknown-kpi", f"kpi={kpi} is not shared; see /v1/kpis", f"指标 {kpi} 尚未设立")
    return row
