"""Four views over what directory says. All of its facts share one Kafka key, so they are heard in their order."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.events.contracts.directory import (
    ContactNamed,
    DecisionBoardNamed,
    DepartmentRegistered,
    PersonJoined,
    ReportingLineCorrected,
)
from libs.events.entries import Entry
from libs.events.views import View, on

THE_BOARD = "board"
ANY_COUNTERPART = "*"


class Person(msgspec.Struct, frozen=True):
    """`reports_to` is None at the top."""

    person: str
    name: str
    department: str
    role: str
    reports_to: str | None


class Department(msgspec.Struct, frozen=True):
    department: str
    name_en: str
    name_zh: str


class Contact(msgspec.Struct, frozen=True):
    """`counterpart` is a department, or `*` for every other one."""

    department: str
    counterpart: str
    person: str


class Board(msgspec.Struct, frozen=True):
    board: str
    people: tuple[str, ...]


def _joined(row: Person | None, fact: PersonJoined, entry: Entry) -> Person:
    return Person(fact.person, fact.name, fact.department, fact.role, fact.reports_to)


def _reports_elsewhere(row: Person | None, fact: ReportingLineCorrected, entry: Entry) -> Person | None:
    return None if row is None else msgspec.structs.replace(row, reports_to=fact.reports_to)


def _registered(row: Department | None, fact: DepartmentRegistered, entry: Entry) -> Department:
    return Department(fact.department, fact.name_en, fact.name_zh)


def _contact(row: Contact | None, fact: ContactNamed, entry: Entry) -> Contact:
    return Contact(fact.department, fact.counterpart, fact.person)


def _board(row: Board | None, fact: DecisionBoardNamed, entry: Entry) -> Board:
    return Board(THE_BOARD, fact.people)


PEOPLE = View(
    name="people",
    version=1,
    row=Person,
    key=("person",),
    folds=(
        on(PersonJoined, _joined, lambda fact, entry: (fact.person,)),
        on(ReportingLineCorrected, _reports_elsewhere, lambda fact, entry: (fact.person,)),
    ),
    indexes=(("department", "role"), ("role",), ("reports_to",)),
)
DEPARTMENTS = View(
    name="departments",
    version=1,
    row=Department,
    key=("department",),
    folds=(on(DepartmentRegistered, _registered, lambda fact, entry: (fact.department,)),),
)
CONTACTS = View(
    name="contacts",
    version=1,
    row=Contact,
    key=("department", "counterpart"),
    folds=(on(ContactNamed, _contact, lambda fact, entry: ((fact.department, fact.counterpart),)),),
)
BOARD = View(
    name="board",
    version=1,
    row=Board,
    key=("board",),
    folds=(on(DecisionBoardNamed, _board, lambda fact, entry: (THE_BOARD,)),),
)
VIEWS: tuple[View[Any], ...] = (PEOPLE, DEPARTMENTS, CONTACTS, BOARD)
