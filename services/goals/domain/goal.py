"""A company goal and its period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from uuid import UUID

from libs.events.contracts.goals import GoalSet
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import Refusal
from services.goals.commands import SetGoal


@dataclass(frozen=True, slots=True)
class Goal:
    newest: GoalSet | None = None


def evolve(state: Goal, fact: GoalSet) -> Goal:
    return Goal(fact)


def set_goal(state: Goal, command: SetGoal, asked: Asked) -> Sequence[Fact]:
    if command.end <= command.start:
        raise Refusal(
            "period-empty",
            f"end={command.end.isoformat()} is not after start={command.start.isoformat()}; choose a later end",
            f"结束时间 {command.end.isoformat()} 不晚于开始时间 {command.start.isoformat()}，请更正",
        )
    fact = GoalSet(
        goal=command.goal,
        name_en=command.name_en,
        name_zh=command.name_zh,
        start=command.start.astimezone(UTC),
        end=command.end.astimezone(UTC),
        bonus_rule=command.bonus_rule,
    )
    return [] if fact == state.newest else [fact]


def _key(command: SetGoal) -> UUID:
    return entity_id("", "goal", command.goal)


GOAL = Decider("goal", Goal(), evolve)
COMMANDS = (Handle(SetGoal, GOAL, set_goal, key=_key),)
