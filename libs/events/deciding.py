"""Deciding: a command, the state of one stream, and a pure function that returns facts or refuses.

    state = fold of the stream's facts;   facts = decide(state, command, asked)

No clock, id, randomness or I/O in here: whatever a decision needs arrives with the command or is read from views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from libs.events.entries import Fact
from libs.events.views import Look


class Command(BaseModel):
    """What may be asked of a service. Imperative name, immutable; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Asked:
    """The circumstances of a command: who asks (`actor`: a person's id, or `service/reaction`), when, for which tenant.

    `at` is the instant in the world (the domain clock's now, the cause's instant for a reaction, the due instant for a
    timer, or the historical instant that an import carries). `views` are this service's read models. `confirmed` is
    False when a timer fired although a source had been silent for longer than the timer's grace.
    """

    tenant: str
    actor: str
    at: datetime
    views: Look
    confirmed: bool = True


S = TypeVar("S")
F = TypeVar("F", bound=Fact)
C = TypeVar("C", bound=Command)


class _Evolve(Protocol[S]):
    def __call__(self, state: S, fact: Any, /) -> S: ...


@dataclass(frozen=True, slots=True)
class Decider(Generic[S]):
    """One kind of aggregate: `category` names its streams, `initial` is the state of an empty one."""

    category: str
    initial: S
    evolve: _Evolve[S]


@dataclass(frozen=True, slots=True)
class Handle(Generic[S, C]):
    """How one command is handled: which aggregate, which of its streams (`key`), which case it belongs to (`subject`).

    `key` returns the aggregate's id; the stream id also holds tenant, owner and category. `subject` defaults to it.
    """

    command: type[C]
    decider: Decider[S]
    decide: Callable[[S, C, Asked], Sequence[Fact]]
    key: Callable[[C], UUID]
    subject: Callable[[C], UUID] | None = None
