"""The event time of an import: it only moves forward, and only after its facts reached their cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from libs.events.contracts.tasks import TimelineAdvanced
from libs.events.deciding import Asked, Decider
from libs.events.entries import Fact
from services.tasks.commands import AdvanceTimeline


@dataclass(frozen=True, slots=True)
class Timeline:
    up_to: datetime | None = None


def evolve(state: Timeline, fact: TimelineAdvanced) -> Timeline:
    match fact:
        case TimelineAdvanced():
            return Timeline(fact.up_to)
        case _:
            assert_never(fact)


def advance_timeline(state: Timeline, command: AdvanceTimeline, asked: Asked) -> Sequence[Fact]:
    if state.up_to is not None and command.up_to <= state.up_to:
        return []
    return [TimelineAdvanced(command.source, command.up_to)]


TIMELINE = Decider("timeline", Timeline(), evolve)
