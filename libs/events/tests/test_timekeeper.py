"""When a timer may fire: the pure parts of the timekeeper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.events.tests.errands import REMINDERS, SERVICE, Reminder
from libs.events.timekeeper import DueRow, Mark, Marks, _command_id

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
        return _command_id("errands", SERVICE.timers[0], DueRow("main", (row.errand,), row))

    assert REMINDERS is SERVICE.timers[0].view
    assert asked(1) == asked(1)
    assert asked(1) != asked(2)
