"""Watermarks of imports on their way through: a timer passes each on once the requests before it became cases."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.events.contracts.gateway import SourceAdvanced
from libs.events.contracts.tasks import TimelineAdvanced
from libs.events.entries import Entry
from libs.events.views import View, on


class Passing(msgspec.Struct, frozen=True):
    """`up_to`: where the source is; `passed`: what was passed on. `due_at`: when the source said so, None: all passed.

    `timeline` is "": the passing itself happens on the domain clock.
    """

    source: str
    up_to: datetime
    passed: datetime | None
    due_at: datetime | None
    stream_version: int
    timeline: str = ""


def _advanced(row: Passing | None, fact: SourceAdvanced, entry: Entry) -> Passing:
    if row is None:
        return Passing(fact.source, fact.up_to, None, entry.recorded_at, 0)
    if fact.up_to <= row.up_to:
        return row
    return msgspec.structs.replace(row, up_to=fact.up_to, due_at=entry.recorded_at)


def _passed(row: Passing | None, fact: TimelineAdvanced, entry: Entry) -> Passing | None:
    """A watermark that was heard in the meantime is still to be passed on."""
    if row is None:
        return None
    due_at = row.due_at if row.up_to > fact.up_to else None
    return msgspec.structs.replace(row, passed=fact.up_to, due_at=due_at, stream_version=entry.version)


PASSING = View(
    name="passing",
    version=2,
    row=Passing,
    key=("source",),
    folds=(
        on(SourceAdvanced, _advanced, lambda fact, entry: (fact.source,)),
        on(TimelineAdvanced, _passed, lambda fact, entry: (fact.source,)),
    ),
)
