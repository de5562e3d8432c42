"""A clock: started by a step, warned and breached at its instants, stopped by the step's end.

running ──► met
running ──► breached ──► late (stopped)      or, where the stop was heard too late: breach withdrawn, met
running ──► late (stopped) ──► its breach, at the due instant, when everything before it has been heard
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from libs.clocks import Instants, Limit, instants, instants_until, legs
from libs.events.contracts.sla import BreachWithdrawn, ClockStarted, ClockStopped, SlaBreached, SlaMet, SlaWarned
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact
from services.sla.commands import BreachClock, StartClock, StopClock, WarnClock, clock_id
from services.sla.views.policies import policy_for
from services.sla.views.trail import turns_of

ClockFact = ClockStarted | SlaWarned | SlaBreached | BreachWithdrawn | SlaMet | ClockStopped
PROMISED = "promised"  # the policy of a clock whose due instant its source promised


@dataclass(frozen=True, slots=True)
class Clock:
    """`started` is None for a step that has no clock; `stopped`: met or late, "" while it runs."""

    started: ClockStarted | None = None
    warned: bool = False
    breached: bool = False
    stopped: str = ""


def evolve(state: Clock, fact: ClockFact) -> Clock:
    match fact:
        case ClockStarted():
            return Clock(fact)
        case SlaWarned():
            return replace(state, warned=True)
        case SlaBreached():
            return replace(state, breached=True)
        case BreachWithdrawn():
            return replace(state, breached=False)
        case SlaMet():
            return replace(state, stopped="met")
        case ClockStopped():
            return replace(state, stopped="late")
        case _:
            assert_never(fact)


def start(state: Clock, command: StartClock, asked: Asked) -> Sequence[Fact]:
    """A step that begins again does not get its time again; one without limit and promise gets no clock."""
    if state.started is not None:
        return []
    policy = policy_for(asked.views, command.template, command.step, command.category, command.priority)
    warn_percent = None if policy is None else policy.warn_percent
    if command.target_at is not None:
        found = instants_until(command.target_at, asked.at, warn_percent)
    elif policy is not None:
        found = instants(Limit(policy.limit_min, warn_percent, policy.calendar), asked.at)
    else:
        return []
    if command.timeline:
        found = Instants(None, found.due_at)  # nobody is warned of what is long past
    return [
        ClockStarted(
            clock=clock_id(command.case_id, command.step),
            case_id=command.case_id,
            step=command.step,
            policy=PROMISED if policy is None else policy.policy,
            policy_version=0 if policy is None else policy.version,
            started_at=asked.at,
            warn_at=found.warn_at,
            due_at=found.due_at,
            timeline=command.timeline,
            template=command.template,
            ladder=None if policy is None else policy.ladder,
        )
    ]


def warn(state: Clock, command: WarnClock, asked: Asked) -> Sequence[Fact]:
    clock = state.started
    if clock is None or state.warned or state.breached or state.stopped:
        return []
    return [SlaWarned(clock.clock, clock.step, clock.due_at)]


def breach(state: Clock, command: BreachClock, asked: Asked) -> Sequence[Fact]:
    clock = state.started
    if clock is None or state.breached or state.stopped == "met":
        return []
    return [
        SlaBreached(
            clock=clock.clock,
            step=clock.step,
            policy=clock.policy,
            due_at=clock.due_at,
            legs=legs(turns_of(asked.views, clock.case_id), clock.started_at, clock.due_at),
            unconfirmed=not asked.confirmed,
            template=clock.template,
            timeline=clock.timeline,
        )
    ]


def stop(state: Clock, command: StopClock, asked: Asked) -> Sequence[Fact]:
    """In time, or late; in time after all where the breach had been fired without having heard everything."""
    clock = state.started
    if clock is None or state.stopped:
        return []
    if asked.at > clock.due_at:
        late_s = (asked.at - clock.due_at) // timedelta(seconds=1)
        return [ClockStopped(clock.clock, clock.step, asked.at, late_s)]
    met = _met(clock, asked.at)
    if not state.breached:
        return [met]
    withdrawn = BreachWithdrawn(
        clock.clock, clock.step, clock.policy, clock.due_at, stopped_at=asked.at, timeline=clock.timeline
    )
    return [withdrawn, met]


def _met(clock: ClockStarted, stopped_at: datetime) -> SlaMet:
    return SlaMet(
        clock=clock.clock,
        step=clock.step,
        policy=clock.policy,
        due_at=clock.due_at,
        stopped_at=stopped_at,
        template=clock.template,
        timeline=clock.timeline,
    )


def _clock(command: StartClock | StopClock | WarnClock | BreachClock) -> UUID:
    return clock_id(command.case_id, command.step)


def _case(command: StartClock | StopClock | WarnClock | BreachClock) -> UUID:
    return command.case_id


CLOCK = Decider("clock", Clock(), evolve)
COMMANDS = (
    Handle(StartClock, CLOCK, start, key=_clock, subject=_case),
    Handle(StopClock, CLOCK, stop, key=_clock, subject=_case),
    Handle(WarnClock, CLOCK, warn, key=_clock, subject=_case),
    Handle(BreachClock, CLOCK, breach, key=_clock, subject=_case),
)
