"""Legs: who had a case from when to when, from the facts by which it changes hands.

The sender holds a case until somebody accepts it; while it is offered, the leg counts for the receiver, and from an
open conflict until its ruling for nobody. Legs tile their interval: no gap, no overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.events.contracts.sla import Leg
from libs.events.contracts.tasks import (
    CaseClosed,
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    ConflictRuled,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
)
from libs.events.entries import Fact

TURNS: tuple[type[Fact], ...] = (
    CaseOpened,
    CaseRouted,
    HandoffOffered,
    HandoffAccepted,
    HandoffRejected,
    ConflictOpened,
    ConflictRuled,
    SolutionGiven,
    CaseClosed,
)
ENDS = ("solved", "closed")
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A moment at which a case may change hands. `what`: opened, routed, offered, accepted, rejected, unruled, ruled,
    solved or closed; `department`: who it is about, where that matters.
    """

    at: datetime
    what: str
    department: str | None = None


@dataclass(frozen=True, slots=True)
class _Hands:
    """Who has the case now (`state`, `department`), and who holds it until somebody accepts."""

    state: str
    department: str | None
    holder: str | None
    is_new: bool = True


def turn_of(fact: Fact, at: datetime) -> Turn | None:
    """The turn that this fact is, None for a fact by which nothing changes hands."""
    match fact:
        case CaseOpened(holder=holder):
            return Turn(at, "opened", holder)
        case CaseRouted(department=department):
            return Turn(at, "routed", department)
        case HandoffOffered(receiver=receiver):
            return Turn(at, "offered", receiver)
        case HandoffAccepted(receiver=receiver):
            return Turn(at, "accepted", receiver)
        case HandoffRejected(receiver=receiver):
            return Turn(at, "rejected", receiver)
        case ConflictOpened():
            return Turn(at, "unruled")
        case ConflictRuled(responsible=responsible):
            return Turn(at, "ruled", responsible)
        case SolutionGiven(department=department):
            return Turn(at, "solved", department)
        case CaseClosed():
            return Turn(at, "closed")
        case _:
            return None


def legs(turns: Iterable[Turn], start: datetime, end: datetime) -> tuple[Leg, ...]:
    """The legs that tile [`start`, `end`); from the first turn on where that comes later than `start`."""
    found: list[Leg] = []
    hands = _Hands("", None, None)
    since = start
    for turn in sorted(turns, key=lambda turn: turn.at):
        if turn.at >= end:
            break
        after = _turned(hands, turn)
        if after.is_new:
            _close(found, hands, since, turn.at)
            since = max(start, turn.at)
        hands = after
    _close(found, hands, since, end)
    return tuple(found)


def case_legs(turns: Sequence[Turn], now: datetime) -> tuple[Leg, ...]:
    """The legs of a case from its routing to its solution (its close, or `now`, where there is none yet)."""
    routed = min((turn.at for turn in turns if turn.what == "routed"), default=None)
    if routed is None:
        return ()
    end = min((turn.at for turn in turns if turn.what in ENDS), default=now)
    return legs(turns, routed, min(end, now))


def legs_minutes(found: Iterable[Leg]) -> list[int | float]:
    """How long each leg took, in minutes; whole ones as whole numbers."""
    minutes = ((leg.end - leg.start) / MINUTE for leg in found)
    return [int(length) if length.is_integer() else length for length in minutes]


def _turned(hands: _Hands, turn: Turn) -> _Hands:
    match turn.what:
        case "opened" | "accepted":
            return _Hands("holding", turn.department, turn.department)
        case "offered":
            return _Hands("offered", turn.department, hands.holder)
        case "unruled":
            return _Hands("unruled", None, hands.holder)
        case "rejected" | "ruled":
            return _Hands("holding", hands.holder, hands.holder)
        case _:
            return _Hands(hands.state, hands.department, hands.holder, is_new=False)


def _close(found: list[Leg], hands: _Hands, since: datetime, until: datetime) -> None:
    if hands.state and until > since:
        found.append(Leg(hands.state, hands.department, since, until))
