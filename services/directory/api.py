"""directory's doors: operations writes the organisation, everybody with a token reads it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from libs.events.errors import NotFound
from libs.organisation import BOARD, CONTACTS, DEPARTMENTS, PEOPLE, nearest_common
from libs.organisation.lines import LINE_PEOPLE_MAX, line_too_long
from libs.organisation.views import THE_BOARD, Board, Contact, Department, Person
from libs.service import problems
from libs.service.doors import Accepted, Ask, Page, Read, Shown, roles
from services.directory.commands import (
    Code,
    CorrectReportingLine,
    JoinPerson,
    NameContact,
    NameDecisionBoard,
    RegisterDepartment,
    ReportingLine,
)

COMPARED_PEOPLE_MAX = 20

router = APIRouter(prefix="/v1", tags=["directory"])
AskedPeople = Annotated[list[str], Query(min_length=1, max_length=COMPARED_PEOPLE_MAX)]


class CommonSuperior(BaseModel):
    """`superior`: the nearest person above all of `people`; null where nobody stands above all of them."""

    model_config = ConfigDict(frozen=True)

    people: tuple[str, ...]
    superior: str | None


@router.post("/departments", dependencies=[roles("ops")])
async def register_department(body: RegisterDepartment, ask: Ask) -> Accepted:
    return await ask(body)


@router.get("/departments")
async def list_departments(read: Read) -> Page[Department]:
    return await read.page(DEPARTMENTS)


@router.post("/people", dependencies=[roles("ops")])
async def join_person(body: JoinPerson, ask: Ask) -> Accepted:
    return await ask(body)


@router.get("/people")
async def list_people(read: Read, department: str | None = None, role: str | None = None) -> Page[Person]:
    return await read.page(PEOPLE, equal={"department": department, "role": role})


@router.get("/people/{person}")
async def show_person(person: Code, read: Read) -> Shown[Person]:
    return read.shown(await _person(read, person))


@router.post("/people/{person}/reporting-line", dependencies=[roles("ops")])
async def correct_reporting_line(person: Code, body: ReportingLine, ask: Ask) -> Accepted:
    return await ask(CorrectReportingLine(person=person, reports_to=body.reports_to))


@router.post("/contacts", dependencies=[roles("ops")])
async def name_contact(body: NameContact, ask: Ask) -> Accepted:
    return await ask(body)


@router.get("/contacts")
async def list_contacts(read: Read, department: str | None = None, counterpart: str | None = None) -> Page[Contact]:
    return await read.page(CONTACTS, equal={"department": department, "counterpart": counterpart})


@router.post("/decision-board", dependencies=[roles("ops")])
async def name_decision_board(body: NameDecisionBoard, ask: Ask) -> Accepted:
    return await ask(body)


@router.get("/decision-board")
async def show_decision_board(read: Read) -> Shown[Board]:
    return read.shown(await read.row(BOARD, THE_BOARD) or Board(THE_BOARD, ()))


@router.get("/common-superior", responses={409: problems.answer(409)})
async def common_superior(read: Read, people: AskedPeople) -> CommonSuperior:
    """Who may rule between these people: `?people=prod-1&people=purch-1`."""
    lines = {person: await _superiors(read, person) for person in people}
    return CommonSuperior(people=tuple(lines), superior=nearest_common(lines))


async def _superiors(read: Read, person: str) -> tuple[str, ...]:
    line: list[str] = []
    row = await _person(read, person)
    while row.reports_to is not None:
        line.append(row.reports_to)
        if len(line) > LINE_PEOPLE_MAX:
            raise line_too_long(person)
        row = await _person(read, row.reports_to)
    return tuple(line)


async def _person(read: Read, person: str) -> Person:
    row = await read.row(PEOPLE, person)
    if row is None:
        raise NotFound(
            "unknown-person",
            f"person={person} did not join; look the code up in /v1/people",
            f"没有员工 {person}，请在 /v1/people 中查找",
        )
    return row
