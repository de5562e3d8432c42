"""Who a rung of a ladder asks: named functions, from the departments that the matter concerns to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from libs.events.views import Look
from libs.organisation import board, common_superior, contact_of, lead_of

Asking = Callable[[Look, tuple[str, ...]], tuple[str, ...]]


def contacts_of_the_departments(look: Look, departments: tuple[str, ...]) -> tuple[str, ...]:
    """The contact of every department; its lead where it named none."""
    return _people(contact_of(look, department) or lead_of(look, department) for department in departments)


def leads_of_the_departments(look: Look, departments: tuple[str, ...]) -> tuple[str, ...]:
    return _people(lead_of(look, department) for department in departments)


def common_superior_of_the_contacts(look: Look, departments: tuple[str, ...]) -> tuple[str, ...]:
    return _people([common_superior(look, *contacts_of_the_departments(look, departments))])


def decision_board(look: Look, departments: tuple[str, ...]) -> tuple[str, ...]:
    return board(look)


ASKS: Mapping[str, Asking] = {
    "contacts-of-the-departments": contacts_of_the_departments,
    "leads-of-the-departments": leads_of_the_departments,
    "common-superior": common_superior_of_the_contacts,
    "decision-board": decision_board,
}


def _people(found: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(person for person in found if person is not None))
