"""Limits: warning and due instants."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.clocks import CALENDARS, Instants, Limit, instants, instants_until
from libs.events.testing import instant

START = instant("2026-11-02T09:40+08:00")


def test_two_hours_warn_at_four_fifths_and_are_due_at_their_end() -> None:
    assert instants(Limit(120, 80), START) == Instants(
        instant("2026-11-02T11:16+08:00"), instant("2026-11-02T11:40+08:00")
    )


def test_a_limit_without_a_percentage_never_warns() -> None:
    assert instants(Limit(60), START).warn_at is None


def test_a_promised_instant_is_the_due_instant() -> None:
    target = instant("2026-11-02T19:40+08:00")
    assert instants_until(target, START) == Instants(None, target)
    assert instants_until(target, START, 50) == Instants(instant("2026-11-02T14:40+08:00"), target)


def test_what_was_due_before_it_began_never_warns() -> None:
    assert instants_until(START - timedelta(days=1), START, 80) == Instants(None, START - timedelta(days=1))


@given(st.integers(1, 10**6), st.integers(1, 99), st.sampled_from(sorted(CALENDARS)))
def test_the_warning_comes_after_the_start_and_before_the_due_instant(minutes: int, percent: int, name: str) -> None:
    found = instants(Limit(minutes, percent, name), START)
    assert found.warn_at is not None
    assert START < found.warn_at < found.due_at
