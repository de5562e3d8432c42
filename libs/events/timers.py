"""Timers: a row of a view that is due. The runner asks the row's command at the stream version it was folded from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from libs.events.deciding import Command
from libs.events.views import View


@dataclass(frozen=True, slots=True)
class Timer:
    """Rows of `view` with a `due_at` (UTC, None: not waiting) fire `command(row)` once their due instant has passed.

    The row class has the columns `due_at: datetime | None`, `stream_version: int` (of the aggregate the command is
    for) and `timeline: str` ("" for the domain clock, else the source whose event-time watermark it runs on).
    `sources`: owners whose announced heads must have passed the due instant first, so that no fact from before it is
    still on its way; after `grace_s` of silence it fires unconfirmed (None: it waits for ever). `timelines`: the view
    of event-time watermarks for rows with a timeline; its rows have `source`, `up_to` and `recorded_at`.
    """

    name: str
    view: View[Any]
    command: Callable[[Any], Command]
    sources: tuple[str, ...]
    timelines: View[Any] | None = None
    grace_s: float | None = 30.0
