"""The organisation as heard from directory: who works where, who reports to whom, who is asked.

Services list `VIEWS` among their views; the functions read them through the `Look` of a decision or a reaction.
"""

from libs.organisation.lines import board, common_superior, nearest_common, superiors
from libs.organisation.names import Words, departments_named, person_named, seats_named
from libs.organisation.seats import (
    contact_of,
    department_of,
    department_seat,
    is_seat,
    lead_of,
    people_of,
    person_seat,
    sits_in,
)
from libs.organisation.views import BOARD, CONTACTS, DEPARTMENTS, PEOPLE, VIEWS

__all__ = [
    "BOARD",
    "CONTACTS",
    "DEPARTMENTS",
    "PEOPLE",
    "VIEWS",
    "Words",
    "board",
    "common_superior",
    "contact_of",
    "department_of",
    "department_seat",
    "departments_named",
    "is_seat",
    "lead_of",
    "nearest_common",
    "people_of",
    "person_named",
    "person_seat",
    "seats_named",
    "sits_in",
    "superiors",
]
