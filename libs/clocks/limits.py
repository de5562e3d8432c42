"""Limits: from a start, an allowance and a calendar to the instants of warning and of being due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


def round_the_clock(start: datetime, allowance: timedelta) -> datetime:
    """Every second counts, nights and holidays too."""
    return start + allowance


# Policies choose one of these by name; each takes (start, counted time) to the instant when that time is used up.
CALENDARS: Mapping[str, Callable[[datetime, timedelta], datetime]] = {"round-the-clock": round_the_clock}


@dataclass(frozen=True, slots=True)
class Limit:
    """`limit_min` minutes of the calendar's time; `warn_percent` of them until the warning, None: no warning."""

    limit_min: int
    warn_percent: int | None = None
    calendar: str = "round-the-clock"


@dataclass(frozen=True, slots=True)
class Instants:
    """When a clock warns (None: never) and when it is due."""

    warn_at: datetime | None
    due_at: datetime


def instants(limit: Limit, start: datetime) -> Instants:
    """The instants of a clock that starts at `start` under this limit."""
    count = CALENDARS[limit.calendar]
    allowance = timedelta(minutes=limit.limit_min)
    warn_at = None if limit.warn_percent is None else count(start, allowance * limit.warn_percent / 100)
    return Instants(warn_at, count(start, allowance))


def instants_until(target_at: datetime, start: datetime, warn_percent: int | None = None) -> Instants:
    """The instants of a clock whose due instant was promised; one that was due before its start never warns."""
    if warn_percent is None or target_at <= start:
        return Instants(None, target_at)
    return Instants(start + (target_at - start) * warn_percent / 100, target_at)
