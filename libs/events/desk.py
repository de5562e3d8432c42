"""The desk of a receiver: which keys wait, how far each partition is, and the one transaction that moves both.

Memory here is a copy of journal.offsets and journal.parked; a draft changes it only once it is committed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from libs.events.appends import Append, Heard, Offset
from libs.events.errors import LeadershipLost
from libs.events.journal import Journal
from libs.events.judging import Place, Verdict, row
from libs.events.leading import STALE_TERM, Lead
from libs.events.parked import Parked, Problem, State, shortened
from libs.events.parking import Announcing, fetch_rows

WAITING_MAX = 1_000
"""Records that wait behind one parked one; the next one stops its partition."""
PENDING_MAX = 50_000
"""Records parked or waiting at one desk; the next one stops its partition."""
DRAFT_BYTES_MAX = 4 * 1024 * 1024
"""Of records in one draft; the one that brings it there is its last."""

_OFFSETS = """
select topic, partition, topic_id, next_offset, epoch, sequence, reread_until from journal.offsets where topic = any($1)
"""
_BLOCKED = """
select topic, key, count(*) as waiting from journal.parked
where state = 'waiting' or (state = 'parked' and kind = any($2)) group by topic, key having topic = any($1)
"""
_LEFT = """
select distinct w.topic, w.key from journal.parked w where w.state = 'waiting' and w.topic = any($1) and not exists (
  select 1 from journal.parked p
  where p.topic = w.topic and p.key = w.key and p.state = 'parked' and p.kind = any($2))
"""
_PENDING = """
select topic, count(*) as pending from journal.parked where state in ('parked', 'waiting') and topic = any($1)
group by topic
"""
_HEARD = "select exists (select 1 from journal.entries where id = $1)"
_BLOCKING = [problem.value for problem in Problem if problem.blocks]
_IN_ORDER = [problem for problem in Problem if problem.blocks or problem is Problem.WAITING]
"""Kinds that stand for the record in its key's order; a foreign or outdated copy of an id does not stand for it."""

T = TypeVar("T")
_log = logging.getLogger(__name__)
Partition = tuple[str, int]
Key = tuple[str, str]


@dataclass(slots=True)
class Draft:
    """What one transaction will write. `rows` by id; `taken`: the verdicts whose records are in `heard`."""

    places: dict[Partition, Place] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    taken: list[Verdict] = field(default_factory=list)
    rows: dict[UUID, Parked] = field(default_factory=dict)
    decided: list[Append] = field(default_factory=list)
    blocked: Counter[Key] = field(default_factory=Counter)
    pending: Counter[str] = field(default_factory=Counter)


class Desk:
    """One term of leadership of one receiver."""

    def __init__(
        self, journal: Journal, database: asyncpg.Connection[asyncpg.Record], lead: Lead, announcing: Announcing
    ) -> None:
        self.journal, self.database, self.lead, self.announcing = journal, database, lead, announcing
        self.topic_ids: dict[str, str] = {}
        self.places: dict[Partition, Place] = {}
        self.blocked: Counter[Key] = Counter()
        self.pending: Counter[str] = Counter()

    async def load(self, topics: Sequence[str]) -> dict[Partition, Offset]:
        """Fill the memory; returns the stored offsets."""
        stored = [Offset(**found) for found in await self.database.fetch(_OFFSETS, topics)]
        self.topic_ids = {o.topic: o.topic_id for o in stored}
        self.places = {
            (o.topic, o.partition): Place(o.next_offset, o.sequence, o.epoch, o.reread_until) for o in stored
        }
        waiting = await self.database.fetch(_BLOCKED, topics, _BLOCKING)
        self.blocked = Counter({(found["topic"], found["key"]): found["waiting"] for found in waiting})
        pending = await self.database.fetch(_PENDING, topics)
        self.pending = Counter({found["topic"]: found["pending"] for found in pending})
        return {(o.topic, o.partition): o for o in stored}

    async def left(self, topics: Sequence[str]) -> list[Key]:
        """Keys whose records wait behind nothing: whoever let them flow came to an end before all had flowed."""
        return [(found["topic"], found["key"]) for found in await self.database.fetch(_LEFT, topics, _BLOCKING)]

    def begin(self, topic_ids: Mapping[str, str], starts: Mapping[Partition, int]) -> None:
        """Take over where reading really starts. A topic that does not exist now is left as it was."""
        anew = {topic for topic, id_ in topic_ids.items() if self.topic_ids.get(topic) != id_}
        self.topic_ids |= topic_ids
        for place, start in starts.items():
            known = self.places.get(place, Place())
            if place[0] in anew:
                known = replace(known, reread_until=0)
            if start != known.next_offset:  # from the topic's start: the epochs come again as they came
                known = replace(known, next_offset=start, epoch=0)
            self.places[place] = known

    def place(self, draft: Draft, partition: Partition) -> Place:
        return draft.places.get(partition) or self.places.get(partition) or Place()

    def waiting(self, draft: Draft, key: Key) -> int:
        """How many records of this key are parked or wait."""
        return self.blocked[key] + draft.blocked[key]

    def full(self, draft: Draft, key: Key) -> str | None:
        """Why no further record of this key can be set aside, if so."""
        if self.waiting(draft, key) >= WAITING_MAX:
            return f"{WAITING_MAX} records of key {key[1]!r} wait behind a parked one"
        if self.pending.total() + draft.pending.total() >= PENDING_MAX:
            return f"{PENDING_MAX} records are parked or wait"
        return None

    async def known(self, draft: Draft, verdict: Verdict) -> bool:
        """Whether this record was set aside before, as itself or as a copy that its owner sent again: it stays as it
        was then. Others may use the same id for a corrected record.
        """
        new = row(verdict, State.PARKED)
        event = (new.topic, new.event_id if verdict.link is not None else None)
        copies = (each for each in draft.rows.values() if each.event_id and each.kind in _IN_ORDER)
        if new.id in draft.rows or any((each.topic, each.event_id) == event for each in copies):
            return True
        found = await fetch_rows(
            self.database,
            "id = $1 and kind <> 'altered' or topic = $2 and event_id = $3 and kind = any($4) limit 1",
            new.id,
            *event,
            [kind.value for kind in _IN_ORDER],
        )
        return bool(found)

    async def slipped_in(self, draft: Draft, verdict: Verdict) -> str | None:
        """Why the record cannot be its owner's, if it stands at a place of the chain that was passed without it."""
        if not verdict.passed or verdict.heard is None or verdict.link is None or await self.heard(draft, verdict):
            return None
        return (
            f"sequence {verdict.link.sequence} of its owner was passed without the id {verdict.heard.id}: compare with"
            " the owner's journal, then drop it, or retry it to take it all the same"
        )

    async def heard(self, draft: Draft, verdict: Verdict) -> bool:
        """Whether a fact with this id was heard before."""
        if verdict.heard is None:
            return False
        id_ = verdict.heard.id
        return any(heard.id == id_ for heard in draft.heard) or bool(await self.database.fetchval(_HEARD, id_))

    def set_aside(self, draft: Draft, verdict: Verdict, now: datetime) -> None:
        """Park a record with its problem, or let it wait when it has none."""
        new = row(verdict, State.PARKED if verdict.problem else State.WAITING)
        draft.rows[new.id] = new
        draft.pending[new.topic] += 1
        if new.state is State.WAITING or new.kind.blocks:
            draft.blocked[new.topic, new.key] += 1
        if verdict.problem:
            draft.decided.append(self.announcing.parked(new, now))

    def park_waiting(self, draft: Draft, waiting: Parked, verdict: Verdict, now: datetime) -> None:
        """A record that waited cannot be taken either, now that its turn has come."""
        problem = verdict.problem or Problem.UNREADABLE
        parked = replace(waiting, kind=problem, state=State.PARKED, reason=shortened(verdict.reason))
        draft.rows[parked.id] = parked
        if not problem.blocks:
            draft.blocked[parked.topic, parked.key] -= 1
        draft.decided.append(self.announcing.parked(parked, now))

    def end(self, draft: Draft, parked: Parked, state: State, now: datetime, *, by: str | None = None) -> None:
        """A row is released or dropped; `by`: the person who asked for it, which is a fact of its own."""
        draft.rows[parked.id] = replace(parked, state=state, ended_by=by or self.announcing.actor)
        draft.pending[parked.topic] -= 1
        if parked.state is State.WAITING or parked.kind.blocks:
            draft.blocked[parked.topic, parked.key] -= 1
        if by is not None:
            draft.decided.append(self.announcing.ended(draft.rows[parked.id], now, by))

    async def commit(self, draft: Draft, now: datetime) -> None:
        """Write all of it, then remember it. Records that come with another content than before are parked."""
        offsets = [
            Offset(topic, self.topic_ids[topic], partition, place.next_offset, place.epoch, place.sequence)
            for (topic, partition), place in draft.places.items()
            if place != self.places.get((topic, partition))
        ]
        while True:
            if not (offsets or draft.heard or draft.rows):
                return
            self.lead.check()
            try:
                outcomes = await self.journal.hear(
                    draft.heard, offsets, tuple(draft.rows.values()), draft.decided, term=self.lead.term
                )
            except asyncpg.PostgresError as error:
                if error.sqlstate == STALE_TERM:
                    raise LeadershipLost(f"{self.lead.role}: another process took over") from error
                raise
            altered = {i for i, outcome in enumerate(outcomes) if outcome.outcome == "altered"}
            if not altered:
                break
            await self._altered(draft, altered, now)
        for parked in draft.rows.values():
            if parked.state is State.PARKED:  # its reason may hold what nobody should read in a log
                _log.warning("%s: a record of %s is parked as %s", parked.id, parked.topic, parked.kind.value)
        self.places.update(draft.places)
        self.blocked = _sum(self.blocked, draft.blocked)
        self.pending = _sum(self.pending, draft.pending)

    async def _altered(self, draft: Draft, altered: set[int], now: datetime) -> None:
        """Take these records out of the draft and park them, unless the difference is an operator's own mending."""
        ids = [draft.heard[i].id for i in altered]
        mended = await fetch_rows(self.database, "event_id = any($1) and mended is not null", ids)
        own = {each.event_id for each in mended}
        for i in sorted(altered, reverse=True):
            heard, verdict = draft.heard.pop(i), draft.taken.pop(i)
            if heard.id in own:
                continue
            reason = f"id {heard.id} was heard before with other content; the first one stands"
            parked = row(verdict.refused(Problem.ALTERED, reason), State.PARKED)
            if parked.id not in draft.rows and await fetch_rows(self.database, "id = $1", parked.id):
                continue  # read again, and reported before
            draft.decided = [each for each in draft.decided if each.command_id != self.announcing.ended_id(parked)]
            draft.rows[parked.id] = parked
            draft.pending[parked.topic] += 1
            draft.decided.append(self.announcing.parked(parked, now))


def _sum(one: Counter[T], other: Counter[T]) -> Counter[T]:
    total = Counter(one)
    total.update(other)
    return Counter({key: count for key, count in total.items() if count > 0})
