"""Who sits where: a step's RACI as published, with its named seats found in one case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from libs.events.contracts.tasks import TaskAssigned, TemplateStep
from libs.events.errors import Refusal
from libs.events.views import Look
from libs.organisation import department_seat, departments_named, is_seat, lead_of, person_seat
from services.tasks.domain.case import Case
from services.tasks.domain.choices import SOLUTION_GIVEN

DEPARTMENT_SEAT = department_seat("")


def assigned(step: TemplateStep, case: Case, look: Look) -> TaskAssigned:
    """The seats of a step in this case. A ruling adds to the consulted of the solution; R never consults itself."""

    def find(seat: str) -> str:
        return SEATS[seat](case, look) if seat in SEATS else seat

    raci = step.seats
    ruled = case.ruling.consulted if case.ruling and step.ends == SOLUTION_GIVEN else ()
    responsible = _each_once(find(seat) for seat in raci.responsible)
    asked = _each_once([*(find(seat) for seat in raci.consulted), *(department_seat(dept) for dept in ruled)])
    return TaskAssigned(
        step=step.name,
        responsible=responsible,
        accountable=find(raci.accountable),
        consulted=tuple(seat for seat in asked if seat not in responsible),
        informed=_each_once(find(seat) for seat in raci.informed),
    )


def consulted_departments(task: TaskAssigned | None) -> tuple[str, ...]:
    """The departments in the C seats of a step."""
    return tuple(seat.removeprefix(DEPARTMENT_SEAT) for seat in task.consulted) if task else ()


def unanswered(case: Case, step: str) -> tuple[str, ...]:
    """The departments that must be heard before this step can end."""
    departments = consulted_departments(case.seats.get(step))
    return tuple(dept for dept in departments if (step, dept) not in case.answered)


def is_known_seat(seat: str) -> bool:
    """Whether a template may name this: a seat, or a function that finds one."""
    return seat in SEATS or is_seat(seat)


def _each_once(seats: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(seats))


def _lead_seat(look: Look, department: str) -> str:
    lead = lead_of(look, department)
    if lead is None:
        raise Refusal(
            "department-without-lead",
            f"department={department} has nobody who leads it; let its director join in directory",
            f"{departments_named(look, [department]).zh}没有负责人，请先在组织目录中登记其主管",
        )
    return person_seat(lead)


# (case, look) → the seat that this name means in the case
SEATS: Mapping[str, Callable[[Case, Look], str]] = {
    "responsible-department": lambda case, look: department_seat(case.responsible),
    "lead-of-responsible": lambda case, look: _lead_seat(look, case.responsible),
    "opening-department": lambda case, look: department_seat(case.opened_in),
    "lead-of-opening": lambda case, look: _lead_seat(look, case.opened_in),
}
