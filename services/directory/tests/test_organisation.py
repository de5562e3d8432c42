"""The organisation's rules: known people and departments, one line above everybody, contacts from inside."""

from __future__ import annotations

from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st

from libs.events.contracts.directory import (
    ContactNamed,
    DecisionBoardNamed,
    DepartmentRegistered,
    PersonJoined,
    ReportingLineCorrected,
)
from libs.events.deciding import Command
from libs.events.entries import Fact
from libs.events.errors import Refusal
from libs.events.testing import Outcome, given, instant
from services.directory.commands import (
    CorrectReportingLine,
    JoinPerson,
    NameContact,
    NameDecisionBoard,
    RegisterDepartment,
)
from services.directory.domain.organisation import COMMANDS, ORGANISATION

NOW = instant("2026-11-02T09:00+08:00")
PRODUCTION = DepartmentRegistered("production", "Production", "生产部")
SERVICE = DepartmentRegistered("service", "Customer service", "客服部")
VP = PersonJoined("vp-ops", "Qian", "production", "vice-president")
DIRECTOR = PersonJoined("prod-dir", "Wang", "production", "director", "vp-ops")
WORKER = PersonJoined("prod-1", "Li", "production", "engineer", "prod-dir")
HOUSE = (PRODUCTION, SERVICE, VP, DIRECTOR, WORKER)


def after(*facts: Fact, ask: Command) -> Outcome:
    handle: Any = next(handle for handle in COMMANDS if handle.command is type(ask))
    return given(ORGANISATION, *facts).when(handle, ask, by="ops-1", at=NOW)


def test_a_department_is_registered_once() -> None:
    ask = RegisterDepartment(department="production", name_en="Production", name_zh="生产部")
    after(ask=ask).then(PRODUCTION)
    after(PRODUCTION, ask=ask).then()
    other = RegisterDepartment(department="production", name_en="Factory", name_zh="工厂")
    after(PRODUCTION, ask=other).refused("department-known")


def test_a_person_joins_a_known_department_below_a_known_superior() -> None:
    ask = JoinPerson(person="prod-1", name="Li", department="production", role="engineer", reports_to="prod-dir")
    after(PRODUCTION, VP, DIRECTOR, ask=ask).then(WORKER)
    after(*HOUSE, ask=ask).then()
    after(PRODUCTION, ask=ask).refused("unknown-person")
    after(ask=ask).refused("unknown-department")
    after(*HOUSE, ask=ask.model_copy(update={"role": "director"})).refused("person-known")


def test_nobody_stands_above_himself() -> None:
    refusal = after(*HOUSE, ask=CorrectReportingLine(person="vp-ops", reports_to="prod-1")).refused("reporting-cycle")
    assert "prod-1" in refusal.en
    assert "prod-1" in refusal.zh
    himself = JoinPerson(person="x", name="X", department="production", role="y", reports_to="x")
    after(PRODUCTION, ask=himself).refused("unknown-person")
    after(*HOUSE, ask=CorrectReportingLine(person="prod-1", reports_to="prod-1")).refused("reporting-cycle")


def test_a_reporting_line_is_corrected() -> None:
    ask = CorrectReportingLine(person="prod-1", reports_to="vp-ops")
    after(*HOUSE, ask=ask).then(ReportingLineCorrected("prod-1", "vp-ops"))
    after(*HOUSE, ReportingLineCorrected("prod-1", "vp-ops"), ask=ask).then()
    after(*HOUSE, ask=CorrectReportingLine(person="nobody", reports_to=None)).refused("unknown-person")


def test_a_line_longer_than_anybody_climbs_is_refused() -> None:
    people = [PersonJoined(f"p{i}", "n", "production", "r", f"p{i - 1}" if i else None) for i in range(64)]
    ask = JoinPerson(person="p64", name="n", department="production", role="r", reports_to="p63")
    after(PRODUCTION, *people, ask=ask).refused("reporting-line-too-long")


def test_a_contact_works_in_the_department_that_it_answers_for() -> None:
    ask = NameContact(department="production", counterpart="service", person="prod-1")
    after(*HOUSE, ask=ask).then(ContactNamed("production", "service", "prod-1"))
    after(*HOUSE, ContactNamed("production", "service", "prod-1"), ask=ask).then()
    after(*HOUSE, ask=NameContact(department="service", person="prod-1")).refused("contact-of-another-department")
    after(*HOUSE, ask=NameContact(department="production", counterpart="x", person="prod-1")).refused(
        "unknown-department"
    )


def test_the_board_is_made_of_people_who_joined() -> None:
    after(*HOUSE, ask=NameDecisionBoard(people=("vp-ops", "vp-ops"))).then(DecisionBoardNamed(("vp-ops",)))
    after(*HOUSE, DecisionBoardNamed(("vp-ops",)), ask=NameDecisionBoard(people=("vp-ops",))).then()
    after(*HOUSE, ask=NameDecisionBoard(people=("nobody",))).refused("unknown-person")


PEOPLE = [f"p{i}" for i in range(6)]
CORRECTIONS = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from([*PEOPLE, None])), max_size=30)


@for_all(CORRECTIONS)
def test_whatever_is_corrected_every_line_has_a_top(corrections: list[tuple[str, str | None]]) -> None:
    state = ORGANISATION.initial
    for fact in (PRODUCTION, *(PersonJoined(p, "n", "production", "r") for p in PEOPLE)):
        state = ORGANISATION.evolve(state, fact)
    facts: list[Fact] = [PRODUCTION, *(PersonJoined(p, "n", "production", "r") for p in PEOPLE)]
    for person, superior in corrections:
        outcome = after(*facts, ask=CorrectReportingLine(person=person, reports_to=superior))
        assert outcome.refusal is None or isinstance(outcome.refusal, Refusal)
        for fact in outcome.facts:
            facts.append(fact)
            state = ORGANISATION.evolve(state, fact)
    for person in PEOPLE:
        above, climbed = state.lines[person], 0
        while above is not None:
            above, climbed = state.lines[above], climbed + 1
            assert climbed <= len(PEOPLE), f"{person} stands in a circle: {state.lines}"
