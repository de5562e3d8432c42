"""What counts, and when a goal is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from bench import comparing
from bench.comparing import PAIRS_MIN, Comparison, Goal, Limit, Outcome, Verdict, compare
from bench.measuring import Absent, Ground, Sample, SideFailed, Taken, latencies
from bench.reporting import as_json, report

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
        (taken("ours", 10), taken("theirs", 20)),
        (taken("ours", 20), taken("theirs", 10)),
    )
    assert found.ratios(OURS.goals[0]) == [3.0, 1.0, 2.5, 0.5, 2.0]
    assert found.verdict(OURS.goals[0]) is Verdict.REACHED
    slower = outcome(*[(taken("ours", 19), taken("theirs", 10))] * PAIRS_MIN)
    assert slower.verdict(OURS.goals[0]) is Verdict.MISSED


def test_a_sample_that_does_not_count_takes_its_round_out() -> None:
    found = outcome((taken("ours", 99, counts=False), taken("theirs", 10)), (taken("ours", 20), taken("theirs", 10)))
    assert found.ratios(OURS.goals[0]) == [2.0]


def test_without_a_pair_nothing_is_judged() -> None:
    found = outcome(*[(taken("ours", 99),)] * PAIRS_MIN)
    assert [found.verdict(goal) for goal in OURS.goals] == [Verdict.UNJUDGED] * 2
    assert found.verdict(OURS.limits[0]) is Verdict.REACHED


def test_with_too_few_counting_rounds_nothing_is_judged_and_that_is_no_success() -> None:
    found = outcome(*[(taken("ours", 30), taken("theirs", 10))] * 4, (taken("ours", 30, counts=False),))
    assert [found.verdict(goal) for goal in OURS.asked] == [Verdict.UNJUDGED] * 3
    assert not report([found])
    found.rounds.append({each.side: each for each in (taken("ours", 30), taken("theirs", 10))})
    assert [found.verdict(goal) for goal in OURS.asked] == [Verdict.REACHED] * 3
    assert report([found])


def test_a_peer_that_cannot_run_here_is_no_failure() -> None:
    beside = replace(OURS, limits=())
    found = Outcome(beside, rounds=[{"ours": taken("ours", 30)}], absent={"theirs": "no npm"})
    assert [found.verdict(goal) for goal in beside.goals] == [Verdict.ABSENT] * 2
    assert report([found])


def test_what_is_only_shown_is_never_missed() -> None:
    shown = replace(OURS, goals=(Goal("theirs"),), limits=())
    assert report([Outcome(shown, rounds=[{"ours": taken("ours", 1)}])])


def of_a_machine(monkeypatch: pytest.MonkeyPatch, figures: Mapping[str, Iterator[Taken]]) -> list[str]:
    """Sides that find what is given; who was asked, in order."""
    asked: list[str] = []

    def take(side: str, module: str, ground: Ground, own: object) -> Taken:
        asked.append(side)
        return next(figures[side])

    monkeypatch.setattr(comparing, "take", take)
    return asked


GROUND = Ground("", "", Path(), Path(), Path())


def test_the_sides_alternate_and_every_other_round_begins_with_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = of_a_machine(
        monkeypatch, {"ours": (taken("ours", 20) for _ in count()), "theirs": (taken("theirs", 10) for _ in count())}
    )
    *_, found = compare(OURS, lambda side: "", GROUND, [], rounds=3)
    assert asked == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert found.ratios(OURS.goals[0]) == [2.0, 2.0, 2.0]
    assert [number for number, _ in found.taken] == [1, 1, 2, 2, 3, 3]


def test_a_run_of_fewer_rounds_shows_figures_and_says_that_nothing_is_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_a_machine(
        monkeypatch, {"ours": (taken("ours", 30) for _ in count()), "theirs": (taken("theirs", 10) for _ in count())}
    )
    *_, found = compare(OURS, lambda side: "", GROUND, [], rounds=3)
    assert not report([found])
    said = capsys.readouterr().out
    assert "3.00 3.00 3.00" in said
    assert said.count("not judged: 3 of 5 rounds count") == len(OURS.asked)
    assert "yes" not in said
    told = as_json(found)["goals"]
    assert [(goal["counting"], goal["verdict"]) for goal in told] == [(3, "not judged")] * len(OURS.asked)


def test_what_was_not_quiet_is_taken_again_and_kept_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = iter([taken("ours", 1, counts=False), taken("ours", 20), *[taken("ours", 1, counts=False)] * 3])
    asked = of_a_machine(monkeypatch, {"ours": noisy, "theirs": (taken("theirs", 10) for _ in count())})
    *_, found = compare(OURS, lambda side: "", GROUND, [], rounds=2, retries=2)
    assert asked == ["ours", "ours", "theirs", "theirs", "ours", "ours", "ours"]
    assert found.ratios(OURS.goals[0]) == [2.0], "after the last try a round is given up"
    assert len(found.taken) == 7


def stopping(monkeypatch: pytest.MonkeyPatch, side: str, error: SideFailed, *, after: int) -> Outcome:
    """Six rounds of a machine on which a side runs so many times before it ends with this error."""
    runs = count()

    def take(which: str, module: str, ground: Ground, own: object) -> Taken:
        if which == side and next(runs) >= after:
            raise error
        return taken(which, 10)

    monkeypatch.setattr(comparing, "take", take)
    *_, found = compare(BESIDE, lambda side: "", GROUND, [], rounds=6)
    return found


BESIDE = replace(OURS, goals=(Goal("theirs", at_least=0.5, peer=True), Goal("others", at_least=0.5)), limits=())


def test_a_peer_that_is_not_installed_is_absent_and_that_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    found = stopping(monkeypatch, "theirs", Absent("no package theirs"), after=0)
    assert (found.absent, found.failed) == ({"theirs": "no package theirs"}, {})
    assert [found.verdict(goal) for goal in BESIDE.goals] == [Verdict.ABSENT, Verdict.REACHED]
    assert report([found])


def test_whatever_else_stops_a_peer_is_a_failure_with_its_reason_and_what_was_taken_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stopping(monkeypatch, "theirs", SideFailed("theirs: exit 1\nTraceback\nOSError: [/dev] full"), after=5)
    assert (found.absent, [*found.failed]) == ({}, ["theirs"])
    assert [found.verdict(goal) for goal in BESIDE.goals] == [Verdict.FAILED, Verdict.REACHED]
    assert not report([found])
    said = capsys.readouterr().out
    assert "theirs failed in round 6: OSError: [/dev] full" in said
    assert "5 of 5" in said
    told = as_json(found)
    assert told["failed"] == {"theirs": "round 6: theirs: exit 1\nTraceback\nOSError: [/dev] full"}
    assert [goal["verdict"] for goal in told["goals"]] == ["failed", "reached"]
    assert len([sample for sample in told["samples"] if sample["side"] == "theirs"]) == 5


def test_a_side_that_failed_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = stopping(monkeypatch, "theirs", SideFailed("no result within 300 s"), after=1)
    assert [len(found.samples(side)) for side in BESIDE.sides] == [6, 1, 6]


@pytest.mark.parametrize("error", [SideFailed("exit 1"), Absent("no package ours")])
def test_our_own_failure_ends_the_comparison_and_keeps_what_was_taken(
    error: SideFailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stopping(monkeypatch, "ours", error, after=2)
    assert [*found.failed] == ["ours"]
    assert [len(found.samples(side)) for side in BESIDE.sides] == [2, 2, 2]
    assert [found.verdict(goal) for goal in BESIDE.goals] == [Verdict.FAILED] * 2
    assert not report([found])


def test_a_latency_is_reached_from_below() -> None:
    at_it, beyond = (
        outcome(*[(taken("ours", 1, p99_ms=p99_ms), taken("theirs", 1))] * PAIRS_MIN) for p99_ms in (4.0, 4.1)
    )
    assert at_it.verdict(OURS.goals[1]) is Verdict.REACHED
    assert beyond.verdict(OURS.goals[1]) is Verdict.MISSED


def test_a_limit_is_ours_alone() -> None:
    assert outcome(*[(taken("ours", 101),)] * PAIRS_MIN).verdict(OURS.limits[0]) is Verdict.MISSED


def test_latencies_are_in_milliseconds() -> None:
    assert latencies([number / 1_000 for number in range(100)]) == pytest.approx((50.0, 99.0))
