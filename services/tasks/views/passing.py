"""Watermarks of imports on their way through: a timer passes each on once the requests before it became cases."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from libs.events.contracts.gateway import SourceAdvanced
from libs.events.contracts.tasks import TimelineAdvanced
from libs.events.entries import Entry
from libs.events.views import View, on


class Passing(msgspec.Struct, frozen=True):
    """`newest`: where the source is, as it said at `said_at`; `passed`: what was passed on. `up_to`: what is to be
    passed on, said at `due_at`; None: all was.

    `timeline` is "": the passing itself happens on the domain clock.
    """

    source: str
    newest: datetime
    said_at: datetime
    passed: datetime | None
    up_to: datetime
    due_at: datetime | None
    stream_version: int
    timeline: str = ""


def _advanced(row: Passing | None, fact: SourceAdvanced, entry: Entry) -> Passing:
    """What is already to be passed on stays: put off for what is newer, it would wait for ever."""
    if row is None:
        return Passing(fact.source, fact.up_to, entry.recorded_at, None, fact.up_to, entry.recorded_at, 0)
    if fact.up_to <= row.newest:
        return row
    heard = replace(row, newest=fact.up_to, said_at=entry.recorded_at)
    return heard if row.due_at is not None else replace(heard, up_to=heard.newest, due_at=heard.said_at)


def _passed(row: Passing | None, fact: TimelineAdvanced, entry: Entry) -> Passing | None:
    """A watermark that was heard in the meantime is to be passed on next."""
    if row is None:
        return None
    due_at = row.said_at if row.newest > fact.up_to else None
    return replace(row, passed=fact.up_to, up_to=row.newest, due_at=due_at, stream_version=entry.version)


PASSING = View(
    name="passing",
    version=3,
    row=Passing,
    key=("source",),
    folds=(
        on(SourceAdvanced, _advanced, lambda fact, entry: (fact.source,)),
        on(TimelineAdvanced, _passed, lambda fact, entry: (fact.source,)),
    ),
)
