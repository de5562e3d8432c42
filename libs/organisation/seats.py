"""Seats of a RACI matrix (`dept:production`, `person:prod-1`, `role:director`) and the people who sit in them."""

from __future__ import annotations

from libs.events.views import Look
from libs.organisation.views import ANY_COUNTERPART, CONTACTS, PEOPLE

LEAD_ROLE = "director"
SEAT_KINDS = ("dept", "person", "role")


def department_seat(department: str) -> str:
    return f"dept:{department}"


def person_seat(person: str) -> str:
    return f"person:{person}"


def is_seat(seat: str) -> bool:
    """Whether this is the way a seat is written: a known kind, a colon, a name."""
    kind, _, name = seat.partition(":")
    return kind in SEAT_KINDS and bool(name)


def people_of(look: Look, seat: str) -> tuple[str, ...]:
    """The staff codes of everybody in this seat, in their order; empty for an empty or unknown seat."""
    kind, _, name = seat.partition(":")
    if kind == "person":
        return (name,)
    if kind == "dept":
        return tuple(row.person for row in look.rows(PEOPLE, department=name))
    if kind == "role":
        return tuple(row.person for row in look.rows(PEOPLE, role=name))
    return ()


def sits_in(look: Look, person: str, seat: str) -> bool:
    """Whether `person` sits in this seat: one row is read, however large the department."""
    kind, _, name = seat.partition(":")
    if kind == "person":
        return person == name
    row = look.row(PEOPLE, person)
    return row is not None and name == {"dept": row.department, "role": row.role}.get(kind)


def department_of(look: Look, person: str) -> str | None:
    """The department that this person works in; None for a stranger."""
    row = look.row(PEOPLE, person)
    return None if row is None else row.department


def lead_of(look: Look, department: str) -> str | None:
    """Who leads a department: its director, else whoever in it reports to nobody of the same department."""
    directors = look.rows(PEOPLE, department=department, role=LEAD_ROLE)
    if directors:
        return directors[0].person
    members = look.rows(PEOPLE, department=department)
    inside = {row.person for row in members}
    return next((row.person for row in members if row.reports_to not in inside), None)


def contact_of(look: Look, department: str, counterpart: str = ANY_COUNTERPART) -> str | None:
    """Who answers for `department` towards `counterpart`: the contact named for it, else the one for everybody."""
    row = look.row(CONTACTS, (department, counterpart)) or look.row(CONTACTS, (department, ANY_COUNTERPART))
    return None if row is None else row.person
