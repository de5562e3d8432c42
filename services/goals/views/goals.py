"""The company's goals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.events.contracts.goals import GoalSet
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Goal:
    goal: str
    name_en: str
    name_zh: str
    start: datetime
    end: datetime
    bonus_rule: str


def _set(row: Goal | None, fact: GoalSet, entry: Entry) -> Goal:
    return Goal(fact.goal, fact.name_en, fact.name_zh, fact.start, fact.end, fact.bonus_rule)


GOALS = View(
    name="goals",
    version=1,
    row=Goal,
    key=("goal",),
    folds=(on(GoalSet, _set, lambda fact, entry: (fact.goal,)),),
)
