"""What sla says: clocks, warnings, breaches, and the ladder that a breach or a conflict climbs.

Subject: the case; of a policy or a ladder: itself.
"""

from __future__ import annotations

from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact, Instant


class PolicyPublished(Fact, frozen=True):
    """A time limit of a step; `category` and `priority` narrow it down (None: any). Running clocks keep their version.

    `limit_min` and `calendar` give the due instant, `warn_percent` of the limit the warning (None: no warning).
    `ladder` is climbed when the limit is broken or a conflict opens, as the ladder says (None: nobody is asked).
    """

    policy: str
    version: int
    template: str
    step: str
    limit_min: int
    category: str | None = None
    priority: str | None = None
    warn_percent: int | None = None
    calendar: str = "round-the-clock"
    ladder: str | None = None


class Rung(Fact, frozen=True):
    """`asks` names who is asked; `answer_min`: how long they have before the next rung is, None at the top.

    `name_zh`: what the rung is called in Chinese, "" where nobody said it.
    """

    name: str
    asks: str
    answer_min: int | None = None
    name_zh: str = ""


class LadderPublished(Fact, frozen=True):
    """Who is asked after whom. `starts`: breach or conflict."""

    ladder: str
    version: int
    starts: str
    rungs: tuple[Rung, ...]


class Leg(Fact, frozen=True):
    """Who had the case from `start` until `end`. `state`: offered, unruled or holding (unruled: no department)."""

    state: str
    department: str | None
    start: Instant
    end: Instant


class ClockStarted(Fact, frozen=True):
    """`clock` is named by case and step. `policy` and `policy_version` say by which rule; instants are UTC."""

    clock: UUID
    case_id: UUID
    step: str
    policy: str
    policy_version: int
    started_at: Instant
    warn_at: Instant | None
    due_at: Instant
    timeline: str = ""
    template: str = ""
    ladder: str | None = None


class SlaWarned(Fact, frozen=True):
    """The warning instant passed and the step is not done. Never said of an import's past."""

    clock: UUID
    step: str
    due_at: Instant


class SlaBreached(Fact, frozen=True):
    """The due instant passed. `legs`: who had the case until then. `unconfirmed`: a source was silent for the grace.

    Occurs at the due instant, also where the step was late already when the breach became certain.
    """

    clock: UUID
    step: str
    policy: str
    due_at: Instant
    legs: tuple[Leg, ...]
    unconfirmed: bool = False
    template: str = ""
    timeline: str = ""


class BreachWithdrawn(Fact, frozen=True):
    """The breach was not one: the step was done in time, at `stopped_at`, but that was heard too late."""

    clock: UUID
    step: str
    policy: str
    due_at: Instant
    stopped_at: Instant
    timeline: str = ""


class SlaMet(Fact, frozen=True):
    """Stopped at `stopped_at`, in time."""

    clock: UUID
    step: str
    policy: str
    due_at: Instant
    stopped_at: Instant
    template: str = ""
    timeline: str = ""


class ClockStopped(Fact, frozen=True):
    """Stopped `late_s` seconds after the due instant."""

    clock: UUID
    step: str
    stopped_at: Instant
    late_s: int


class EscalationRaised(Fact, frozen=True):
    """A rung of the ladder is asked. `asked`: people. `answer_by`: when the next rung is asked, None at the top.

    `departments`: whom the matter concerns. The ladder keeps the version with which its first rung was asked.
    `rung_zh`: the rung's name in Chinese, "" where the ladder has none.
    """

    ladder: str
    level: int
    rung: str
    asked: tuple[str, ...]
    answer_by: Instant | None
    because: str
    ladder_version: int = 1
    departments: tuple[str, ...] = ()
    rung_zh: str = ""


class EscalationEnded(Fact, frozen=True):
    """Nobody need answer any more. `outcome`: ruled, accepted or closed; `level`: the rung that was asked last."""

    ladder: str
    level: int
    outcome: str


CONTRACT = Contract(
    "sla",
    (
        Kind("PolicyPublished", 1, PolicyPublished),
        Kind("LadderPublished", 1, LadderPublished),
        Kind("ClockStarted", 1, ClockStarted),
        Kind("SlaWarned", 1, SlaWarned),
        Kind("SlaBreached", 1, SlaBreached),
        Kind("BreachWithdrawn", 1, BreachWithdrawn),
        Kind("SlaMet", 1, SlaMet),
        Kind("ClockStopped", 1, ClockStopped),
        Kind("EscalationRaised", 1, EscalationRaised),
        Kind("EscalationEnded", 1, EscalationEnded),
    ),
)
