"""Wiring of sla, and only wiring."""

from __future__ import annotations

from libs import organisation
from libs.events.contracts import directory, sla, tasks
from libs.events.service import Service
from services.sla.api import router
from services.sla.domain import clock, escalation, ladder, policy
from services.sla.reactions import REACTIONS, TIMERS
from services.sla.views.clocks import CLOCKS
from services.sla.views.due import DUE
from services.sla.views.escalations import ESCALATIONS
from services.sla.views.hands import HANDS
from services.sla.views.ladders import LADDERS
from services.sla.views.policies import POLICIES
from services.sla.views.steps import STEPS
from services.sla.views.timelines import TIMELINES
from services.sla.views.trail import TRAIL

SERVICE = Service(
    name="sla",
    contract=sla.CONTRACT,
    hears=(tasks.CONTRACT, directory.CONTRACT),
    commands=(*policy.COMMANDS, *ladder.COMMANDS, *clock.COMMANDS, *escalation.COMMANDS),
    views=(
        POLICIES,
        LADDERS,
        STEPS,
        HANDS,
        TRAIL,
        CLOCKS,
        DUE,
        ESCALATIONS,
        TIMELINES,
        *organisation.VIEWS,
    ),
    reactions=REACTIONS,
    timers=TIMERS,
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router)
