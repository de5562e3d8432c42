"""Instants at the doors: written out with their zone, never a number that could be meant otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.service.doors import Instant

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


@pytest.mark.parametrize(
    "text", ["2026", "1793590200", "20261102", "1e9", 1793590200, 0.5, "2026-11-02", "2026-11-02T11:30"]
)
def test_a_year_a_day_or_a_number_is_no_instant(text: object) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_python(text)


def test_an_instant_is_the_same_in_every_zone() -> None:
    there = INSTANT.validate_python("2026-11-02T11:30:00+08:00")
    assert there == INSTANT.validate_python("2026-11-02t03:30:00Z") == datetime(2026, 11, 2, 3, 30, tzinfo=UTC)
    assert there.tzinfo is UTC
