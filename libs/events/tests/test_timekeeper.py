"""When a timer may fire: the pure parts of the timekeeper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.events.due import DueRow, Firing, Limit, Mark, Marks, command_id, first_of_each
from libs.events.tests.errands import REMINDERS, SERVICE, Reminder

START = datetime(2024, 1, 1, tzinfo=UTC)


def mark(position: int) -> Mark:
    return Mark(START + timedelta(seconds=position), position)


def test_a_mark_counts_once_everything_up_to_it_is_folded_and_reacted_to() -> None:
    marks = Marks()
    assert marks.reached(None, 0) is None
    assert marks.reached(mark(5), 4) is None
    assert marks.reached(mark(5), 5) == mark(5)


@given(lag=st.integers(0, 300), count=st.integers(1, 600))
def test_under_a_steady_load_marks_are_reached_though_the_newest_never_is(lag: int, count: int) -> None:
    marks = Marks()
    for position in range(1, count + 1):
        done = max(0, position - lag)
        reached = marks.reached(mark(position), done)
        if position > 2 * lag + 1:
            assert reached is not None
            assert position - reached.position <= 2 * lag + 1
        assert reached is None or reached.position <= done


def test_a_row_that_is_due_again_at_the_same_instant_is_another_command() -> None:
    def asked(version: int) -> UUID:
        row = Reminder(UUID(int=1), START, version, "")
        return command_id("errands", SERVICE.timers[0], DueRow("main", (row.errand,), row, 1))

    assert REMINDERS is SERVICE.timers[0].view
    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def firing(name: str, subject: int, minute: int, *, confirmed: bool = True) -> Firing:
    timer, due_at = replace(SERVICE.timers[0], name=name), START + timedelta(minutes=minute)
    row = Reminder(UUID(int=subject), due_at, 1, "")
    return Firing(timer, DueRow("main", (row.errand,), row, 1), Limit(None, "", due_at, confirmed), subject, None)


def test_nothing_overtakes_what_is_due_earlier_for_the_same_subject_whichever_timer_it_is_of() -> None:
    breach, other, rung = firing("clock", 1, 100), firing("clock", 2, 90), firing("rung", 1, 30)
    assert first_of_each([[other, breach], [rung]], 500) == [rung, other]
    assert first_of_each([[breach]], 500) == [breach]
    together = [firing("clock", 1, 30), rung]
    assert first_of_each([together[:1], together[1:]], 500) == together


def test_nothing_fires_about_what_is_held_whatever_is_due_for_it() -> None:
    breach, other, rung = firing("clock", 1, 100), firing("clock", 2, 90), firing("rung", 1, 30)
    assert first_of_each([[other, breach], [rung]], 500, held={rung.about}) == [other]


def test_nothing_is_fired_beyond_what_is_known_of_a_timer_with_more_rows() -> None:
    full = [firing("rung", number, number) for number in range(3)]
    late, early = firing("clock", 7, 60), firing("clock", 8, 1)
    fired = first_of_each([[early, late], full], 3)
    assert late not in fired
    assert {early, *full} == set(fired)


def test_a_row_fires_once_and_confirmed_if_it_may() -> None:
    sure, unsure = firing("clock", 1, 5), firing("clock", 1, 5, confirmed=False)
    assert first_of_each([[sure], [unsure]], 500) == [sure]


def test_many_subjects_with_instants_of_their_own_fire_in_one_step() -> None:
    rows = [firing("clock", number, number) for number in range(500)]
    assert first_of_each([rows], 501) == rows
