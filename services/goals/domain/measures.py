"""How KPIs are measured: named functions from a fact to samples; a KPI chooses one by `name:parameter`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from libs.events.contracts.sla import SlaBreached, SlaMet
from libs.events.entries import Fact

FACTS: tuple[type[Fact], ...] = (SlaMet, SlaBreached)
HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Sample:
    """`about` (a clock) was in order or not; `at` says in which period it counts."""

    about: UUID
    hit: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Measure:
    """`samples` of a fact, by parameter. `parameter`: the form of the parameter; `unit`: of the value."""

    samples: Callable[[Fact], Iterable[tuple[str, Sample]]]
    parameter: re.Pattern[str]
    unit: str


def clock_met(fact: Fact) -> Iterable[tuple[str, Sample]]:
    """Parameter `template/step`, or `template/*`. A clock counts when it was due, once: what is broken stays a miss."""
    if not isinstance(fact, SlaMet | SlaBreached):
        return
    sample = Sample(fact.clock, isinstance(fact, SlaMet), fact.due_at)
    yield f"{fact.template}/{fact.step}", sample
    yield f"{fact.template}/*", sample


MEASURES: Mapping[str, Measure] = {
    "clock-met": Measure(clock_met, re.compile(r"[^/\s]+/[^/\s]+"), unit="%"),
}


def samples(fact: Fact) -> Iterable[tuple[str, Sample]]:
    """(measure with its parameter, sample) for everything that this fact shows."""
    for name, measure in MEASURES.items():
        for parameter, sample in measure.samples(fact):
            yield f"{name}:{parameter}", sample


def share_of(hits: int, misses: int) -> Decimal:
    """The hits among all samples, in percent, to the hundredth."""
    return (Decimal(100 * hits) / (hits + misses)).quantize(HUNDREDTH)
