"""Every clock, what became of it, and by which rule it ran."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.events.contracts.sla import BreachWithdrawn, ClockStarted, ClockStopped, SlaBreached, SlaMet, SlaWarned
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Clock:
    """`state`: running, breached (and running still), met or late. `unconfirmed`: see SlaBreached."""

    clock: UUID
    case_id: UUID
    step: str
    template: str
    policy: str
    policy_version: int
    ladder: str | None
    timeline: str
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    state: str = "running"
    warned_at: datetime | None = None
    breached_at: datetime | None = None
    unconfirmed: bool = False
    stopped_at: datetime | None = None
    late_s: int = 0


def _started(row: Clock | None, fact: ClockStarted, entry: Entry) -> Clock:
    return Clock(
        clock=fact.clock,
        case_id=fact.case_id,
        step=fact.step,
        template=fact.template,
        policy=fact.policy,
        policy_version=fact.policy_version,
        ladder=fact.ladder,
        timeline=fact.timeline,
        started_at=fact.started_at,
        warn_at=fact.warn_at,
        due_at=fact.due_at,
    )


def _warned(row: Clock | None, fact: SlaWarned, entry: Entry) -> Clock | None:
    return row and replace(row, warned_at=entry.occurred_at)


def _breached(row: Clock | None, fact: SlaBreached, entry: Entry) -> Clock | None:
    # One that stopped late stays late: its breach only became certain afterwards.
    state = "late" if row and row.state == "late" else "breached"
    return row and replace(row, state=state, breached_at=fact.due_at, unconfirmed=fact.unconfirmed)


def _withdrawn(row: Clock | None, fact: BreachWithdrawn, entry: Entry) -> Clock | None:
    return row and replace(row, breached_at=None, unconfirmed=False)


def _met(row: Clock | None, fact: SlaMet, entry: Entry) -> Clock | None:
    return row and replace(row, state="met", stopped_at=fact.stopped_at)


def _stopped(row: Clock | None, fact: ClockStopped, entry: Entry) -> Clock | None:
    return row and replace(row, state="late", stopped_at=fact.stopped_at, late_s=fact.late_s)


def _clock(fact: Any, entry: Entry) -> tuple[UUID]:
    return (fact.clock,)


CLOCKS = View(
    name="clocks",
    version=1,
    row=Clock,
    key=("clock",),
    folds=(
        on(ClockStarted, _started, _clock),
        on(SlaWarned, _warned, _clock),
        on(SlaBreached, _breached, _clock),
        on(BreachWithdrawn, _withdrawn, _clock),
        on(SlaMet, _met, _clock),
        on(ClockStopped, _stopped, _clock),
    ),
    indexes=(("case_id",), ("state", "due_at"), ("timeline", "due_at"), ("due_at",)),
)
