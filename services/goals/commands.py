"""What may be asked of goals."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from libs.events.deciding import Command
from libs.events.instants import Written

NAME_CHARS_MAX = 200
CODE_CHARS_MAX = 100
DEPARTMENTS_MAX = 100

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=CODE_CHARS_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]


class SetGoal(Command):
    """A company goal for a period [`start`, `end`). `bonus_rule`: how a missed KPI touches everybody's bonus."""

    goal: Code
    name_en: Name
    name_zh: Name
    start: Written
    end: Written
    bonus_rule: Literal["all-or-nothing", "proportional", "gated"]


class ShareKpi(Command):
    """A KPI of a goal that `departments` answer for together. `measure`: a named function and its parameter, such as
    `clock-met:complaint/answer`.
    """

    goal: Code
    kpi: Code
    name_en: Name
    name_zh: Name
    comparator: Literal[">=", "<="]
    threshold: Annotated[Decimal, Field(max_digits=18, decimal_places=6, allow_inf_nan=False)]
    unit: Name
    departments: Annotated[tuple[Code, ...], Field(min_length=1, max_length=DEPARTMENTS_MAX)]
    measure: Name


class MeasureKpi(Command):
    """One sample: `about` was in order (`hit`) or not, as the event `evidence` shows."""

    kpi: Code
    case_id: UUID
    about: UUID
    evidence: UUID
    hit: bool
