"""The machinery of one service, put together: nothing in here decides anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from libs.events.clock import Clock
from libs.events.courier import Courier
from libs.events.handling import Handler
from libs.events.inbound import Inbound, Take
from libs.events.journal import Journal
from libs.events.listener import Listener
from libs.events.looking import DatabaseLooks
from libs.events.parking import Parking
from libs.events.projector import Projector
from libs.events.publisher import Publisher
from libs.events.reactor import Reactor
from libs.events.reading import Reader
from libs.events.service import Service
from libs.events.timekeeper import Timekeeper
from libs.service.roles import Role
from libs.service.running import Checked, Doors
from libs.service.settings import Settings

Taking = Callable[[Doors], Take]


@dataclass(frozen=True, slots=True)
class Machinery:
    """Every part of one running service. `inbound`: only where foreign events are taken in from Kafka; `courier`: only
    where something is sent out into the world.
    """

    service: Service
    pool: asyncpg.Pool
    journal: Journal
    clock: Clock
    projector: Projector
    reactor: Reactor
    timekeeper: Timekeeper
    courier: Courier | None
    publisher: Publisher
    listener: Listener
    parking: Parking
    inbound: Inbound | None
    doors: Doors

    @property
    def roles(self) -> list[Role]:
        roles = [
            Role("clock", self.clock.run, awaited=True),
            Role("projector", self.projector.run, awaited=True),
            Role("reactor", self.reactor.run),
            Role("publisher", self.publisher.run, lambda: self.publisher.state().restarts),
            Role("listener", self.listener.run, lambda: self.listener.state().restarts),
        ]
        if self.service.timers:
            roles.append(Role("timekeeper", self.timekeeper.run))
        if self.courier:
            roles.append(Role("courier", self.courier.run))
        if (inbound := self.inbound) is not None:
            roles.append(Role("inbound", inbound.run, lambda: inbound.state().restarts))
        return roles


def assemble(
    service: Service,
    settings: Settings,
    journal: Journal,
    pool: asyncpg.Pool,
    reader_pool: asyncpg.Pool,
    taking: Taking | None = None,
) -> Machinery:
    """Put the parts together; nothing runs yet."""
    dsn, kafka = settings.database_url, settings.kafka
    clock = Clock(pool)
    projector = Projector(service, journal, pool, dsn=dsn)
    looks = DatabaseLooks(projector, pool)
    handler = Handler(service, journal, looks)
    parking = Parking(service.contract, journal, pool)
    reactor = Reactor(service, journal, projector, looks, handler, parking, pool, dsn=dsn)
    parking.retry_reaction = reactor.retry
    publisher = Publisher(service.contract, journal, dsn=dsn, kafka=kafka)
    listener = Listener(service, journal, dsn=dsn, kafka=kafka, parking=parking)
    timekeeper = Timekeeper(service, journal, projector, reactor, handler, listener, clock, pool, dsn=dsn)
    courier = None
    if service.effects:
        courier = Courier(service, journal, projector, looks, handler, clock, pool, dsn=dsn)
    reader = Reader(projector, journal, reader_pool)
    doors = Doors(Checked(handler), reader, projector, clock.now, listener.watermarks)
    inbound = None
    if taking is not None:
        inbound = Inbound(service.contract, journal, taking(doors), dsn=dsn, kafka=kafka, parking=parking)
    return Machinery(
        service=service,
        pool=pool,
        journal=journal,
        clock=clock,
        projector=projector,
        reactor=reactor,
        timekeeper=timekeeper,
        courier=courier,
        publisher=publisher,
        listener=listener,
        parking=parking,
        inbound=inbound,
        doors=doors,
    )


async def prepare(machinery: Machinery, settings: Settings) -> None:
    """What must stand before any role runs: tables of views, registered reactions, and where the clock stands."""
    reading = await machinery.clock.read()
    begins_at = settings.held_at
    if begins_at is not None and reading.held_at is None and await machinery.journal.position() == 0:
        await machinery.clock.hold(begins_at)
        await machinery.clock.fire()
    await machinery.projector.prepare()
    await machinery.reactor.prepare()
