"""One term of a receiver's leadership: round after round of operators' acts, a batch, and upkeep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import asyncpg
from msgspec.structs import replace
from opentelemetry import trace

from libs.events.desk import DRAFT_BYTES_MAX, Desk, Draft, Key, Partition
from libs.events.fetching import Fetching
from libs.events.judging import Judging, Place, Raw, Verdict, judged, row
from libs.events.parked import Parked, Problem, State
from libs.events.parking import fetch_rows
from libs.events.releasing import act_on, asked, drain
from libs.events.tracing import link_current

ACTS_EVERY_S = 0.5
_NOT_OF_THE_CHAIN = (Problem.OLD_EPOCH, Problem.FOREIGN)
_tracer = trace.get_tracer("baton")


class Taker(Judging, Protocol):
    """What differs between the receivers: which topics, what a record says, and where a good one goes."""

    role: str
    topics: tuple[str, ...]
    tails: tuple[str, ...]

    async def prepare(self, database: asyncpg.Connection[asyncpg.Record]) -> None:
        """Called when leadership begins."""

    async def take(self, verdict: Verdict, draft: Draft) -> Verdict:
        """Take a good record, into the draft or elsewhere; returns the verdict, with a problem where it is refused."""

    def tail(self, records: Sequence[Raw]) -> None:
        """Records of the topics in `tails`, of which only the last ones are of interest."""

    async def written(self, places: Mapping[Partition, Place]) -> None:
        """Everything fetched so far is written."""


class Term:
    def __init__(self, taker: Taker, desk: Desk, fetching: Fetching) -> None:
        self.taker, self.desk, self.fetching = taker, desk, fetching
        self.stopped: dict[Partition, tuple[str, Key]] = {}
        self.gaps: dict[Partition, Parked] = {}
        self._acts_at = 0.0

    async def resume(self) -> None:
        """Let flow on what was about to flow when the last term ended."""
        for key in await self.desk.left(self.taker.topics):
            await drain(self.desk, self.taker, key, await self.desk.journal.reached())

    async def round(self, wake: asyncio.Event) -> None:
        self.desk.lead.check()
        if wake.is_set() or time.monotonic() >= self._acts_at:
            wake.clear()
            await self._act()
            self._acts_at = time.monotonic() + ACTS_EVERY_S
        batches = await self.fetching.take()
        for place in [each for each in batches if each[0] in self.taker.tails]:
            self.taker.tail(batches.pop(place))
        if batches:
            await self._receive(batches)
        await self.taker.written(self.desk.places)
        await self.fetching.tend({place: at.next_offset for place, at in self.desk.places.items()})

    async def _act(self) -> None:
        for act in await asked(self.desk.database, self.taker.topics):
            await act_on(self.desk, self.taker, act, await self.desk.journal.reached())
        await self._close_gaps()
        for place, (_, key) in list(self.stopped.items()):
            if self.desk.full(Draft(), key) is None:
                del self.stopped[place]
                self.fetching.go(place, self.desk.places[place].next_offset)

    async def _receive(self, batches: Mapping[Partition, Sequence[Raw]]) -> None:
        now = await self.desk.journal.reached()
        draft, size = Draft(), 0
        with _tracer.start_as_current_span(f"receive {self.taker.role}", kind=trace.SpanKind.CONSUMER) as span:
            link_current(_traceparent(raw) for records in batches.values() for raw in records)
            span.set_attribute("messaging.system", "kafka")
            span.set_attribute("messaging.batch.message_count", sum(map(len, batches.values())))
            for partition, records in batches.items():
                for raw in records:
                    if size >= DRAFT_BYTES_MAX:
                        await self.desk.commit(draft, now)
                        draft, size = Draft(), 0
                    if not await self._one(draft, partition, raw, now):
                        break
                    size += len(raw.value)
            await self.desk.commit(draft, now)
        await self._close_gaps()

    async def _one(self, draft: Draft, partition: Partition, raw: Raw, now: datetime) -> bool:
        """Put one record into the draft; False when nothing more of its partition can be taken now."""
        place = self.desk.place(draft, partition)
        verdict = judged(self.taker, raw, now, place)
        gap = self.gaps.get(partition)
        if gap is not None and not _continues(verdict, place):
            return True  # read past; it comes again once the gap has closed
        if verdict.held:
            await self._open_gap(draft, partition, verdict, now)
            return True
        why_full = await self._take_or_set_aside(draft, verdict, now)
        if why_full is not None:
            self.stopped[partition] = (why_full, (verdict.raw.topic, verdict.raw.key))
            self.fetching.stop(partition)
            return False
        draft.places[partition] = after = _moved(place, verdict, gap)
        return gap is None or after.sequence < (gap.previous or 0)

    async def _take_or_set_aside(self, draft: Draft, verdict: Verdict, now: datetime) -> str | None:
        """Returns why the record can neither be taken nor set aside, if so."""
        key = (verdict.raw.topic, verdict.raw.key)
        if verdict.problem is None and not verdict.wanted:
            return None
        slipped_in = await self.desk.slipped_in(draft, verdict)
        if slipped_in is not None:
            verdict = verdict.refused(Problem.FOREIGN, slipped_in)
        behind = (
            self.desk.waiting(draft, key)
            and (verdict.problem is None or verdict.problem.blocks)
            and not await self.desk.heard(draft, verdict)  # one that was is only compared with what stands
        )
        if behind:
            verdict = replace(verdict, problem=None, reason="")
        elif verdict.problem is None:
            verdict = await self.taker.take(verdict, draft)
            if verdict.problem is None:
                return None
        if await self.desk.known(draft, verdict):
            return None
        why_full = self.desk.full(draft, key)
        if why_full is None:
            self.desk.set_aside(draft, verdict, now)
        return why_full

    async def _open_gap(self, draft: Draft, partition: Partition, verdict: Verdict, now: datetime) -> None:
        """The records before this one are missing: it is reported, and the partition is only searched for them."""
        place, link = self.desk.place(draft, partition), verdict.link
        previous = link.previous if link else 0
        reason = (
            f"sequence {previous} of its owner, which it follows, was not seen; {place.sequence} was the last:"
            f" `baton publish {partition[0].removeprefix('baton.')} --from {place.sequence + 1}` sends what is missing"
        )
        new = row(verdict, State.PARKED, problem=Problem.GAP, reason=reason)
        self.gaps[partition] = new
        if not await fetch_rows(self.desk.database, "id = $1", new.id):
            draft.rows[new.id] = new
            draft.pending[new.topic] += 1
            draft.decided.append(self.desk.announcing.parked(new, now))

    async def _close_gaps(self) -> None:
        """Gaps whose missing records have come: read on from where they opened."""
        for partition, gap in list(self.gaps.items()):
            place = self.desk.places[partition]
            if place.sequence < (gap.previous or 0):
                continue
            now = await self.desk.journal.reached()
            draft = Draft()
            for each in await fetch_rows(
                self.desk.database,
                "kind = 'gap' and state = 'parked' and topic = $1 and partition = $2 and previous <= $3",
                *partition,
                place.sequence,
            ):
                self.desk.end(draft, each, State.RELEASED, now, by=self.desk.announcing.actor)
            await self.desk.commit(draft, now)
            del self.gaps[partition]
            self.fetching.seek(partition, place.next_offset)


def _continues(verdict: Verdict, place: Place) -> bool:
    """Whether the record is the next one of its chain."""
    link = verdict.link
    if link is None or verdict.held or verdict.problem in _NOT_OF_THE_CHAIN:
        return False
    return link.previous <= place.sequence < link.sequence


def _moved(place: Place, verdict: Verdict, gap: Parked | None) -> Place:
    """The place after a record; while a gap is open the next offset stays where it opened."""
    next_offset = place.next_offset if gap is not None else verdict.raw.offset + 1
    link = verdict.link
    if link is None or verdict.problem in _NOT_OF_THE_CHAIN:
        return replace(place, next_offset=next_offset)
    epoch = place.epoch if gap is not None else max(place.epoch, link.epoch)
    return Place(next_offset, max(place.sequence, link.sequence), epoch, place.reread_until)


def _traceparent(raw: Raw) -> str:
    return next((value.decode("ascii", "replace") for name, value in raw.headers if name == "traceparent"), "")
