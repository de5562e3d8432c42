"""A case: what its decisions read. The holder is one department from opening to closing, at every instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from libs.events.contracts.tasks import (
    CallBackDone,
    CaseClosed,
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    ConflictRuled,
    ConsultationAnswered,
    ConsultationAsked,
    CustomerTold,
    FormCompleted,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
    SourceCloseDeclined,
    StepCompleted,
    StepStarted,
    TaskAssigned,
)
from libs.events.deciding import Decider

CaseFact = (
    CaseOpened
    | FormCompleted
    | StepStarted
    | StepCompleted
    | CaseRouted
    | HandoffOffered
    | HandoffAccepted
    | HandoffRejected
    | ConflictOpened
    | ConflictRuled
    | TaskAssigned
    | ConsultationAsked
    | ConsultationAnswered
    | SolutionGiven
    | CustomerTold
    | CallBackDone
    | SourceCloseDeclined
    | CaseClosed
)


@dataclass(frozen=True, slots=True)
class Case:
    """`opened`: with which words; `template` is "" until then. `responsible`: by routing, ruling or
    acceptance, the latest of them.

    `offer`: the open handoff, None when nobody is asked. `offers` counts them, `offered_to` keeps who was asked.
    `conflict`: the departments that wait for a ruling; `ruling` binds from then on. `seats`: step → its RACI now.
    `asked` and `answered`: consultations as (step, department).
    """

    opened: CaseOpened | None = None
    template: str = ""
    template_version: int = 0
    category: str = ""
    priority: str = ""
    timeline: str = ""
    form: Mapping[str, str] = field(default_factory=dict)
    opened_in: str = ""
    holder: str = ""
    responsible: str = ""
    running: tuple[str, ...] = ()
    seats: Mapping[str, TaskAssigned] = field(default_factory=dict)
    offer: HandoffOffered | None = None
    offers: int = 0
    offered_to: tuple[str, ...] = ()
    accepted: bool = False
    bounces: int = 0
    conflict: tuple[str, ...] = ()
    ruling: ConflictRuled | None = None
    asked: frozenset[tuple[str, str]] = frozenset()
    answered: frozenset[tuple[str, str]] = frozenset()
    solved: bool = False
    call_back_from: datetime | None = None
    close_declined: bool = False
    closed: bool = False


def evolve(case: Case, fact: CaseFact) -> Case:
    match fact:
        case CaseOpened():
            return _opened(case, fact)
        case FormCompleted():
            return replace(case, form=fact.form, category=fact.category or case.category)
        case StepStarted():
            return replace(case, running=(*case.running, fact.step))
        case StepCompleted():
            return replace(case, running=tuple(step for step in case.running if step != fact.step))
        case CaseRouted():
            return replace(case, responsible=fact.department)
        case HandoffOffered():
            asked = tuple(dict.fromkeys((*case.offered_to, fact.receiver)))
            return replace(case, offer=fact, offers=fact.number, offered_to=asked)
        case HandoffAccepted():
            return replace(case, offer=None, accepted=True, holder=fact.receiver, responsible=fact.receiver)
        case HandoffRejected():
            return replace(case, offer=None, bounces=fact.bounces)
        case ConflictOpened():
            return replace(case, conflict=fact.departments)
        case ConflictRuled():
            return replace(case, conflict=(), ruling=fact, responsible=fact.responsible)
        case TaskAssigned():
            return replace(case, seats={**case.seats, fact.step: fact})
        case ConsultationAsked():
            question = {(fact.step, fact.department)}  # asked again, it is to be answered again
            return replace(case, asked=case.asked | question, answered=case.answered - question)
        case ConsultationAnswered():
            return replace(case, answered=case.answered | {(fact.step, fact.department)})
        case SolutionGiven():
            return replace(case, solved=True)
        case CustomerTold():
            return replace(case, call_back_from=fact.call_back_from)
        case CallBackDone():
            return case
        case SourceCloseDeclined():
            return replace(case, close_declined=True)
        case CaseClosed():
            return replace(case, closed=True)
        case _:
            assert_never(fact)


def _opened(case: Case, fact: CaseOpened) -> Case:
    return replace(
        case,
        opened=fact,
        template=fact.template,
        template_version=fact.template_version,
        category=fact.category,
        priority=fact.priority,
        timeline=fact.timeline,
        form=fact.form,
        opened_in=fact.holder,
        holder=fact.holder,
    )


CASE = Decider("case", Case(), evolve)
