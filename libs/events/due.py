"""What is due, how far it may fire, and in which order: the pure parts of the timekeeper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from libs.events.deciding import Command
from libs.events.entries import id_at
from libs.events.timers import Timer

RowMark = tuple[str, str, tuple[Any, ...], datetime, int]
"""A row as it was due: timer, tenant, key, due instant, version."""


class Limit(NamedTuple):
    """Rows of a timeline may fire up to `until`; confirmed, or because a source was silent for the grace."""

    tenant: str | None
    timeline: str
    until: datetime
    confirmed: bool


class Mark(NamedTuple):
    """All sources have passed the instant `at`; what came up to then was noted by `position`."""

    at: datetime
    position: int


class Marks:
    """The newest mark that views and reactions have come to. The one that is next stays until they have, whatever newer
    ones come meanwhile: under a steady load a mark that is always the newest would never be reached.
    """

    def __init__(self) -> None:
        self._next: Mark | None = None
        self._reached: Mark | None = None

    def reached(self, newest: Mark | None, done: int) -> Mark | None:
        """`done`: the position up to which everything is folded and reacted to."""
        for mark in (self._next, newest):
            if mark is not None and done >= mark.position and (self._reached is None or mark.at >= self._reached.at):
                self._reached = mark
        if self._next is None or done >= self._next.position:
            self._next = newest if newest is not None and done < newest.position else None
        return self._reached


class DueRow(NamedTuple):
    """`since`: the position of the entry that made the row what it is."""

    tenant: str
    key: tuple[Any, ...]
    row: Any
    since: int


class Firing(NamedTuple):
    """A row that may fire, and by which limit. `about`: what nothing may overtake anything of."""

    timer: Timer
    due: DueRow
    limit: Limit
    about: object
    command: Command | None

    @property
    def mark(self) -> RowMark:
        return mark_of(self.timer, self.due)

    @property
    def at(self) -> datetime:
        at: datetime = self.due.row.due_at
        return at


def first_of_each(
    found: Sequence[Sequence[Firing]], rows_max: int, held: Collection[object] = frozenset()
) -> list[Firing]:
    """What may fire together, in order of the due instants.

    `found`: by timer and limit the first `rows_max` rows; of one that has more, nothing is known after its last. Rows
    about the same thing fire one instant at a time, whichever timers they are of: what fires first may change, or add,
    what is due next. `held`: what nothing may fire about for now.
    """
    horizon = min((rows[-1].at for rows in found if len(rows) >= rows_max), default=None)
    once: dict[RowMark, Firing] = {}
    for firing in sorted((firing for rows in found for firing in rows), key=lambda firing: firing.at):
        once.setdefault(firing.mark, firing)  # sorted is stable: the confirmed limit comes first
    instants: dict[object, datetime] = {}
    return [
        firing
        for firing in once.values()
        if (horizon is None or firing.at <= horizon)
        and firing.about not in held
        and instants.setdefault(firing.about, firing.at) == firing.at
    ]


def mark_of(timer: Timer, due: DueRow) -> RowMark:
    return timer.name, due.tenant, due.key, due.row.due_at, due.row.stream_version


def command_id(service: str, timer: Timer, due: DueRow) -> UUID:
    key = "/".join(str(part) for part in due.key)
    at = due.row.due_at
    return id_at(at, service, timer.name, due.tenant, key, at.isoformat(), str(due.row.stream_version))
