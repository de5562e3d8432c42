"""Legs, on the complaint that nobody wants and on anything else that can happen to a case."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.clocks import TURNS, Turn, case_legs, legs, legs_minutes, turn_of
from libs.events.contracts.sla import Leg
from libs.events.contracts.tasks import (
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    ConflictRuled,
    ConsultationAnswered,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
)
from libs.events.entries import Fact
from libs.events.testing import instant

DEPARTMENTS = ("production", "purchasing", "product")
NINE = instant("2026-11-02T09:00+08:00")
WHATS = ("opened", "routed", "offered", "accepted", "rejected", "unruled", "ruled", "solved", "closed")


def at(clock: str) -> datetime:
    return instant(f"2026-11-02T{clock}+08:00")


STORY: tuple[tuple[str, Fact], ...] = (
    ("09:00", CaseOpened(UUID(int=1), "crm", "STORY1", "complaint", 1, "quality", "normal", "blisters", {}, "service")),
    ("09:40", CaseRouted("production", "quality")),
    ("09:40", HandoffOffered(1, "service", "production")),
    ("10:10", HandoffRejected(1, "production", "raw material", 1)),
    ("10:10", HandoffOffered(2, "service", "purchasing")),
    ("10:50", HandoffRejected(2, "purchasing", "specification", 2)),
    ("10:50", HandoffOffered(3, "service", "product")),
    ("11:20", HandoffRejected(3, "product", "not ours", 3)),
    ("11:20", ConflictOpened(DEPARTMENTS, 3)),
    ("12:25", ConflictRuled("vp-ops", "production", ("purchasing",), "it is the veneer press")),
    ("12:25", HandoffOffered(4, "service", "production")),
    ("12:30", HandoffAccepted(4, "production")),
    ("13:05", ConsultationAnswered("solution", "purchasing", "batch 7 was wet")),
    ("13:30", SolutionGiven("production", "new doors")),
)


def story() -> list[Turn]:
    return [turn for clock, fact in STORY if (turn := turn_of(fact, at(clock))) is not None]


def test_the_legs_of_the_complaint_that_nobody_wants() -> None:
    found = case_legs(story(), at("18:00"))
    assert legs_minutes(found) == [30, 40, 30, 65, 5, 60]
    assert [(leg.state, leg.department) for leg in found] == [
        ("offered", "production"),
        ("offered", "purchasing"),
        ("offered", "product"),
        ("unruled", None),
        ("offered", "production"),
        ("holding", "production"),
    ]
    assert found[-1].end - found[0].start == timedelta(minutes=230)


def test_an_open_case_has_legs_until_now() -> None:
    assert legs_minutes(case_legs(story(), at("11:30"))) == [30, 40, 30, 10]


def test_a_breach_names_the_legs_from_the_start_of_its_clock_to_its_due_instant() -> None:
    assert legs_minutes(legs(story(), at("09:40"), at("11:40"))) == [30, 40, 30, 20]


def test_before_its_routing_a_case_is_held_by_who_opened_it() -> None:
    assert legs(story(), at("09:00"), at("09:40")) == (Leg("holding", "service", at("09:00"), at("09:40")),)
    assert case_legs(story()[:1], at("09:30")) == ()


def test_who_rejects_gives_the_case_back_to_its_holder() -> None:
    turns = [*story()[:4], Turn(at("10:30"), "offered", "product")]
    assert legs(turns, at("10:00"), at("10:30")) == (
        Leg("offered", "production", at("10:00"), at("10:10")),
        Leg("holding", "service", at("10:10"), at("10:30")),
    )


def test_every_fact_that_turns_a_case_is_listed() -> None:
    assert {type(fact) for _, fact in STORY if turn_of(fact, NINE) is not None} <= set(TURNS)
    assert turn_of(STORY[12][1], NINE) is None


def test_a_part_of_a_minute_stays_visible() -> None:
    assert legs_minutes([Leg("unruled", None, NINE, NINE + timedelta(seconds=90))]) == [1.5]


minutes = st.integers(min_value=0, max_value=600)
turns_after_nine = st.lists(
    st.builds(
        lambda minute, what, department: Turn(NINE + timedelta(minutes=minute), what, department),
        minutes,
        st.sampled_from(WHATS),
        st.sampled_from(DEPARTMENTS),
    ),
    max_size=30,
)


@given(turns_after_nine, minutes, minutes)
def test_legs_tile_their_interval_without_gap_or_overlap(rest: list[Turn], first: int, second: int) -> None:
    start, end = (NINE + timedelta(minutes=m) for m in sorted((first, second)))
    found = legs([Turn(NINE, "opened", "service"), *rest], start, end)
    edges = [start, *(leg.end for leg in found)]
    assert [leg.start for leg in found] == edges[:-1]
    assert edges[-1] == end
    assert all(leg.start < leg.end for leg in found)
    assert all((leg.department is None) == (leg.state == "unruled") for leg in found)


@given(turns_after_nine, minutes)
def test_what_happens_later_changes_no_earlier_leg(rest: list[Turn], minute: int) -> None:
    moment = NINE + timedelta(minutes=minute)
    turns = [Turn(NINE, "opened", "service"), *rest]
    early = [turn for turn in turns if turn.at < moment]
    assert legs(turns, NINE, moment) == legs(early, NINE, moment)
