"""Heads: how far each owner has published, and up to which instant that is all there is.

An owner announces on one compacted topic, key owner: `{owner, epoch, at, sequences: {partition: last sequence}}`, where
`at` says: nothing of mine up to then is still to come. A listener that has heard those sequences has therefore heard
everything of that owner up to `at`: its watermark.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from libs.events.errors import ILLEGIBLE, Undecodable

TOPIC = "baton.heads"
PARTITION = 0
ANNOUNCE_EVERY_S = 0.5
ANNOUNCE_EVERY_S_MIN = 0.05
"""Under load: batches are smaller than this."""
PENDING_MAX = 64
"""Announcements of one owner that wait to be fulfilled."""


class Head(msgspec.Struct, frozen=True):
    """One announcement, as it travels."""

    owner: str
    epoch: int
    at: datetime
    sequences: dict[int, int]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Head)


def encode(head: Head) -> bytes:
    return _encode(head)


def decode(value: bytes | None) -> Head:
    try:
        head = _decoder.decode(value or b"")
    except ILLEGIBLE as error:
        raise Undecodable("head", str(error), f"have its owner announce again; it is passed over on {TOPIC}") from error
    if head.at.tzinfo is None:
        raise Undecodable("head.at", head.at.isoformat(), "an instant with its zone is expected")
    return head


@dataclass(frozen=True, slots=True)
class Watermark:
    """What a listener knows of an owner. Everything of it up to `at` was heard by the journal's `position`.

    `silent_since`: machine time (time.monotonic) at which an announcement was last fulfilled, or came nearer to it
    while a backlog was heard; None: never. `parked`: how many records of it are parked or wait; the watermark passes
    over them.
    """

    owner: str
    at: datetime | None
    position: int
    silent_since: float | None
    parked: int = 0


class Fulfilment:
    """Which announcements have been fulfilled by what was heard. Pure but for the machine time that it is given."""

    def __init__(self, owners: tuple[str, ...]) -> None:
        self._pending: dict[str, deque[Head]] = {owner: deque() for owner in owners}
        self._marks = {owner: Watermark(owner, None, 0, None) for owner in owners}
        self._missing: dict[str, tuple[Head, int]] = {}

    def announced(self, head: Head) -> None:
        """Take in an announcement. When many wait, the newest takes the place of the one before it: the oldest stay, so
        that a listener which is always a little behind still makes progress.
        """
        pending = self._pending.get(head.owner)
        if pending is None:
            return
        if len(pending) == PENDING_MAX:
            pending.pop()
        pending.append(head)

    def fulfilled(self, seen: Mapping[str, Mapping[int, int]], now: float | None = None) -> list[Head]:
        """The announcements, now forgotten, that are fulfilled by what was seen: the last sequence per partition."""
        found = []
        for owner, pending in self._pending.items():
            last = seen.get(owner, {})
            while pending and all(last.get(p, 0) >= sequence for p, sequence in pending[0].sequences.items()):
                found.append(pending.popleft())
            if pending:
                self._nearer(pending[0], last, now)
        return found

    def _nearer(self, head: Head, last: Mapping[int, int], now: float | None) -> None:
        """An owner is not silent while we come nearer to what it said; a partition that stands still does not."""
        missing = sum(max(0, sequence - last.get(p, 0)) for p, sequence in head.sequences.items())
        before = self._missing.get(head.owner)
        if before is not None and before[0] is head and missing < before[1]:
            instant = time.monotonic() if now is None else now
            self._marks[head.owner] = replace(self._marks[head.owner], silent_since=instant)
        self._missing[head.owner] = (head, missing)

    def reach(self, heads: list[Head], position: int, now: float | None = None) -> None:
        """Everything up to these heads was noted by this position."""
        instant = time.monotonic() if now is None else now
        for head in heads:
            mark = self._marks[head.owner]
            if mark.at is None or head.at > mark.at:
                mark = Watermark(head.owner, head.at, position, instant)
            self._marks[head.owner] = Watermark(head.owner, mark.at, mark.position, instant)

    def watermark(self, owner: str) -> Watermark:
        return self._marks[owner]

    def watermarks(self, parked: Mapping[str, int]) -> dict[str, Watermark]:
        return {
            owner: Watermark(owner, mark.at, mark.position, mark.silent_since, parked.get(owner, 0))
            for owner, mark in self._marks.items()
        }
