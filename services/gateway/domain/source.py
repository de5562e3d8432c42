"""A source's event-time watermark: it only rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.events.contracts.gateway import SourceAdvanced
from libs.events.deciding import Asked, Decider, Handle
from services.gateway.commands import AdvanceSource


@dataclass(frozen=True, slots=True)
class Source:
    up_to: datetime | None = None


def evolve(state: Source, fact: SourceAdvanced) -> Source:
    return Source(fact.up_to)


def advance(state: Source, command: AdvanceSource, asked: Asked) -> Sequence[SourceAdvanced]:
    # A promise that reaches less far than an earlier one says nothing new.
    if state.up_to is not None and command.up_to <= state.up_to:
        return []
    return [SourceAdvanced(command.source, command.up_to)]


SOURCE = Decider("source", Source(), evolve)
HANDLES = (Handle(AdvanceSource, SOURCE, advance, key=lambda command: command.source_id),)
