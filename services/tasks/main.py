"""Wiring of tasks, and only wiring."""

from __future__ import annotations

from libs import organisation
from libs.events.contracts import directory, gateway, sla, tasks
from libs.events.service import Service
from services.tasks.api import router
from services.tasks.domain.handles import COMMANDS
from services.tasks.reactions import REACTIONS, TIMERS
from services.tasks.views.assignments import ASSIGNMENTS
from services.tasks.views.cases import CASES
from services.tasks.views.consultations import CONSULTATIONS
from services.tasks.views.handoffs import HANDOFFS
from services.tasks.views.passing import PASSING
from services.tasks.views.templates import TEMPLATES

SERVICE = Service(
    name="tasks",
    contract=tasks.CONTRACT,
    hears=(gateway.CONTRACT, directory.CONTRACT, sla.CONTRACT),
    commands=COMMANDS,
    views=(TEMPLATES, CASES, HANDOFFS, ASSIGNMENTS, CONSULTATIONS, PASSING, *organisation.VIEWS),
    reactions=REACTIONS,
    timers=TIMERS,
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router)
