"""Wiring of notify, and only wiring."""

from __future__ import annotations

from libs import organisation
from libs.events.contracts import directory, notify, sla, tasks
from libs.events.service import Service
from services.notify.api import router
from services.notify.channels.outside import Outside, outside
from services.notify.channels.sending import effects
from services.notify.domain import channel, delivery, message, text
from services.notify.reactions import REACTIONS
from services.notify.views.assignments import ASSIGNMENTS
from services.notify.views.cases import CASES
from services.notify.views.channels import CHANNELS
from services.notify.views.deliveries import EMAILS, WEBHOOKS
from services.notify.views.messages import MESSAGES
from services.notify.views.steps import STEPS
from services.notify.views.texts import TEXTS

SERVICE = Service(
    name="notify",
    contract=notify.CONTRACT,
    hears=(tasks.CONTRACT, sla.CONTRACT, directory.CONTRACT),
    commands=(*text.COMMANDS, *message.COMMANDS, *channel.COMMANDS, *delivery.COMMANDS),
    views=(TEXTS, MESSAGES, CASES, STEPS, ASSIGNMENTS, CHANNELS, EMAILS, WEBHOOKS, *organisation.VIEWS),
    reactions=REACTIONS,
    effects=effects(outside),
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router, own=Outside)
