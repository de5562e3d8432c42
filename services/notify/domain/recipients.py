"""Who is meant: from departments and RACI seats to people, each with the rule by which the message goes there."""

from __future__ import annotations

from collections.abc import Iterable

from libs.events.views import Look
from libs.organisation import board, contact_of, lead_of, people_of

Recipient = tuple[str, str]  # (person, because)


def contacts(look: Look, departments: Iterable[str], why: str) -> Iterable[Recipient]:
    """The contact of every department; its lead where it named none."""
    for department in departments:
        contact = contact_of(look, department)
        if contact is not None:
            yield contact, f"contact of {department}: {why}"
        else:
            yield from leads(look, (department,), why)


def leads(look: Look, departments: Iterable[str], why: str) -> Iterable[Recipient]:
    for department in departments:
        lead = lead_of(look, department)
        if lead is not None:
            yield lead, f"lead of {department}: {why}"


def seats(look: Look, taken: Iterable[str], why: str) -> Iterable[Recipient]:
    """The people in these RACI seats; a department is told through its contact."""
    for seat in taken:
        kind, _, name = seat.partition(":")
        if kind == "dept":
            yield from contacts(look, (name,), why)
        else:
            for person in people_of(look, seat):
                yield person, f"{seat}: {why}"


def decision_board(look: Look, why: str) -> Iterable[Recipient]:
    for person in board(look):
        yield person, f"decision board: {why}"


def merged(found: Iterable[Recipient]) -> dict[str, str]:
    """Each person once, with every rule that names them."""
    people: dict[str, str] = {}
    for person, because in found:
        if person not in people:
            people[person] = because
        elif because not in people[person].split("; "):
            people[person] += f"; {because}"
    return people
