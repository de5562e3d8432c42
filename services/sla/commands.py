"""What may be asked of sla. Policies and ladders come in by the door; clocks and escalations move by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import Field

from libs.events.deciding import Command

NAME_CHARS_MAX = 100
LIMIT_MIN_MAX = 366 * 24 * 60
RUNGS_MAX = 8

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$", max_length=NAME_CHARS_MAX)]
Word = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
Minutes = Annotated[int, Field(ge=1, le=LIMIT_MIN_MAX)]


class PublishPolicy(Command):
    """A time limit for a step of a template, or for some of its cases (`category`, `priority`; None: any)."""

    policy: Name
    template: Name
    step: Name
    category: Word | None = None
    priority: Word | None = None
    limit_min: Minutes
    warn_percent: Annotated[int, Field(ge=1, le=99)] | None = None
    calendar: Name = "round-the-clock"
    ladder: Name | None = None


class LadderRung(Command):
    """`asks` names a function that says who is asked; `answer_min`: until the next rung, none at the top.

    `name_zh` is for those who read Chinese; without it they read `name`.
    """

    name: Word
    asks: Name
    answer_min: Minutes | None = None
    name_zh: Annotated[str, Field(max_length=NAME_CHARS_MAX)] = ""


class PublishLadder(Command):
    """Who is asked after whom, from the `starts` on: when a limit is broken, or when a conflict opens."""

    ladder: Name
    starts: Literal["breach", "conflict"]
    rungs: Annotated[tuple[LadderRung, ...], Field(min_length=1, max_length=RUNGS_MAX)]


class StartClock(Command):
    """A step begins. `target_at`: the due instant that a source promised, which goes before any policy."""

    case_id: UUID
    step: str
    template: str
    category: str
    priority: str
    target_at: datetime | None = None
    timeline: str = ""


class StopClock(Command):
    """A step ends, or its case."""

    case_id: UUID
    step: str


class WarnClock(Command):
    case_id: UUID
    step: str


class BreachClock(Command):
    case_id: UUID
    step: str


class RaiseEscalation(Command):
    """The first rung of a ladder is asked, for the `departments` that the matter concerns."""

    case_id: UUID
    ladder: str
    departments: tuple[str, ...]
    because: str


class ClimbLadder(Command):
    """Nobody on rung `level` answered in time."""

    case_id: UUID
    level: int


class EndEscalation(Command):
    case_id: UUID
    outcome: Literal["ruled", "accepted", "closed"]


def clock_id(case_id: UUID, step: str) -> UUID:
    """The clock of one step of one case."""
    return uuid5(case_id, f"clock/{step}")
