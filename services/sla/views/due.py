"""What every clock waits for next: its warning, then its breach. A clock that waits for nothing has no row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.events.contracts.sla import ClockStarted, ClockStopped, SlaBreached, SlaMet, SlaWarned
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Due:
    """`what`: warning or breach, at `due_at`; `breach_at`: when the limit is up. A clock that stopped late still waits
    for its breach, so that the breach occurs at its own instant and after everything that was to come before it.
    """

    clock: UUID
    case_id: UUID
    step: str
    what: str
    due_at: datetime
    breach_at: datetime
    stream_version: int
    timeline: str


def _started(row: Due | None, fact: ClockStarted, entry: Entry) -> Due:
    what, due_at = ("breach", fact.due_at) if fact.warn_at is None else ("warning", fact.warn_at)
    return Due(fact.clock, fact.case_id, fact.step, what, due_at, fact.due_at, entry.version, fact.timeline)


def _only_breach(row: Due | None, fact: SlaWarned | ClockStopped, entry: Entry) -> Due | None:
    return row and replace(row, what="breach", due_at=row.breach_at, stream_version=entry.version)


def _over(row: Due | None, fact: SlaBreached | SlaMet, entry: Entry) -> None:
    return None


def _clock(fact: Any, entry: Entry) -> tuple[UUID]:
    return (fact.clock,)


DUE = View(
    name="due",
    version=1,
    row=Due,
    key=("clock",),
    folds=(
        on(ClockStarted, _started, _clock),
        on(SlaWarned, _only_breach, _clock),
        on(ClockStopped, _only_breach, _clock),
        on(SlaBreached, _over, _clock),
        on(SlaMet, _over, _clock),
    ),
    indexes=(("due_at",), ("case_id",)),
)
