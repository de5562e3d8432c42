"""The topic baton.inbound: CloudEvents of other systems, taken in as over HTTP; what is refused is parked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from libs.events.errors import Undecodable
from libs.events.wire import ForeignEvent, tenant_of
from libs.service.doors import Doors
from libs.service.errors import BodyTooLarge, NotJson, UnsupportedMedia, WrongShape
from services.gateway.channels.cloudevents import read_foreign
from services.gateway.channels.intake import Intake

ACTOR = "gateway/inbound"


def taking(doors: Doors) -> Callable[[ForeignEvent], Awaitable[None]]:
    """What takes an event of the topic in. Who may write to the topic may write for every tenant."""

    async def take(event: ForeignEvent) -> None:
        tenant = tenant_of(event.extensions["tenant"])
        intake = Intake(doors.handler, tenant=tenant, actor=ACTOR, now=doors.now)
        try:
            await intake.take(read_foreign(event))
        except (NotJson, UnsupportedMedia, WrongShape, BodyTooLarge) as fault:
            raise Undecodable("event", f"{event.source} {event.id}", str(fault)) from fault

    return take
