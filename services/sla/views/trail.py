"""The turns of a case, one a row: from them the legs that a breach names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.clocks import TURNS, Turn, turn_of
from libs.events.entries import Entry, Fact
from libs.events.views import Look, View, on


@dataclass(frozen=True, slots=True)
class Trail:
    """`number`: the version of the case's stream, so that turns of one instant keep their order."""

    case_id: UUID
    number: int
    at: datetime
    what: str
    department: str | None


def _turned(row: Trail | None, fact: Fact, entry: Entry) -> Trail | None:
    turn = turn_of(fact, entry.occurred_at)
    return None if turn is None else Trail(entry.subject, entry.version, turn.at, turn.what, turn.department)


TRAIL = View(
    name="trail",
    version=1,
    row=Trail,
    key=("case_id", "number"),
    folds=tuple(on(fact, _turned, lambda fact, entry: ((entry.subject, entry.version),)) for fact in TURNS),
)


def turns_of(look: Look, case_id: UUID) -> tuple[Turn, ...]:
    """Everything that turned this case, in its order."""
    return tuple(Turn(row.at, row.what, row.department) for row in look.rows(TRAIL, case_id=case_id))
