"""An escalation: the rungs of a ladder, asked one after the other until somebody rules or accepts. One per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never
from uuid import UUID

from libs.events.contracts.sla import EscalationEnded, EscalationRaised, Rung
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact
from services.sla.commands import ClimbLadder, EndEscalation, RaiseEscalation
from services.sla.domain.ladder import no_such_ladder
from services.sla.domain.rungs import ASKS
from services.sla.views.ladders import LADDERS, newest_ladder

EscalationFact = EscalationRaised | EscalationEnded


@dataclass(frozen=True, slots=True)
class Escalation:
    """`raised`: the rung that waits for its answer, None where nothing is escalated."""

    raised: EscalationRaised | None = None


def evolve(state: Escalation, fact: EscalationFact) -> Escalation:
    match fact:
        case EscalationRaised():
            return Escalation(fact)
        case EscalationEnded():
            return Escalation()
        case _:
            assert_never(fact)


def start(state: Escalation, command: RaiseEscalation, asked: Asked) -> Sequence[Fact]:
    if state.raised is not None:
        return []
    ladder = newest_ladder(asked.views, command.ladder)
    if ladder is None:
        raise no_such_ladder(command.ladder)
    first = EscalationRaised(
        ladder=ladder.ladder,
        level=0,
        rung="",
        asked=(),
        answer_by=None,
        because=command.because,
        ladder_version=ladder.version,
        departments=command.departments,
    )
    return [_next_rung(first, ladder.rungs, asked)]


def climb(state: Escalation, command: ClimbLadder, asked: Asked) -> Sequence[Fact]:
    if state.raised is None or state.raised.level != command.level:
        return []
    ladder = asked.views.row(LADDERS, (state.raised.ladder, state.raised.ladder_version))
    if ladder is None:
        raise no_such_ladder(state.raised.ladder)
    return [_next_rung(state.raised, ladder.rungs, asked)]


def end(state: Escalation, command: EndEscalation, asked: Asked) -> Sequence[Fact]:
    if state.raised is None:
        return []
    return [EscalationEnded(state.raised.ladder, state.raised.level, command.outcome)]


def _next_rung(before: EscalationRaised, rungs: tuple[Rung, ...], asked: Asked) -> EscalationRaised:
    """The next rung that has somebody to ask; the last one in any case, so that the dead end is on record."""
    for level, rung in enumerate(rungs[before.level :], start=before.level + 1):
        people = ASKS[rung.asks](asked.views, before.departments)
        if people or level == len(rungs):
            break
    return EscalationRaised(
        ladder=before.ladder,
        level=level,
        rung=rung.name,
        asked=people,
        answer_by=None if rung.answer_min is None else asked.at + timedelta(minutes=rung.answer_min),
        because=before.because,
        ladder_version=before.ladder_version,
        departments=before.departments,
        rung_zh=rung.name_zh,
    )


def _case(command: RaiseEscalation | ClimbLadder | EndEscalation) -> UUID:
    return command.case_id


ESCALATION = Decider("escalation", Escalation(), evolve)
COMMANDS = (
    Handle(RaiseEscalation, ESCALATION, start, key=_case),
    Handle(ClimbLadder, ESCALATION, climb, key=_case),
    Handle(EndEscalation, ESCALATION, end, key=_case),
)
