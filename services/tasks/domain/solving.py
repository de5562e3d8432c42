"""From the solution to the closed loop: solution, customer told, call back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from libs.events.contracts.tasks import CallBackDone, CustomerTold, SolutionGiven
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import Refusal
from libs.organisation import department_of
from services.tasks.commands import GiveSolution, RecordCallBack, TellCustomer
from services.tasks.domain.case import Case
from services.tasks.domain.choices import (
    CALL_BACK,
    CALLED_BACK,
    CUSTOMER_TOLD,
    GIVE_SOLUTION,
    SOLUTION_GIVEN,
    TELL_CUSTOMER,
)
from services.tasks.domain.rights import may
from services.tasks.domain.unfolding import unfold


def give_solution(case: Case, command: GiveSolution, asked: Asked) -> Sequence[Fact]:
    """Only by R, only of a case that was accepted, and only after every C was heard."""
    unfolding = unfold(case, asked)
    may(GIVE_SOLUTION, case, unfolding.template, asked)
    if case.solved:
        return []
    if not case.accepted:
        raise Refusal(
            "not-accepted", "nobody has accepted the case; accept its handoff first", "尚无部门接收，请先接收移交"
        )
    unfolding.note(SolutionGiven(department_of(asked.views, asked.actor) or case.holder, command.solution))
    unfolding.reach(SOLUTION_GIVEN)
    return unfolding.facts


def tell_customer(case: Case, command: TellCustomer, asked: Asked) -> Sequence[Fact]:
    """The customer knows the solution; from now on runs the time before the call back."""
    unfolding = unfold(case, asked)
    may(TELL_CUSTOMER, case, unfolding.template, asked)
    if case.call_back_from is not None:
        return []
    if not case.solved:
        raise Refusal("no-solution", "there is no solution to tell; wait for it", "尚无解决方案，请等待")
    wait = timedelta(hours=unfolding.template.call_back_after_h)
    unfolding.note(CustomerTold(asked.at + wait))
    unfolding.reach(CUSTOMER_TOLD)
    return unfolding.facts


def record_call_back(case: Case, command: RecordCallBack, asked: Asked) -> Sequence[Fact]:
    """Not before its time: a call back right after the solution proves nothing."""
    unfolding = unfold(case, asked)
    may(CALL_BACK, case, unfolding.template, asked)
    if case.call_back_from is None:
        raise Refusal(
            "customer-not-told", "the customer does not know the solution; tell it first", "请先告知客户解决方案"
        )
    if asked.at < case.call_back_from:
        earliest = case.call_back_from.isoformat(timespec="minutes")
        raise Refusal(
            "call-back-too-early",
            f"the call back comes not before {earliest}; call then",
            f"回访不得早于 {earliest}，请届时回访",
        )
    unfolding.note(CallBackDone(command.satisfied, command.note))
    unfolding.reach(CALLED_BACK)
    unfolding.close_if(CALLED_BACK, "satisfied" if command.satisfied else "not-satisfied")
    return unfolding.facts
