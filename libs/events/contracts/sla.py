"""What sla says: clocks, warnings, breaches, and the ladder that a breach or a conflict climbs. Subject: the case."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact


class Leg(Fact, frozen=True):
    """Who had the case from `start` until `end`. `state`: offered, unruled or holding (unruled: no department)."""

    state: str
    department: str | None
    start: datetime
    end: datetime


class ClockStarted(Fact, frozen=True):
    """`clock` is named by case and step. `policy` and `policy_version` say by which rule; instants are UTC."""

    clock: UUID
    case_id: UUID
    step: str
    policy: str
    policy_version: int
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    timeline: str = ""


class SlaWarned(Fact, frozen=True):
    clock: UUID
    step: str
    due_at: datetime


class SlaBreached(Fact, frozen=True):
    """The due instant passed. `legs`: who had the case until then. `unconfirmed`: a source was silent for the grace."""

    clock: UUID
    step: str
    policy: str
    due_at: datetime
    legs: tuple[Leg, ...]
    unconfirmed: bool = False


class SlaMet(Fact, frozen=True):
    """Stopped at `stopped_at`, in time."""

    clock: UUID
    step: str
    policy: str
    due_at: datetime
    stopped_at: datetime


class ClockStopped(Fact, frozen=True):
    """Stopped after its breach, `late_s` seconds late."""

    clock: UUID
    step: str
    stopped_at: datetime
    late_s: int


class EscalationRaised(Fact, frozen=True):
    """A rung of the ladder is asked. `asked`: people. `answer_by`: when the next rung is asked, None at the top."""

    ladder: str
    level: int
    rung: str
    asked: tuple[str, ...]
    answer_by: datetime | None
    because: str


class EscalationEnded(Fact, frozen=True):
    ladder: str
    level: int
    outcome: str


CONTRACT = Contract(
    "sla",
    (
        Kind("ClockStarted", 1, ClockStarted),
        Kind("SlaWarned", 1, SlaWarned),
        Kind("SlaBreached", 1, SlaBreached),
        Kind("SlaMet", 1, SlaMet),
        Kind("ClockStopped", 1, ClockStopped),
        Kind("EscalationRaised", 1, EscalationRaised),
        Kind("EscalationEnded", 1, EscalationEnded),
    ),
)
