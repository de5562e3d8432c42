"""The history of one case: every fact about it in the order of its recording, and what follows from them.

tell(lines, moment) is the whole of it; the lines come from the ledger or straight from a journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.clocks import TURNS, Turn, case_legs, legs_minutes, turn_of
from libs.events.contract import Language
from libs.events.contracts import sla, tasks
from libs.events.contracts.sla import BreachWithdrawn, ClockStarted, Leg, SlaBreached
from libs.events.contracts.tasks import CaseClosed, CaseOpened, ConflictOpened, ConflictRuled, HandoffAccepted
from libs.events.entries import Fact
from libs.events.errors import ILLEGIBLE
from services.audit.views.ledger import LedgerRow

LANGUAGE = Language((tasks.CONTRACT, sla.CONTRACT))
REASONS = ("reason", "because", "rule", "policy", "note", "outcome")  # the fields in which facts say why
READ = LANGUAGE.types_of(
    (*TURNS, CaseOpened, CaseClosed, ConflictOpened, ConflictRuled, ClockStarted, SlaBreached, BreachWithdrawn)
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a history is about. `as_of`: what was on record then; `occurred_until`: what had happened by then.

    With `occurred_until`, holder and state follow the order in which things happened, as the legs always do.
    `now`: where the last leg of a case that is not over ends. `names` of actors by staff code.
    """

    now: datetime
    as_of: datetime | None = None
    occurred_until: datetime | None = None
    names: Mapping[str, str] | None = None


class Who(msgspec.Struct, frozen=True):
    """`name` is None for what a service does by itself (`tasks/open-case`) and for strangers."""

    actor: str
    name: str | None


class When(msgspec.Struct, frozen=True):
    occurred_at: datetime
    recorded_at: datetime
    noted_at: datetime


class What(msgspec.Struct, frozen=True):
    type: str
    schema_version: int
    data: Any


class Why(msgspec.Struct, frozen=True):
    """`cause`: the fact that this follows from, None for what a person asked; `reasons`: in the fact's own words."""

    cause: UUID | None
    cause_type: str | None
    command: UUID
    reasons: dict[str, str]


class Told(msgspec.Struct, frozen=True):
    """One fact. `on_what`: the position in its owner's journal at which the decider read its views."""

    id: UUID
    owner: str
    who: Who
    when: When
    what: What
    why: Why
    on_what: int | None


class LegTold(msgspec.Struct, frozen=True):
    state: str
    department: str | None
    start: datetime
    end: datetime
    minutes: int | float


class Breach(msgspec.Struct, frozen=True):
    """`policy_version`: with which the clock was started, None where nobody told of its start. `withdrawn`: it was
    learnt later that the step had ended in time.
    """

    id: UUID
    step: str
    policy: str
    policy_version: int | None
    due_at: datetime
    legs: tuple[LegTold, ...]
    withdrawn: bool
    unconfirmed: bool


class History(msgspec.Struct, frozen=True):
    """`holder`: the one department that holds the case at that moment, None before it was opened. `state`: received,
    open, conflict or closed; None while nothing was known of it.
    """

    holder: str | None
    state: str | None
    legs: tuple[LegTold, ...]
    legs_minutes: list[int | float]
    breaches: tuple[Breach, ...]
    entries: tuple[Told, ...]


def tell(lines: Iterable[LedgerRow], asked: Asked) -> History:
    """The history at that moment. Lines of other subjects must not be among them."""
    known = sorted(
        (line for line in lines if _in(line, asked)), key=lambda line: (line.recorded_at, line.owner, line.id)
    )
    facts = [
        (line, LANGUAGE.decode(line.type, line.schema_version, line.data.encode()))
        for line in known
        if line.type in READ
    ]
    legs = case_legs(_turns(facts), _end(known, facts, asked).astimezone(UTC))
    # Who asks what had happened gets the outcome of what happened last; else what was learnt last counts, as it did.
    told = facts if asked.occurred_until is None else sorted(facts, key=_as_happened)
    return History(
        holder=_holder(told),
        state=_state(told) if known else None,
        legs=_legs(legs),
        legs_minutes=legs_minutes(legs),
        breaches=_breaches(facts),
        entries=_entries(known, asked.names or {}),
    )


def _in(line: LedgerRow, asked: Asked) -> bool:
    on_record = asked.as_of is None or line.recorded_at <= asked.as_of
    return on_record and (asked.occurred_until is None or line.occurred_at <= asked.occurred_until)


def _as_happened(found: tuple[LedgerRow, Fact]) -> tuple[bool, datetime]:
    """An opening goes first: where its source tells only the day, it occurred at that day's end, after what was done on
    that day.
    """
    line, fact = found
    return not isinstance(fact, CaseOpened), line.occurred_at


def _turns(facts: Sequence[tuple[LedgerRow, Fact]]) -> list[Turn]:
    turns = (turn_of(fact, line.occurred_at) for line, fact in facts)
    return [turn for turn in turns if turn is not None]


def _end(known: Sequence[LedgerRow], facts: Sequence[tuple[LedgerRow, Fact]], asked: Asked) -> datetime:
    """Where the last leg of an open case ends: never later than now. An import ends with its last fact."""
    if asked.occurred_until is not None:
        return min(asked.occurred_until, asked.now)
    if any(isinstance(fact, CaseOpened) and fact.timeline for _, fact in facts):
        return max(line.occurred_at for line in known)
    return min(asked.as_of or asked.now, asked.now)


def _holder(facts: Sequence[tuple[LedgerRow, Fact]]) -> str | None:
    holder: str | None = None
    for _, fact in facts:
        match fact:
            case CaseOpened():
                holder = fact.holder
            case HandoffAccepted():
                holder = fact.receiver
            case _:
                pass
    return holder


def _state(facts: Sequence[tuple[LedgerRow, Fact]]) -> str:
    state = "received"
    for _, fact in facts:
        match fact:
            case CaseOpened() | ConflictRuled():
                state = "open"
            case ConflictOpened():
                state = "conflict"
            case CaseClosed():
                state = "closed"
            case _:
                pass
    return state


def _breaches(facts: Sequence[tuple[LedgerRow, Fact]]) -> tuple[Breach, ...]:
    withdrawn = {(fact.clock, fact.due_at) for _, fact in facts if isinstance(fact, BreachWithdrawn)}
    versions = {fact.clock: fact.policy_version for _, fact in facts if isinstance(fact, ClockStarted)}
    return tuple(
        Breach(
            id=line.id,
            step=fact.step,
            policy=fact.policy,
            policy_version=versions.get(fact.clock),
            due_at=fact.due_at,
            legs=_legs(fact.legs),
            withdrawn=(fact.clock, fact.due_at) in withdrawn,
            unconfirmed=fact.unconfirmed,
        )
        for line, fact in facts
        if isinstance(fact, SlaBreached)
    )


def _legs(legs: Sequence[Leg]) -> tuple[LegTold, ...]:
    minutes = legs_minutes(legs)
    return tuple(
        LegTold(leg.state, leg.department, leg.start, leg.end, m) for leg, m in zip(legs, minutes, strict=True)
    )


def _entries(known: Sequence[LedgerRow], names: Mapping[str, str]) -> tuple[Told, ...]:
    types = {line.id: line.type for line in known}
    return tuple(_told(line, types, names) for line in known)


def _told(line: LedgerRow, types: Mapping[UUID, str], names: Mapping[str, str]) -> Told:
    data = _data(line.data)
    cause = line.causation_id
    return Told(
        id=line.id,
        owner=line.owner,
        who=Who(line.actor, names.get(line.actor)),
        when=When(line.occurred_at, line.recorded_at, line.noted_at),
        what=What(line.type, line.schema_version, data),
        why=Why(cause, types.get(cause) if cause else None, line.command_id, _reasons(data)),
        on_what=line.basis,
    )


def _data(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except ILLEGIBLE:
        return text  # a fact that no contract here names may be anything; it is shown as it came


def _reasons(data: Any) -> dict[str, str]:
    if not isinstance(data, dict):
        return {}
    return {name: data[name] for name in REASONS if isinstance(data.get(name), str) and data[name]}
