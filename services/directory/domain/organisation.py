"""The organisation is one aggregate: that nobody stands above himself is a rule about all of its people at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never
from uuid import UUID

from libs.events.contracts.directory import (
    ContactNamed,
    DecisionBoardNamed,
    DepartmentRegistered,
    PersonJoined,
    ReportingLineCorrected,
)
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import NotFound, Refusal
from libs.organisation.lines import LINE_PEOPLE_MAX, line_too_long
from services.directory.commands import (
    CorrectReportingLine,
    JoinPerson,
    NameContact,
    NameDecisionBoard,
    RegisterDepartment,
)

OrganisationFact = DepartmentRegistered | PersonJoined | ReportingLineCorrected | ContactNamed | DecisionBoardNamed

# One stream and one Kafka key per tenant, so that everybody hears an organisation in the order in which it was made.
ORGANISATION_ID = entity_id("", "organisation", "organisation")


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whom `people` joined as, `lines`: person → superior or None, `contacts`: (department, counterpart) → person."""

    departments: Mapping[str, DepartmentRegistered] = field(default_factory=dict)
    people: Mapping[str, PersonJoined] = field(default_factory=dict)
    lines: Mapping[str, str | None] = field(default_factory=dict)
    contacts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    board: tuple[str, ...] = ()


def evolve(state: Organisation, fact: OrganisationFact) -> Organisation:
    match fact:
        case DepartmentRegistered():
            return replace(state, departments={**state.departments, fact.department: fact})
        case PersonJoined():
            lines = {**state.lines, fact.person: fact.reports_to}
            return replace(state, people={**state.people, fact.person: fact}, lines=lines)
        case ReportingLineCorrected():
            return replace(state, lines={**state.lines, fact.person: fact.reports_to})
        case ContactNamed():
            return replace(state, contacts={**state.contacts, (fact.department, fact.counterpart): fact.person})
        case DecisionBoardNamed():
            return replace(state, board=fact.people)
        case _:
            assert_never(fact)


def register_department(state: Organisation, command: RegisterDepartment, asked: Asked) -> Sequence[Fact]:
    fact = DepartmentRegistered(command.department, command.name_en, command.name_zh)
    known = state.departments.get(command.department)
    if known == fact:
        return []
    if known is not None:
        raise Refusal(
            "department-known",
            f"department={command.department} is registered as {known.name_en}; register another short name",
            f"部门代号 {command.department} 已登记为“{known.name_zh}”，请换一个代号",
        )
    return [fact]


def join_person(state: Organisation, command: JoinPerson, asked: Asked) -> Sequence[Fact]:
    fact = PersonJoined(command.person, command.name, command.department, command.role, command.reports_to)
    known = state.people.get(command.person)
    if known == fact:
        return []
    if known is not None:
        raise Refusal(
            "person-known",
            f"person={command.person} joined before, in {known.department}; take another code or correct the line",
            f"员工代号 {command.person} 已在 {known.department} 登记，请换一个代号或更正汇报线",
        )
    _known_department(state, command.department)
    if command.reports_to is not None:
        _known_person(state, "reports_to", command.reports_to)
        _line_above(state, command.person, command.reports_to)
    return [fact]


def correct_reporting_line(state: Organisation, command: CorrectReportingLine, asked: Asked) -> Sequence[Fact]:
    _known_person(state, "person", command.person)
    if state.lines[command.person] == command.reports_to:
        return []
    if command.reports_to is not None:
        _known_person(state, "reports_to", command.reports_to)
        _line_above(state, command.person, command.reports_to)
    return [ReportingLineCorrected(command.person, command.reports_to)]


def name_contact(state: Organisation, command: NameContact, asked: Asked) -> Sequence[Fact]:
    _known_department(state, command.department)
    if command.counterpart != "*":
        _known_department(state, command.counterpart)
    _known_person(state, "person", command.person)
    works_in = state.people[command.person].department
    if works_in != command.department:
        raise Refusal(
            "contact-of-another-department",
            f"person={command.person} works in {works_in}; name somebody of {command.department}",
            f"{command.person} 属于 {works_in}，请指定 {command.department} 的员工为对接人",
        )
    if state.contacts.get((command.department, command.counterpart)) == command.person:
        return []
    return [ContactNamed(command.department, command.counterpart, command.person)]


def name_decision_board(state: Organisation, command: NameDecisionBoard, asked: Asked) -> Sequence[Fact]:
    people = tuple(dict.fromkeys(command.people))
    for person in people:
        _known_person(state, "people", person)
    return [] if people == state.board else [DecisionBoardNamed(people)]


def _known_department(state: Organisation, department: str) -> None:
    if department not in state.departments:
        raise NotFound(
            "unknown-department",
            f"department={department} is not registered; register it first",
            f"部门 {department} 尚未登记，请先登记",
        )


def _known_person(state: Organisation, name: str, person: str) -> None:
    if person not in state.people:
        raise NotFound(
            "unknown-person",
            f"{name}={person} did not join; let that person join first",
            f"员工 {person} 尚未登记，请先登记",
        )


def _line_above(state: Organisation, person: str, superior: str) -> None:
    """Refuses a line that leads back to `person`, and one that is longer than anybody climbs."""
    above: str | None = superior
    for _ in range(LINE_PEOPLE_MAX):
        if above is None:
            return
        if above == person:
            raise Refusal(
                "reporting-cycle",
                f"reports_to={superior} stands below {person}; nobody stands above himself: name somebody else",
                f"{superior} 是 {person} 的下属，汇报线不能成环，请指定其他上级",
            )
        above = state.lines.get(above)
    raise line_too_long(person)


def _the_organisation(command: Command) -> UUID:
    return ORGANISATION_ID


ORGANISATION = Decider("organisation", Organisation(), evolve)
COMMANDS = (
    Handle(RegisterDepartment, ORGANISATION, register_department, key=_the_organisation),
    Handle(JoinPerson, ORGANISATION, join_person, key=_the_organisation),
    Handle(CorrectReportingLine, ORGANISATION, correct_reporting_line, key=_the_organisation),
    Handle(NameContact, ORGANISATION, name_contact, key=_the_organisation),
    Handle(NameDecisionBoard, ORGANISATION, name_decision_board, key=_the_organisation),
)
