"""Lengths as people say them."""

from __future__ import annotations

import pytest

from libs.clocks import length


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "0 s"),
        (0.746601, "45 s"),
        (7.88954, "7.9 min"),
        (119, "119 min"),
        (120, "2 h"),
        (200.4, "3 h 20 min"),
        (4320, "3 d"),
        (4385, "3 d 1 h 5 min"),
    ],
)
def test_a_time_is_told_as_exactly_as_people_read_it_and_a_long_one_in_hours_and_days(
    minutes: float, said: str
) -> None:
    assert " ".join(f"{amount:g} {unit}" for amount, unit in length(minutes)) == said
