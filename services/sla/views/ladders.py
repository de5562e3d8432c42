"""Who is asked after whom: every version of every ladder, for an escalation keeps the one that it began with."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.contracts.sla import LadderPublished, Rung
from libs.events.entries import Entry
from libs.events.views import Look, View, on


@dataclass(frozen=True, slots=True)
class Ladder:
    ladder: str
    version: int
    starts: str
    rungs: tuple[Rung, ...]


def _published(row: Ladder | None, fact: LadderPublished, entry: Entry) -> Ladder:
    return Ladder(fact.ladder, fact.version, fact.starts, fact.rungs)


LADDERS = View(
    name="ladders",
    version=2,
    row=Ladder,
    key=("ladder", "version"),
    folds=(on(LadderPublished, _published, lambda fact, entry: ((fact.ladder, fact.version),)),),
)


def newest_ladder(look: Look, ladder: str) -> Ladder | None:
    """The ladder as it is published now, None where there is no such ladder."""
    return max(look.rows(LADDERS, ladder=ladder), key=lambda row: row.version, default=None)
