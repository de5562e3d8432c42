"""The door for other systems on Kafka: CloudEvents of theirs, handed on one by one, in the order of their keys.

There are no sequences and no owners here. `take` turns an event into commands whose ids derive from the event's source
and id, so that an event that comes twice changes nothing; what it refuses is parked with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import asyncpg
from msgspec.structs import replace
from opentelemetry import trace

from libs.events import wire
from libs.events.contract import Contract
from libs.events.desk import Draft, Partition
from libs.events.errors import CommandReused, Refusal, Unavailable, Undecodable, VersionConflict
from libs.events.journal import Journal
from libs.events.judging import Place, Raw, Verdict
from libs.events.line import DATABASE_ERRORS
from libs.events.parked import Problem
from libs.events.parking import Parking
from libs.events.receiving import Receiver, ReceiverState
from libs.events.tracing import following

ROLE = "inbound"
TOPIC = "baton.inbound"
TENANT = "main"
"""Of an event that names none in its extension `tenant`."""
CONFLICT_TRIES_MAX = 5
CONFLICT_PAUSE_S = 0.1
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("baton")

Take = Callable[[wire.ForeignEvent], Awaitable[None]]


class Inbound:
    """`take(event)` may raise Undecodable, Refusal or CommandReused, which park the record, and Unavailable, after
    which it is called again later. The event has its extension `tenant`, also where its sender named none.
    """

    def __init__(
        self,
        contract: Contract,
        journal: Journal,
        take: Take,
        *,
        dsn: str,
        kafka: str,
        parking: Parking,
        topic: str = TOPIC,
    ) -> None:
        self._receiver = Receiver(contract, journal, Handing(take, topic), dsn=dsn, kafka=kafka, parking=parking)

    async def run(self) -> None:
        """Hand on for ever, leading or standing by."""
        await self._receiver.run()

    def state(self) -> ReceiverState:
        return self._receiver.state()

    async def behind(self) -> int:
        """How many records are still to be handed on, as of now; 0 while another process does it."""
        return await self._receiver.behind()

    def positions(self) -> dict[int, int]:
        """Per partition the next offset; empty while another process does it."""
        return {partition: place.next_offset for (_, partition), place in self._receiver.places().items()}


class Handing:
    """The door as a Taker."""

    def __init__(self, take: Take, topic: str) -> None:
        self._take = take
        self.role = ROLE
        self.topics: tuple[str, ...] = (topic,)
        self.tails: tuple[str, ...] = ()

    async def prepare(self, database: asyncpg.Connection[asyncpg.Record]) -> None:
        """Nothing is subscribed to: everything on the topic is for us."""

    def judge(self, raw: Raw, now: datetime, place: Place | None) -> Verdict:
        if not raw.key:  # records without a key have no order among them: none waits for another
            raw = replace(raw, key=f"{raw.partition}@{raw.offset}")
        verdict = Verdict(raw)
        try:
            event = _for_a_tenant(wire.envelope(raw.headers, raw.value))
            verdict = replace(verdict, event=event)
            wire.foreign(event)
        except Undecodable as error:
            return verdict.refused(Problem.UNREADABLE, str(error))
        return replace(verdict, wanted=True)

    async def take(self, verdict: Verdict, draft: Draft) -> Verdict:
        if verdict.event is None:
            return verdict
        try:
            await self._hand_on(wire.foreign(verdict.event))
        except Undecodable as error:
            return verdict.refused(Problem.UNREADABLE, str(error))
        except CommandReused:
            return verdict.refused(
                Problem.ALTERED, "source and id came before with other content; the first one stands"
            )
        except (Refusal, VersionConflict) as error:
            return verdict.refused(Problem.REFUSED, str(error))
        except Exception as error:  # a bug in what takes it must not stop the records of other keys
            away = isinstance(error, DATABASE_ERRORS) and not isinstance(error, asyncpg.DataError)
            if away or isinstance(error, Unavailable):
                raise
            _log.exception("%s of %s is parked", wire.shown(verdict.event.text("id")), verdict.raw.topic)
            return verdict.refused(Problem.REFUSED, f"{type(error).__name__}: {error}")
        return verdict

    async def _hand_on(self, event: wire.ForeignEvent) -> None:
        with following(_tracer, f"take {event.type}", event.traceparent):
            for _ in range(CONFLICT_TRIES_MAX - 1):
                try:
                    return await self._take(event)
                except VersionConflict:
                    await asyncio.sleep(CONFLICT_PAUSE_S)
            return await self._take(event)

    def tail(self, records: Sequence[Raw]) -> None:
        """No such topics."""

    async def written(self, places: Mapping[Partition, Place]) -> None:
        """No head is announced here."""


def _for_a_tenant(event: wire.Envelope) -> wire.Envelope:
    """The event with the tenant that it is for, so that its sender hears of it there, taken or parked."""
    tenant = event.attributes.get("tenant") or TENANT
    return replace(event, attributes={**event.attributes, "tenant": tenant})
