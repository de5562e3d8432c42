"""What counts, and when a goal is reached."""

from __future__ import annotations

import pytest

from bench.comparing import Comparison, Goal, Limit, Outcome
from bench.measuring import Sample, Taken, latencies

OURS = Comparison(
    "work",
    "units/s",
    "ours",
    (Goal("theirs", at_least=2.0), Goal("theirs", at_most=4.0, of="p99_ms")),
    (Limit("megabytes", 100.0),),
)


def taken(side: str, rate: float, *, p99_ms: float = 1.0, counts: bool = True) -> Taken:
    return Taken(side, Sample(round(rate), 1.0, 0.5, p99_ms, megabytes=rate), 0.0, 0.1, 0.1, counts)


def outcome(*rounds: tuple[Taken, ...]) -> Outcome:
    return Outcome(OURS, rounds=[{each.side: each for each in found} for found in rounds])


def test_a_goal_is_judged_by_the_median_of_the_ratios_of_the_same_round() -> None:
    found = outcome(
        (taken("ours", 30), taken("theirs", 10)),
        (taken("ours", 50), taken("theirs", 50)),
        (taken("ours", 25), taken("theirs", 10)),
    )
    assert found.ratios(OURS.goals[0]) == [3.0, 1.0, 2.5]
    assert found.reached(OURS.goals[0]) is True
    assert outcome((taken("ours", 19), taken("theirs", 10))).reached(OURS.goals[0]) is False


def test_a_sample_that_does_not_count_takes_its_round_out() -> None:
    found = outcome((taken("ours", 99, counts=False), taken("theirs", 10)), (taken("ours", 20), taken("theirs", 10)))
    assert found.ratios(OURS.goals[0]) == [2.0]


def test_without_a_pair_nothing_is_judged() -> None:
    found = outcome((taken("ours", 99),))
    assert [found.reached(goal) for goal in OURS.goals] == [None, None]
    assert found.reached(OURS.limits[0]) is True


def test_a_latency_is_reached_from_below() -> None:
    assert outcome((taken("ours", 1, p99_ms=4.0), taken("theirs", 1))).reached(OURS.goals[1]) is True
    assert outcome((taken("ours", 1, p99_ms=4.1), taken("theirs", 1))).reached(OURS.goals[1]) is False


def test_a_limit_is_ours_alone() -> None:
    assert outcome((taken("ours", 101),)).reached(OURS.limits[0]) is False


def test_latencies_are_in_milliseconds() -> None:
    assert latencies([number / 1_000 for number in range(100)]) == pytest.approx((50.0, 99.0))
