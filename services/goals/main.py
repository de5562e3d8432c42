"""Wiring of goals, and only wiring."""

from __future__ import annotations

from libs.events.contracts import goals, sla
from libs.events.service import Service
from services.goals.api import router
from services.goals.domain import goal, kpi
from services.goals.reactions import REACTIONS
from services.goals.views.goals import GOALS
from services.goals.views.kpis import KPIS
from services.goals.views.samples import SAMPLES

SERVICE = Service(
    name="goals",
    contract=goals.CONTRACT,
    hears=(sla.CONTRACT,),
    commands=(*goal.COMMANDS, *kpi.COMMANDS),
    views=(GOALS, KPIS, SAMPLES),
    reactions=REACTIONS,
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router)
