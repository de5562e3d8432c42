"""Whatever people try, in whatever order: one holder at every instant, and bounces are counted right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st

from libs.events.contracts.tasks import (
    CaseOpened,
    ConflictOpened,
    ConflictRuled,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
)
from libs.events.deciding import Command
from libs.events.entries import Fact
from libs.events.errors import Refusal
from services.tasks.commands import (
    AcceptHandoff,
    AnswerConsultation,
    CompleteForm,
    GiveSolution,
    OfferHandoff,
    RecordCallBack,
    RejectHandoff,
    Rule,
    TellCustomer,
)
from services.tasks.domain.case import CASE
from services.tasks.tests.world import CASE_ID, complaint, monday, opened
from services.tasks.views.cases import CASES

TRIES_MAX = 25
PEOPLE = st.sampled_from(["svc-1", "prod-1", "purch-1", "pd-1", "vp-ops", "ceo", "stranger"])
DEPARTMENTS = st.sampled_from(["service", "production", "purchasing", "product"])
NUMBERS = st.integers(1, 6)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.just(CompleteForm(case_id=CASE_ID, form={"defect": "x"})),
    st.builds(AcceptHandoff, case_id=st.just(CASE_ID), number=NUMBERS),
    st.builds(
        RejectHandoff,
        case_id=st.just(CASE_ID),
        number=NUMBERS,
        reason=st.just("no"),
        next_department=st.none() | DEPARTMENTS,
    ),
    st.builds(OfferHandoff, case_id=st.just(CASE_ID), receiver=DEPARTMENTS),
    st.builds(
        Rule,
        case_id=st.just(CASE_ID),
        responsible=DEPARTMENTS,
        consulted=st.lists(DEPARTMENTS, max_size=2).map(tuple),
        reason=st.just("so"),
    ),
    st.builds(AnswerConsultation, case_id=st.just(CASE_ID), department=DEPARTMENTS, answer=st.just("fine")),
    st.just(GiveSolution(case_id=CASE_ID, solution="x")),
    st.just(TellCustomer(case_id=CASE_ID)),
    st.builds(RecordCallBack, case_id=st.just(CASE_ID), satisfied=st.booleans()),
)


@st.composite
def willing(draw: st.DrawFn) -> list[tuple[str, Command | str]]:
    """Tries that often fit: `accept` and `reject` are about the open handoff, by its receiver."""
    fitting = st.sampled_from(["accept", "reject", "reject", "reject", "rule", "offer"])
    anything = st.tuples(PEOPLE, fitting | fitting | COMMANDS)
    before, after = draw(st.lists(anything, max_size=2)), draw(st.lists(anything, max_size=TRIES_MAX))
    return [*before, ("svc-1", "form"), *after]


def fitted(wish: Command | str, person: str, case: Any) -> tuple[str, Command]:
    """The command that a wish means in this case, and somebody who may ask it."""
    if isinstance(wish, Command):
        return person, wish
    members = {"production": "prod-1", "purchasing": "purch-1", "product": "pd-1", "service": "svc-1"}
    receiver = case.offer.receiver if case.offer else "service"
    elsewhere = next(name for name in members if name not in (receiver, case.holder))
    match wish:
        case "accept":
            return members[receiver], AcceptHandoff(case_id=CASE_ID, number=max(case.offers, 1))
        case "reject":
            onwards = elsewhere if person != "stranger" else None
            reject = RejectHandoff(case_id=CASE_ID, number=max(case.offers, 1), reason="no", next_department=onwards)
            return members[receiver], reject
        case "rule":
            return "vp-ops", Rule(case_id=CASE_ID, responsible="product", consulted=("purchasing",), reason="so")
        case "offer":
            return "svc-1", OfferHandoff(case_id=CASE_ID, receiver=elsewhere)
        case _:
            return "svc-1", CompleteForm(case_id=CASE_ID, form={"defect": "x"})


@for_all(willing(), st.integers(1, 4))
def test_there_is_exactly_one_holder_at_every_instant(tries: list[tuple[str, Command | str]], limit: int) -> None:
    tasks = opened(complaint(bounce_limit=limit))
    at = monday("09:00")
    case = CASE.initial
    for fact in tasks.decided()[1:]:
        case = CASE.evolve(case, fact)
    for person, wish in tries:
        at += timedelta(hours=3)
        actor, command = fitted(wish, person, case)
        try:
            facts = tasks.ask(command, by=actor, at=at)
        except Refusal:
            continue
        for fact in facts:
            case = CASE.evolve(case, fact)
        row = tasks.row(CASES, CASE_ID)
        assert (row.holder, row.bounces, row.handoff) == (case.holder, case.bounces, case.offers)
        assert row.offered_to == (case.offer.receiver if case.offer else None)
    facts_of_case = tasks.decided()[1:]
    assert holders(facts_of_case) == holders_by_acceptance(facts_of_case)
    handed_over_properly(facts_of_case, limit)


def holders(facts: list[Fact]) -> list[str]:
    """Who holds the case after each fact, by the domain's own fold."""
    case, found = CASE.initial, []
    for fact in facts:
        case = CASE.evolve(case, fact)
        found.append(case.holder)
    return found


def holders_by_acceptance(facts: list[Fact]) -> list[str]:
    """The same, told apart from the domain: whoever opened it, until somebody accepts."""
    holder, found = "", []
    for fact in facts:
        if isinstance(fact, CaseOpened):
            holder = fact.holder
        elif isinstance(fact, HandoffAccepted):
            holder = fact.receiver
        assert holder
        found.append(holder)
    return found


def handed_over_properly(facts: list[Fact], limit: int) -> None:
    """Numbers without a gap, at most one open offer, each rejection counted, a conflict exactly at the limit."""
    open_offer: HandoffOffered | None = None
    numbers, bounces, conflicts, ruled = 0, 0, 0, False
    for fact in facts:
        match fact:
            case HandoffOffered():
                numbers += 1
                assert open_offer is None
                assert fact.number == numbers
                open_offer = fact
            case HandoffAccepted() | HandoffRejected():
                assert open_offer is not None
                assert (fact.number, fact.receiver) == (open_offer.number, open_offer.receiver)
                open_offer = None
                if isinstance(fact, HandoffRejected):
                    bounces += 1
                    assert fact.bounces == bounces
                    assert not ruled
            case ConflictOpened():
                conflicts += 1
                assert bounces == limit == fact.bounces
            case ConflictRuled():
                ruled = True
                assert conflicts == 1
            case _:
                pass
    assert bounces <= limit
    assert conflicts == (bounces == limit)
