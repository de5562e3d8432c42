"""The errands service of the kernel's own tests, running on a real database: everything but the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from infra.local.databases import Database
from libs.events.clock import Clock
from libs.events.deciding import Command
from libs.events.entries import Entry, derived_id, new_id, stream_id
from libs.events.handling import Answer, Handler, Request
from libs.events.heads import Watermark
from libs.events.journal import ANY, Journal
from libs.events.looking import DatabaseLooks
from libs.events.projector import Projector
from libs.events.reactor import Reactor
from libs.events.reading import Reader
from libs.events.service import Service
from libs.events.tests.errands import CONTRACT, SERVICE, ErrandPassedOn
from libs.events.timekeeper import Timekeeper, Watermarks
from libs.service.database import READERS_MAX, open_pool
from tests.integration.journal_probe import append

DEADLINE_S = 20.0
FACTS_AT_ONCE = 50


@dataclass
class ParkedReactions:
    """What the reactor parked, kept in memory: the table of parked records has tests of its own."""

    found: list[tuple[str, Entry, str]] = field(default_factory=list)

    async def park_reaction(self, name: str, entry: Entry, reason: str) -> UUID:
        self.found.append((name, entry, reason))
        return entry.id


class NobodyHeard:
    def watermarks(self) -> dict[str, Watermark]:
        return {}


@dataclass
class Errands:
    """One running process of the service."""

    journal: Journal
    pool: asyncpg.Pool
    projector: Projector
    reactor: Reactor
    handler: Handler
    reader: Reader
    clock: Clock
    timekeeper: Timekeeper
    parked: ParkedReactions
    looks: DatabaseLooks

    async def ask(
        self,
        command: Command,
        *,
        tenant: str = "main",
        command_id: UUID | None = None,
        expected: int | None = None,
    ) -> Answer:
        request = Request(
            command=command,
            tenant=tenant,
            actor="ann",
            command_id=command_id or new_id(),
            at=(await self.clock.read()).now,
            expected=expected,
        )
        return await self.handler.ask(request)

    async def settle(self) -> None:
        """Fold and react by hand, as a leader does, until nothing is left."""
        await self.reactor.register()
        while await self.projector.step() or await self.reactor.step():
            pass

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Projector, reactor and timekeeper run by themselves."""
        tasks = [asyncio.create_task(part.run()) for part in (self.projector, self.reactor, self.timekeeper)]
        try:
            yield
        finally:
            failed = [task.exception() for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not failed, failed


@asynccontextmanager
async def errands(
    database: Database, service: Service = SERVICE, ears: Watermarks | None = None
) -> AsyncIterator[Errands]:
    """`ears`: what it knows of other owners."""
    journal = await Journal.open(database.url, service=service.name)
    pool = await open_pool(database.url, service.name)
    readers = await open_pool(database.reader_url, f"{service.name}-read", READERS_MAX)
    try:
        projector = Projector(service, journal, pool, dsn=database.url)
        looks = DatabaseLooks(projector, pool)
        handler, parked, clock = Handler(service, journal, looks), ParkedReactions(), Clock(pool)
        reactor = Reactor(service, journal, projector, looks, handler, parked, pool, dsn=database.url)
        timekeeper = Timekeeper(
            service, journal, projector, reactor, handler, ears or NobodyHeard(), clock, pool, dsn=database.url
        )
        await projector.prepare()
        await reactor.prepare()
        reader = Reader(projector, journal, readers)
        yield Errands(journal, pool, projector, reactor, handler, reader, clock, timekeeper, parked, looks)
    finally:
        await journal.close()
        pool.terminate()
        readers.terminate()


async def passed_on(service: Errands, errand: UUID, facts: int) -> None:
    """So many facts more on the errand's stream, by another process; ann and bob have it in turns, bob at last."""
    stream = stream_id("main", "errands", "errand", errand)
    for first in range(0, facts, FACTS_AT_ONCE):
        command, count = new_id(), min(FACTS_AT_ONCE, facts - first)
        to = ["bob" if (facts - first - number) % 2 else "ann" for number in range(count)]
        told = tuple((derived_id(command, str(i)), *CONTRACT.encode(ErrandPassedOn(who))) for i, who in enumerate(to))
        await service.journal.append(replace(append(stream, ANY), command_id=command, subject=errand, facts=told))


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, with a deadline that names it."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():  # noqa: ASYNC110 - conditions of a database have no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"within {DEADLINE_S} s it did not come about that {what}") from None


def now() -> datetime:
    return datetime.now(UTC)
