"""Wiring of audit."""

from __future__ import annotations

from libs.events.contracts import audit, directory, gateway, goals, notify, sla, tasks
from libs.events.service import Service
from libs.organisation import PEOPLE
from services.audit.api import router
from services.audit.views.cases import CASES
from services.audit.views.ledger import LEDGER

SERVICE = Service(
    name="audit",
    contract=audit.CONTRACT,
    hears=(directory.CONTRACT, goals.CONTRACT, tasks.CONTRACT, sla.CONTRACT, notify.CONTRACT, gateway.CONTRACT),
    views=(LEDGER, CASES, PEOPLE),
    hears_everything=True,
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router)
