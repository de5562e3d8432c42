"""Judging one record: noted, passed over, parked, or held back. Pure: the same record gets the same verdict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.events import wire
from libs.events.appends import DATA_BYTES_MAX, Heard
from libs.events.contract import Language
from libs.events.errors import Undecodable
from libs.events.parked import Headers, Parked, Problem, State, parked_id, shortened

AHEAD_S_MAX = 60
"""A record may be recorded this much ahead of where our domain clock has ever been: one bad clock must not poison every
journal, and a jump of a clock that services share must not stop them.
"""
_AHEAD_MAX = timedelta(seconds=AHEAD_S_MAX)
ANYTHING = "*"


class Raw(msgspec.Struct, frozen=True, gc=False):
    """A record as it came from a topic, or from its parked row."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    key: str
    headers: Headers
    value: bytes

    @property
    def place(self) -> tuple[str, int]:
        return self.topic, self.partition


class Place(msgspec.Struct, frozen=True, gc=False):
    """How far a partition was heard. `sequence`: the last of its owner that was taken or passed over. `reread_until`:
    what the next offset was before all was read again for what had been passed over.
    """

    next_offset: int = 0
    sequence: int = 0
    epoch: int = 0
    reread_until: int = 0

    @property
    def fulfils(self) -> int:
        """The last sequence that counts for what its owner announces. None does while the partition is read again:
        below zero by what is still to be read, it only shows that this comes nearer.
        """
        return min(0, self.next_offset - self.reread_until) or self.sequence


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What to do with a record: park it (`problem`), hold it back (`held`), take it (`wanted`), or pass it over.

    `passed`: its owner's chain is past its place, so it must have been heard before.
    """

    raw: Raw
    event: wire.Envelope | None = None
    link: wire.Link | None = None
    heard: Heard | None = None
    problem: Problem | None = None
    reason: str = ""
    held: bool = False
    wanted: bool = False
    passed: bool = False

    def refused(self, problem: Problem, reason: str) -> Verdict:
        return replace(self, problem=problem, reason=reason, heard=None, wanted=False)


class Judging(Protocol):
    def judge(self, raw: Raw, now: datetime, place: Place | None) -> Verdict:
        """What the record itself says. `place`: None for one that comes from its parked row."""


def judged(by: Judging, raw: Raw, now: datetime, place: Place | None) -> Verdict:
    """The verdict of `by`. A record over which judging breaks is parked with why: raised, it would come first again for
    ever. Its place in the chain counts all the same, if it can be read, or the next record would be held for it.
    """
    try:
        return by.judge(raw, now, place)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the row's reason
        reason = f"judging it failed: {error!r}"
    try:
        verdict = chained(raw, place)
    except Exception:  # noqa: BLE001 - the reason stands already
        verdict = Verdict(raw)
    if verdict.held or verdict.problem is Problem.OLD_EPOCH:
        return verdict
    return verdict.refused(Problem.UNREADABLE, reason)


def chained(raw: Raw, place: Place | None) -> Verdict:
    """What the record's place in its owner's chain says, whatever else is in it."""
    event: wire.Envelope | None = None
    try:
        event = wire.envelope(raw.headers, raw.value)
        if f"baton.{wire.owner_of(event)}" != raw.topic:
            reason = f"source {wire.shown(event.text('source'))} speaks on topic {raw.topic}"
            return Verdict(raw, event, problem=Problem.FOREIGN, reason=reason)
        link = wire.link(event)
    except Undecodable as error:
        foreign = error.field in ("ce_source", "ce_type") and bool(error.value)
        return Verdict(raw, event, problem=Problem.FOREIGN if foreign else Problem.UNREADABLE, reason=str(error))
    if place is not None:
        if link.epoch < place.epoch:
            reason = f"epoch {link.epoch} though its owner is in epoch {place.epoch}"
            return Verdict(raw, event, link, problem=Problem.OLD_EPOCH, reason=reason)
        if link.sequence > place.sequence and link.previous > place.sequence:
            return Verdict(raw, event, link, held=True)
    return Verdict(raw, event, link)


class Subscription(NamedTuple):
    """What was recorded before `since` is backfilled; what was before `listened_from` may have been passed over."""

    since: datetime
    listened_from: datetime


class Judge:
    """What one service takes: facts of these owners, of types that are listened to.

    `subscriptions`: by type, or by `owner.*` for everything that the owner says.
    """

    def __init__(self, language: Language, subscriptions: Mapping[str, Subscription]) -> None:
        self._language, self._subscriptions = language, subscriptions

    def judge(self, raw: Raw, now: datetime, place: Place | None = None) -> Verdict:
        """`place`: where the record stands in its partition; None for one that comes from its parked row."""
        verdict = chained(raw, place)
        event, link = verdict.event, verdict.link
        if event is None or link is None or verdict.problem or verdict.held:
            return verdict
        everything = self._subscriptions.get(f"{raw.topic.removeprefix('baton.')}.{ANYTHING}")
        subscription = self._subscriptions.get(event.text("type")) or everything
        if subscription is None:
            return verdict
        try:
            recorded_at = event.instant("recordedat")
            heard = wire.heard(event, backfilled=recorded_at < subscription.since)
        except Undecodable as error:
            return verdict.refused(Problem.UNREADABLE, str(error))
        # By its owner's clock, which may be ahead of ours.
        may_be_new = everything is None and recorded_at < subscription.listened_from + _AHEAD_MAX
        passed = place is not None and link.epoch == place.epoch and link.sequence <= place.sequence
        passed = passed and not may_be_new
        problem = self._problem(heard, now)
        if problem is not None:
            return Verdict(raw, event, link, None, *problem, passed=passed)
        return Verdict(raw, event, link, heard, wanted=True, passed=passed)

    def _problem(self, heard: Heard, now: datetime) -> tuple[Problem, str] | None:
        """Why the record cannot be taken, if so."""
        if heard.recorded_at > now + _AHEAD_MAX:
            return (
                Problem.FUTURE,
                f"recorded at {heard.recorded_at.isoformat()}, more than {AHEAD_S_MAX} s ahead of {now.isoformat()}",
            )
        if len(heard.data) > DATA_BYTES_MAX:
            return Problem.UNREADABLE, f"{len(heard.data)} bytes of data, at most {DATA_BYTES_MAX}"
        everything = heard.type not in self._subscriptions
        if not (everything and not self._language.knows(heard.type)):
            try:
                self._language.decode(heard.type, heard.schema_version, heard.data)
            except Undecodable as error:
                return Problem.UNREADABLE, str(error)
            except Exception as error:  # noqa: BLE001 an upcaster met a shape that it does not know: parked, with why
                return Problem.UNREADABLE, f"upcasting failed: {error!r}"
        return None


def row(verdict: Verdict, state: State, *, problem: Problem | None = None, reason: str | None = None) -> Parked:
    """The parked row of a record, with everything about it that can be read."""
    raw, event = verdict.raw, verdict.event
    kind = problem or verdict.problem or Problem.WAITING
    gap = "/gap" if kind is Problem.GAP else ""
    return Parked(
        id=parked_id(raw.topic + gap, raw.topic_id, raw.partition, raw.offset),
        kind=kind,
        state=state,
        topic=raw.topic,
        topic_id=raw.topic_id,
        partition=raw.partition,
        record_offset=raw.offset,
        key=raw.key,
        reason=shortened(verdict.reason if reason is None else reason),
        headers=raw.headers,
        value=raw.value,
        event_id=_optional(event, "id"),
        type=event.attributes.get("type") if event else None,
        tenant=event.attributes.get("tenant", "") if event else "",
        subject=_optional(event, "subject"),
        sequence=verdict.link.sequence if verdict.link else None,
        previous=verdict.link.previous if verdict.link else None,
    )


def raw_of(parked: Parked, *, value: bytes | None = None) -> Raw:
    """The record of a parked row, with another value if it was mended."""
    mended = parked.mended if value is None else value
    return Raw(
        parked.topic,
        parked.topic_id,
        parked.partition,
        parked.record_offset,
        parked.key,
        parked.headers,
        parked.value if mended is None else mended,
    )


def _optional(event: wire.Envelope | None, name: str) -> UUID | None:
    if event is None:
        return None
    try:
        return event.uuid(name)
    except Undecodable:  # the row's reason says what is wrong with the record; its id is shown where it has one
        return None
