"""The errands service, which now also writes postcards: the least that can be sent into the world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

import msgspec

from libs.events.contract import Contract, Kind
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.effects import Effect, NotSent
from libs.events.entries import Entry, Fact
from libs.events.service import Service
from libs.events.tests import errands
from libs.events.tests.errands import SERVICE
from libs.events.views import Look, View, on

ATTEMPTS_MAX = 3
BACKOFF_S = 0.3


class PostcardWritten(Fact, frozen=True):
    to: str


class PostcardTaken(Fact, frozen=True):
    """An attempt has begun."""

    attempt: int
    deadline: datetime


class PostcardArrived(Fact, frozen=True):
    attempt: int
    receipt: str


class PostcardReturned(Fact, frozen=True):
    """`next_at`: of another attempt; None: it is given up."""

    attempt: int
    reason: str
    next_at: datetime | None


class PostcardLost(Fact, frozen=True):
    """Nobody knows whether it arrived."""

    attempt: int
    reason: str


class PostcardRecalled(Fact, frozen=True):
    pass


Written = (PostcardWritten, PostcardTaken, PostcardArrived, PostcardReturned, PostcardLost, PostcardRecalled)
PostcardFact = PostcardWritten | PostcardTaken | PostcardArrived | PostcardReturned | PostcardLost | PostcardRecalled


@dataclass(frozen=True, slots=True)
class Postcard:
    """`state`: "" (not written), waiting, taken, arrived, returned, lost or recalled."""

    state: str = ""
    attempt: int = 0


def evolve(state: Postcard, fact: PostcardFact) -> Postcard:
    match fact:
        case PostcardWritten():
            return Postcard("waiting")
        case PostcardTaken():
            return Postcard("taken", fact.attempt)
        case PostcardArrived():
            return replace(state, state="arrived")
        case PostcardReturned():
            return replace(state, state="returned" if fact.next_at is None else "waiting")
        case PostcardLost():
            return replace(state, state="lost")
        case PostcardRecalled():
            return replace(state, state="recalled")
    assert_never(fact)


class WritePostcard(Command):
    postcard: UUID
    to: str


class TakePostcard(Command):
    postcard: UUID
    attempt: int
    deadline: datetime


class NoteArrival(Command):
    postcard: UUID
    attempt: int
    receipt: str


class NoteReturn(Command):
    postcard: UUID
    attempt: int
    reason: str
    final: bool


class NoteLoss(Command):
    postcard: UUID
    attempt: int
    reason: str


class RecallPostcard(Command):
    postcard: UUID


def write(state: Postcard, command: WritePostcard, asked: Asked) -> list[Fact]:
    return [] if state.state else [PostcardWritten(command.to)]


def take(state: Postcard, command: TakePostcard, asked: Asked) -> list[Fact]:
    due = state.state == "waiting" and command.attempt == state.attempt + 1
    return [PostcardTaken(command.attempt, command.deadline)] if due else []


def arrival(state: Postcard, command: NoteArrival, asked: Asked) -> list[Fact]:
    """Also after it was thought lost or was recalled: that is what happened."""
    open_ = state.state in ("taken", "lost", "recalled") and command.attempt == state.attempt
    return [PostcardArrived(command.attempt, command.receipt)] if open_ else []


def returned(state: Postcard, command: NoteReturn, asked: Asked) -> list[Fact]:
    if state.state not in ("taken", "recalled") or command.attempt != state.attempt:
        return []
    over = command.final or command.attempt >= ATTEMPTS_MAX
    next_at = None if over else asked.at + timedelta(seconds=BACKOFF_S * 2 ** (command.attempt - 1))
    return [PostcardReturned(command.attempt, command.reason, next_at)]


def loss(state: Postcard, command: NoteLoss, asked: Asked) -> list[Fact]:
    open_ = state.state in ("taken", "recalled") and command.attempt == state.attempt
    return [PostcardLost(command.attempt, command.reason)] if open_ else []


def recall(state: Postcard, command: RecallPostcard, asked: Asked) -> list[Fact]:
    return [PostcardRecalled()] if state.state in ("waiting", "taken") else []


class PostcardRow(Fact, frozen=True):
    postcard: UUID
    to: str
    state: str
    due_at: datetime | None
    deadline: datetime | None
    attempt: int
    stream_version: int
    said: str


def fold(row: PostcardRow | None, fact: Any, entry: Entry) -> PostcardRow | None:
    if isinstance(fact, PostcardWritten):
        return PostcardRow(entry.subject, fact.to, "waiting", entry.recorded_at, None, 1, entry.version, "")
    if row is None:
        return None
    now = msgspec.structs.replace(row, stream_version=entry.version)
    match fact:
        case PostcardTaken():
            return msgspec.structs.replace(now, state="taken", due_at=None, deadline=fact.deadline)
        case PostcardArrived():
            return msgspec.structs.replace(now, state="arrived", deadline=None, said=fact.receipt)
        case PostcardReturned(next_at=None):
            return msgspec.structs.replace(now, state="returned", deadline=None, said=fact.reason)
        case PostcardReturned():
            again = {"due_at": fact.next_at, "attempt": fact.attempt + 1}
            return msgspec.structs.replace(now, state="waiting", deadline=None, said=fact.reason, **again)
        case PostcardLost():
            return msgspec.structs.replace(now, state="lost", deadline=None, said=fact.reason)
        case _:
            return msgspec.structs.replace(now, state="recalled", due_at=None)


POSTCARDS: View[PostcardRow] = View(
    "postcards", 1, PostcardRow, ("postcard",), tuple(on(fact, fold) for fact in Written)
)


def not_recalled(row: PostcardRow, look: Look) -> bool:
    return row.state != "recalled"


def by_post(send: Callable[[PostcardRow, str], Awaitable[str]], *, deadline_s: float, at_once_max: int = 8) -> Effect:
    return Effect(
        name="post",
        view=POSTCARDS,
        send=send,
        start=lambda row, deadline: TakePostcard(postcard=row.postcard, attempt=row.attempt, deadline=deadline),
        succeeded=lambda row, said: NoteArrival(postcard=row.postcard, attempt=row.attempt, receipt=said),
        failed=lambda row, error: NoteReturn(
            postcard=row.postcard, attempt=row.attempt, reason=error.reason, final=error.final
        ),
        unknown=lambda row, reason: NoteLoss(postcard=row.postcard, attempt=row.attempt, reason=reason),
        wanted=not_recalled,
        deadline_s=deadline_s,
        at_once_max=at_once_max,
        unknown_state="lost",
    )


POSTCARD = Decider("postcard", Postcard(), evolve)


def with_postcards(effect: Effect) -> Service:
    """The errands service with this effect."""
    own = [kind for kind in SERVICE.contract.kinds.values() if kind.fact.__module__ == errands.__name__]
    return replace(
        SERVICE,
        contract=Contract("errands", (*own, *(Kind(fact.__name__, 1, fact) for fact in Written))),
        commands=(
            *SERVICE.commands,
            Handle(WritePostcard, POSTCARD, write, lambda c: c.postcard),
            Handle(TakePostcard, POSTCARD, take, lambda c: c.postcard),
            Handle(NoteArrival, POSTCARD, arrival, lambda c: c.postcard),
            Handle(NoteReturn, POSTCARD, returned, lambda c: c.postcard),
            Handle(NoteLoss, POSTCARD, loss, lambda c: c.postcard),
            Handle(RecallPostcard, POSTCARD, recall, lambda c: c.postcard),
        ),
        views=(*SERVICE.views, POSTCARDS),
        effects=(effect,),
    )


async def nobody(row: PostcardRow, key: str) -> str:
    """Pure tests act out what is sent."""
    raise NotSent("nothing is sent here")
