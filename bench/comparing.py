"""Comparisons: the sides alternate, round by round; what counts are the ratios of the same round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec
import psutil

from bench.measuring import RETRIES_MAX, Absent, Ground, Sample, SideFailed, Taken, take

ROUNDS = 5
PAIRS_MIN = 5
"""So many rounds must count before anything is judged; fewer give figures only."""


class Verdict(StrEnum):
    """UNJUDGED: something was asked, and too few rounds count. FAILED: a side that it is about has."""

    REACHED = "reached"
    MISSED = "missed"
    UNJUDGED = "not judged"
    FAILED = "failed"
    ABSENT = "absent"
    SHOWN = "shown"


@dataclass(frozen=True)
class Goal:
    """Ours ÷ theirs, of the same round: at least, or at most, so much (neither: shown only).

    `of`: rate, p50_ms, p99_ms or megabytes. `peer`: it may be absent on a machine where it is not installed.
    """

    other: str
    at_least: float | None = None
    at_most: float | None = None
    of: str = "rate"
    peer: bool = False

    @property
    def asked(self) -> bool:
        return self.at_least is not None or self.at_most is not None


@dataclass(frozen=True)
class Limit:
    """Ours alone, at most so much."""

    of: str
    at_most: float
    asked, at_least = True, None


@dataclass(frozen=True)
class Comparison:
    """What is measured: our side, the others, and how much of it."""

    name: str
    unit: str
    ours: str
    goals: tuple[Goal, ...] = ()
    limits: tuple[Limit, ...] = ()
    clients: int = 1
    facts: int = 1
    size: int = 0
    seconds: float = 0.0

    @property
    def sides(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.ours, *(goal.other for goal in self.goals))))

    @property
    def asked(self) -> tuple[Goal | Limit, ...]:
        return (*self.goals, *self.limits)

    def scaled(self, scale: float) -> Comparison:
        return replace(self, size=round(self.size * scale), seconds=max(1.0, self.seconds * scale))

    def on(self, ground: Ground) -> Ground:
        return msgspec.structs.replace(
            ground, clients=self.clients, facts=self.facts, size=self.size, seconds=self.seconds
        )


@dataclass
class Outcome:
    """Everything that was taken for one comparison, and in which round.

    `absent`: peers that are not installed here, and what they lack. `failed`: sides that ended without a result, in
    which round and why; what was taken before stays.
    """

    comparison: Comparison
    taken: list[tuple[int, Taken]] = field(default_factory=list)
    rounds: list[dict[str, Taken]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def without(self, side: str) -> bool:
        """Whether it takes no further part."""
        return side in self.absent or side in self.failed

    def samples(self, side: str) -> list[Sample]:
        """Those that count."""
        return [found[side].sample for found in self.rounds if side in found and found[side].counts]

    def ratios(self, goal: Goal) -> list[float]:
        """Ours ÷ theirs, round by round, where both samples count."""
        pairs = [
            (_figure(found[self.comparison.ours].sample, goal.of), _figure(found[goal.other].sample, goal.of))
            for found in self.rounds
            if all(side in found and found[side].counts for side in (self.comparison.ours, goal.other))
        ]
        return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]

    def judged_by(self, goal: Goal | Limit) -> list[float]:
        """What counts for it, round by round: ratios, or our own figures for a limit."""
        if isinstance(goal, Goal):
            return self.ratios(goal)
        figures = (_figure(sample, goal.of) for sample in self.samples(self.comparison.ours))
        return [figure for figure in figures if figure is not None]

    def verdict(self, goal: Goal | Limit) -> Verdict:
        other = goal.other if isinstance(goal, Goal) else self.comparison.ours
        if {self.comparison.ours, other} & self.failed.keys():
            return Verdict.FAILED
        if other in self.absent:
            return Verdict.ABSENT
        if not goal.asked:
            return Verdict.SHOWN
        found = self.judged_by(goal)
        if len(found) < PAIRS_MIN:
            return Verdict.UNJUDGED
        median = statistics.median(found)
        missed = (goal.at_least is not None and median < goal.at_least) or (
            goal.at_most is not None and median > goal.at_most
        )
        return Verdict.MISSED if missed else Verdict.REACHED


def compare(
    comparison: Comparison,
    module_of: Callable[[str], str],
    ground: Ground,
    own: list[psutil.Process],
    rounds: int = ROUNDS,
    retries: int = RETRIES_MAX,
) -> Iterator[Outcome]:
    """The outcome so far, after each run of a side. One that is absent or fails takes no further part; without our own
    there is nothing to compare.
    """
    outcome, ground = Outcome(comparison), comparison.on(ground)
    peers = {goal.other for goal in comparison.goals if goal.peer}
    for number in range(rounds):
        found: dict[str, Taken] = {}
        outcome.rounds.append(found)
        sides = [side for side in comparison.sides if not outcome.without(side)]
        for side in sides if number % 2 == 0 else sides[::-1]:
            for _ in range(1 + retries):
                try:
                    found[side] = take(side, module_of(side), ground, own)
                except SideFailed as error:
                    if isinstance(error, Absent) and side in peers:
                        outcome.absent[side] = str(error)
                    else:
                        outcome.failed[side] = f"round {number + 1}: {error}"
                else:
                    outcome.taken.append((number + 1, found[side]))
                yield outcome
                if outcome.without(side) or found[side].counts:
                    break
            if comparison.ours in outcome.failed:
                return
    yield outcome


def _figure(sample: Sample, of: str) -> float | None:
    value: float | None = getattr(sample, of)
    return value
