"""How far the event time of every import's source has come: what clocks of its cases run on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.events.contracts.tasks import TimelineAdvanced
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Timeline:
    """`recorded_at`: when tasks said so; everything that it knew of up to `up_to` was recorded before."""

    source: str
    up_to: datetime
    recorded_at: datetime


def _advanced(row: Timeline | None, fact: TimelineAdvanced, entry: Entry) -> Timeline:
    if row is not None and row.up_to >= fact.up_to:
        return row
    return Timeline(fact.source, fact.up_to, entry.recorded_at)


TIMELINES = View(
    name="timelines",
    version=1,
    row=Timeline,
    key=("source",),
    folds=(on(TimelineAdvanced, _advanced, lambda fact, entry: (fact.source,)),),
)
