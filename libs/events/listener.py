"""The listener: hears the facts of other owners that this service needs, each once, in the order of its key.

A subscription to a type starts when the service first listens for it: what was recorded before is heard as backfilled
(reactions pass it over). The very first ones of a service start STARTING_TOGETHER_S earlier, so that nothing is missed
that another service said while this one was still starting. When a type is added later, its topic is read again from
the start; what was heard before vanishes by its ids, and until that is done its owner's watermark stands still. A type
that nobody wanted for a while keeps its start. Facts that nobody here needs are passed over by their header, but their
sequence counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from libs.events import heads
from libs.events.contract import Contract
from libs.events.desk import Draft, Partition
from libs.events.errors import Undecodable
from libs.events.journal import Journal
from libs.events.judging import ANYTHING, Judge, Place, Raw, Subscription, Verdict
from libs.events.parked import Problem
from libs.events.parking import Parking
from libs.events.receiving import Receiver, ReceiverState
from libs.events.service import Service
from libs.events.tables import Session
from libs.events.watermarks import SharedWatermarks

ROLE = "listener"
STARTING_TOGETHER_S = 60
PAUSE_DAYS_MAX = 30
"""A type that was not listened to for longer is new: nobody wants to react now to what was said so long ago."""
_log = logging.getLogger(__name__)

_FIRST = "select not exists (select 1 from journal.subscriptions)"
_LISTENED = """
select type, since, listened_from from journal.subscriptions where topic = any($1) and listened_from is not null
"""
_PAUSE = """
update journal.subscriptions set listened_from = null, paused_at = journal.reached()
where topic = any($1) and type <> all($2) and listened_from is not null
"""
# Of a topic that was never read nothing was ever passed over.
_BEGIN = """
insert into journal.subscriptions as s (type, topic, since, listened_from)
select $1, $2, journal.reached() - make_interval(secs => $3), case
  when exists (select from journal.offsets o where o.topic = $2 and o.sequence > 0) then journal.reached()
  else to_timestamp(0) end
on conflict (type) do update set listened_from = excluded.listened_from, paused_at = null, since =
  case when s.paused_at > journal.reached() - make_interval(days => $4) then s.since else excluded.since end
"""
_READ_AGAIN = """
update journal.offsets set next_offset = 0, epoch = 0, reread_until = greatest(reread_until, next_offset)
where topic = any($1)
"""


class Listener:
    def __init__(self, service: Service, journal: Journal, *, dsn: str, kafka: str, parking: Parking) -> None:
        self._hearing = Hearing(service, journal)
        self._receiver = Receiver(service.contract, journal, self._hearing, dsn=dsn, kafka=kafka, parking=parking)
        self._shared = SharedWatermarks([contract.owner for contract in service.hears], dsn, self._own)

    async def run(self) -> None:
        """Listen for ever, leading or standing by; a service that hears nobody only waits to be ended."""
        if not self._hearing.topics:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._receiver.run())
            both.create_task(self._shared.run())

    def state(self) -> ReceiverState:
        return self._receiver.state()

    def positions(self) -> dict[str, dict[int, int]]:
        """Per owner and partition the last sequence heard or passed over; empty while another process listens."""
        return _by_owner({each: place.sequence for each, place in self._receiver.places().items()})

    def watermarks(self) -> dict[str, heads.Watermark]:
        """Per owner how far everything it said was heard, by this process or by the one that listens for it."""
        return self._shared.watermarks()

    def _own(self) -> tuple[int, dict[str, heads.Watermark]] | None:
        term = self._receiver.term
        if term is None:
            return None
        pending = self._receiver.state().pending
        counts = {_owner(topic): count for topic, count in pending.items()}
        return term, self._hearing.fulfilment.watermarks(counts)


class Hearing:
    """The listener as a Taker: which records of which topics a service hears."""

    def __init__(self, service: Service, journal: Journal) -> None:
        self._service, self._journal = service, journal
        self.role = ROLE
        self.topics = tuple(contract.topic for contract in service.hears)
        self.tails: tuple[str, ...] = (heads.TOPIC,)
        self.fulfilment = heads.Fulfilment(tuple(contract.owner for contract in service.hears))
        self._language = service.language
        self._judge = Judge(self._language, {})

    async def prepare(self, database: Session) -> None:
        self._judge = Judge(self._language, await subscribe(database, self._subscriptions(), self.topics))

    def judge(self, raw: Raw, now: datetime, place: Place | None) -> Verdict:
        verdict = self._judge.judge(raw, now, place)
        heard, link = verdict.heard, verdict.link
        if place is None or heard is None or link is None or link.epoch > place.epoch or verdict.passed:
            return verdict
        said = self.fulfilment.watermark(_owner(raw.topic)).at
        if link.sequence > place.sequence and said is not None and heard.recorded_at <= said:
            return verdict.refused(
                Problem.FOREIGN,
                f"recorded at {heard.recorded_at.isoformat()}, though its owner had announced that nothing up to"
                f" {said.isoformat()} was still to come",
            )
        return verdict

    async def take(self, verdict: Verdict, draft: Draft) -> Verdict:
        if verdict.heard is not None:
            draft.heard.append(verdict.heard)
            draft.taken.append(verdict)
        return verdict

    def tail(self, records: Sequence[Raw]) -> None:
        for raw in records:
            try:
                self.fulfilment.announced(heads.decode(raw.value))
            except Undecodable as error:
                _log.error("offset %d of %s is passed over: %s", raw.offset, heads.TOPIC, error)

    async def written(self, places: Mapping[Partition, Place]) -> None:
        found = self.fulfilment.fulfilled(_by_owner({each: place.fulfils for each, place in places.items()}))
        if found:
            self.fulfilment.reach(found, await self._journal.position())

    def _subscriptions(self) -> dict[str, str]:
        """Type to topic."""
        if self._service.hears_everything:
            return {f"{contract.owner}.{ANYTHING}": contract.topic for contract in self._service.hears}
        needed = self._language.types_of(self._service.needs)
        return {type_: contract.topic for contract in self._service.hears for type_ in _said(contract) & needed}


async def subscribe(database: Session, wanted: Mapping[str, str], topics: Sequence[str]) -> dict[str, Subscription]:
    """The wanted types. Where listening to one begins, or begins again, its topic is read again from its start; a pause
    of up to PAUSE_DAYS_MAX, as of an older process that did not want it, is as if it had not been.
    """
    async with database.transaction():
        grace_s = STARTING_TOGETHER_S if await database.fetchval(_FIRST) else 0
        await database.execute(_PAUSE, topics, list(wanted))
        known = await _listened(database, topics)
        begun = {type_: topic for type_, topic in wanted.items() if type_ not in known}
        await database.executemany(_BEGIN, [(type_, topic, grace_s, PAUSE_DAYS_MAX) for type_, topic in begun.items()])
        await database.execute(_READ_AGAIN, list(set(begun.values())))
        return await _listened(database, topics)


async def _listened(database: Session, topics: Sequence[str]) -> dict[str, Subscription]:
    records = await database.fetch(_LISTENED, topics)
    return {record["type"]: Subscription(record["since"], record["listened_from"]) for record in records}


def _by_owner(sequences: Mapping[Partition, int]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for (topic, partition), sequence in sequences.items():
        found.setdefault(_owner(topic), {})[partition] = sequence
    return found


def _owner(topic: str) -> str:
    return topic.removeprefix("baton.")


def _said(contract: Contract) -> frozenset[str]:
    return frozenset(contract.kinds)
