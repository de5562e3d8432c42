"""What may be asked of directory. Everything an organisation is made of comes in through these."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from libs.events.deciding import Command

CODE_CHARS_MAX = 64
NAME_CHARS_MAX = 200
BOARD_PEOPLE_MAX = 50

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=CODE_CHARS_MAX)]
Counterpart = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_][A-Za-z0-9_.-]*)$", max_length=CODE_CHARS_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]


class RegisterDepartment(Command):
    """`department` is its short name everywhere, such as `production`."""

    department: Code
    name_en: Name
    name_zh: Name


class JoinPerson(Command):
    """`person` is a staff code, a pseudonym such as `prod-1`; `role` a word such as `director`."""

    person: Code
    name: Name
    department: Code
    role: Code
    reports_to: Code | None = None


class ReportingLine(Command):
    """Whom somebody reports to from now on; None at the top."""

    reports_to: Code | None


class CorrectReportingLine(ReportingLine):
    person: Code


class NameContact(Command):
    """`person` answers for `department` towards `counterpart`; `*` is every department without one of its own."""

    department: Code
    counterpart: Counterpart = "*"
    person: Code


class NameDecisionBoard(Command):
    people: Annotated[tuple[Code, ...], Field(min_length=1, max_length=BOARD_PEOPLE_MAX)]
