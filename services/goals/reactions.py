"""What goals does when a limit was met or broken: it measures the KPIs that count this."""

from __future__ import annotations

from collections.abc import Iterable

from libs.events.deciding import Command
from libs.events.entries import Entry, Fact
from libs.events.reactions import Reaction
from libs.events.views import Look
from services.goals.commands import MeasureKpi
from services.goals.domain.measures import FACTS, samples
from services.goals.views.goals import GOALS
from services.goals.views.kpis import KPIS


def measure(fact: Fact, entry: Entry, look: Look) -> Iterable[Command]:
    """A sample counts inside its goal's period."""
    for name, sample in samples(fact):
        for kpi in look.rows(KPIS, measure=name):
            goal = look.row(GOALS, kpi.goal)
            if goal is not None and goal.start <= sample.at < goal.end:
                yield MeasureKpi(
                    kpi=kpi.kpi, case_id=entry.subject, about=sample.about, evidence=entry.id, hit=sample.hit
                )


REACTIONS = (Reaction("measure", FACTS, measure),)
