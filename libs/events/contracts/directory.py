"""What directory says: who works where, who reports to whom, who is the contact."""

from __future__ import annotations

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact


class DepartmentRegistered(Fact, frozen=True):
    """A department: the short name by which all other facts call it, for good, and what people call it."""

    department: str
    name_en: str
    name_zh: str


class PersonJoined(Fact, frozen=True):
    """`person` is a staff code, a pseudonym. `role` is a name such as `director`; `reports_to` is None at the top."""

    person: str
    name: str
    department: str
    role: str
    reports_to: str | None = None


class ReportingLineCorrected(Fact, frozen=True):
    """From now on `person` reports to somebody else, or to nobody."""

    person: str
    reports_to: str | None


class ContactNamed(Fact, frozen=True):
    """`person` answers for `department` towards `counterpart` (a department, or `*` for every other one)."""

    department: str
    counterpart: str
    person: str


class DecisionBoardNamed(Fact, frozen=True):
    """The people of the decision board from now on, all of them: the last whom a ladder asks."""

    people: tuple[str, ...]


CONTRACT = Contract(
    "directory",
    (
        Kind("DepartmentRegistered", 1, DepartmentRegistered),
        Kind("PersonJoined", 1, PersonJoined, personal=("name",)),
        Kind("ReportingLineCorrected", 1, ReportingLineCorrected),
        Kind("ContactNamed", 1, ContactNamed),
        Kind("DecisionBoardNamed", 1, DecisionBoardNamed),
    ),
)
