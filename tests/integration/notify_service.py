"""notify without its doors and without Kafka; `python -m tests.integration.notify_service` sends its deliveries until
it is killed, on the database NOTIFY_URL (for readers: NOTIFY_READER_URL), told of the outside as in production.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from infra.local.databases import Database
from libs.events.courier import Courier
from libs.events.service import Service
from services.notify.channels.outside import Outside
from services.notify.channels.outside import outside as of_this_process
from services.notify.channels.sending import effects
from services.notify.main import SERVICE
from tests.integration.errands_service import Errands, errands
from tests.integration.postcards_service import courier_of

DEADLINE_S = 6.0
"""Of an attempt: long enough to look at one under way, short enough to wait for its end."""


def notifying(told: Outside) -> Service:
    sent = (replace(effect, deadline_s=DEADLINE_S) for effect in effects(lambda: told))
    return replace(SERVICE, effects=tuple(sent))


@asynccontextmanager
async def notify(database: Database, told: Outside) -> AsyncIterator[tuple[Errands, Courier]]:
    """One process of the service; its courier is stepped by hand or run by the test."""
    service = notifying(told)
    async with errands(database, service) as running:
        yield running, courier_of(service, running, database)


async def work(database: Database) -> None:
    async with notify(database, of_this_process()) as (running, courier), running.working():
        await courier.run()


if __name__ == "__main__":
    asyncio.run(work(Database("", "", os.environ["NOTIFY_URL"], os.environ["NOTIFY_READER_URL"], "", "")))
