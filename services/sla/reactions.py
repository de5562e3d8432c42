"""What sla does when tasks speaks, when a limit is broken, and when an instant comes."""

from __future__ import annotations

from collections.abc import Iterable

from libs.events.contracts.sla import SlaBreached
from libs.events.contracts.tasks import (
    CaseClosed,
    ConflictOpened,
    ConflictRuled,
    HandoffAccepted,
    StepCompleted,
    StepStarted,
)
from libs.events.deciding import Command
from libs.events.entries import Entry
from libs.events.reactions import Reaction
from libs.events.timers import Timer
from libs.events.views import Look
from services.sla.commands import (
    BreachClock,
    ClimbLadder,
    EndEscalation,
    RaiseEscalation,
    StartClock,
    StopClock,
    WarnClock,
)
from services.sla.views.clocks import CLOCKS
from services.sla.views.due import DUE, Due
from services.sla.views.escalations import ESCALATIONS, Escalation
from services.sla.views.hands import HANDS, UNTAKEN
from services.sla.views.ladders import newest_ladder
from services.sla.views.policies import policy_for
from services.sla.views.steps import STEPS
from services.sla.views.timelines import TIMELINES


def start_clock(fact: StepStarted, entry: Entry, look: Look) -> Iterable[Command]:
    yield StartClock(
        case_id=entry.subject,
        step=fact.step,
        template=fact.template,
        category=fact.category,
        priority=fact.priority,
        target_at=fact.target_at,
        timeline=fact.timeline,
    )


def stop_clock(fact: StepCompleted, entry: Entry, look: Look) -> Iterable[Command]:
    yield StopClock(case_id=entry.subject, step=fact.step)


def stop_what_is_left(fact: CaseClosed, entry: Entry, look: Look) -> Iterable[Command]:
    """By the steps that were heard: sla's own clocks may not be noted yet where many entries are caught up with."""
    for step in look.rows(STEPS, case_id=entry.subject):
        yield StopClock(case_id=entry.subject, step=step.step)
    yield EndEscalation(case_id=entry.subject, outcome="closed")


def climb_on_breach(fact: SlaBreached, entry: Entry, look: Look) -> Iterable[Command]:
    """A broken limit escalates what nobody has taken; where somebody holds the case, there is nothing to rule."""
    hand, clock = look.row(HANDS, entry.subject), look.row(CLOCKS, fact.clock)
    if fact.timeline or clock is None or hand is None or hand.state not in UNTAKEN:
        return
    if clock.ladder is not None and _starts(look, clock.ladder, "breach"):
        yield RaiseEscalation(
            case_id=entry.subject,
            ladder=clock.ladder,
            departments=hand.departments,
            because=f"breach of {fact.policy}",
        )


def climb_on_conflict(fact: ConflictOpened, entry: Entry, look: Look) -> Iterable[Command]:
    """The first step under way whose policy has a ladder that starts here; an escalation is raised once."""
    for step in look.rows(STEPS, case_id=entry.subject):
        policy = policy_for(look, step.template, step.step, step.category, step.priority)
        ladder = None if policy is None or step.timeline else policy.ladder
        if ladder is not None and _starts(look, ladder, "conflict"):
            yield RaiseEscalation(
                case_id=entry.subject,
                ladder=ladder,
                departments=fact.departments,
                because=f"conflict in {step.template}/{step.step}",
            )
            return


def end_by_ruling(fact: ConflictRuled, entry: Entry, look: Look) -> Iterable[Command]:
    yield EndEscalation(case_id=entry.subject, outcome="ruled")


def end_by_acceptance(fact: HandoffAccepted, entry: Entry, look: Look) -> Iterable[Command]:
    yield EndEscalation(case_id=entry.subject, outcome="accepted")


def next_of_clock(row: Due) -> Command:
    if row.what == "warning":
        return WarnClock(case_id=row.case_id, step=row.step)
    return BreachClock(case_id=row.case_id, step=row.step)


def next_rung(row: Escalation) -> Command:
    return ClimbLadder(case_id=row.case_id, level=row.level)


def _starts(look: Look, ladder: str, when: str) -> bool:
    found = newest_ladder(look, ladder)
    return found is not None and found.starts == when


REACTIONS = (
    Reaction("start-clock", (StepStarted,), start_clock),
    Reaction("stop-clock", (StepCompleted,), stop_clock),
    Reaction("stop-what-is-left", (CaseClosed,), stop_what_is_left),
    Reaction("climb-on-breach", (SlaBreached,), climb_on_breach),
    Reaction("climb-on-conflict", (ConflictOpened,), climb_on_conflict),
    Reaction("end-by-ruling", (ConflictRuled,), end_by_ruling),
    Reaction("end-by-acceptance", (HandoffAccepted,), end_by_acceptance),
)
TIMERS = (
    Timer("next-of-clock", DUE, next_of_clock, sources=("tasks",), timelines=TIMELINES),
    Timer("next-rung", ESCALATIONS, next_rung, sources=("tasks",)),
)
