"""Wiring of gateway."""

from __future__ import annotations

from libs.events.contracts import gateway
from libs.events.service import Service
from services.gateway.api import router
from services.gateway.channels.kafka import taking
from services.gateway.domain import delivery, request, source, work_item
from services.gateway.views.deliveries import DELIVERIES
from services.gateway.views.repairs import REPAIRS
from services.gateway.views.requests import REQUESTS
from services.gateway.views.work_items import WORK_ITEMS

SERVICE = Service(
    name="gateway",
    contract=gateway.CONTRACT,
    commands=(*request.HANDLES, *source.HANDLES, *delivery.HANDLES, *work_item.HANDLES),
    views=(REQUESTS, WORK_ITEMS, REPAIRS, DELIVERIES),
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router, inbound=taking)
