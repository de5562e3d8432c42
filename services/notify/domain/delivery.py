"""A delivery: one message by one channel. When it is tried again, when it is given up, and what follows an unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never
from uuid import UUID

from libs.events.contracts.notify import (
    DeliveryArrived,
    DeliveryAttempted,
    DeliveryFailed,
    DeliveryPlanned,
    DeliveryRepeated,
    DeliveryUnknown,
)
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from services.notify.commands import (
    EMAIL,
    WEBHOOK,
    BeginAttempt,
    NoteArrival,
    NoteFailure,
    NoteUnknown,
    OfDelivery,
    PlanDelivery,
    RepeatDelivery,
)

ATTEMPTS_MAX = 50
"""Of one delivery, those that people asked for included."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`waits_s`: seconds after each failed attempt until the next one; after the last there is none.

    `unknown_again`: whether an attempt of which nobody knows is followed by another. A receiver of webhooks knows a
    double by its id; a reader of e-mail would see it.
    """

    waits_s: tuple[int, ...]
    unknown_again: bool


MINUTE = 60
HOUR = 60 * MINUTE
POLICIES: Mapping[str, Policy] = {
    EMAIL: Policy((MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR), unknown_again=False),
    WEBHOOK: Policy((5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR), unknown_again=True),
}
DeliveryFact = (
    DeliveryPlanned | DeliveryAttempted | DeliveryArrived | DeliveryFailed | DeliveryUnknown | DeliveryRepeated
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """`due`: an attempt may begin. `last`: what came of the last one, "" while it is under way or before the first."""

    channel: str | None = None
    attempt: int = 0
    due: bool = False
    last: Literal["", "arrived", "failed", "unknown"] = ""


def evolve(state: Delivery, fact: DeliveryFact) -> Delivery:
    match fact:
        case DeliveryPlanned():
            return Delivery(fact.channel, due=True)
        case DeliveryAttempted():
            return replace(state, attempt=fact.attempt, due=False, last="")
        case DeliveryArrived():
            return replace(state, due=False, last="arrived")
        case DeliveryFailed():
            return replace(state, due=fact.next_at is not None, last="failed")
        case DeliveryUnknown():
            return replace(state, due=fact.next_at is not None, last="unknown")
        case DeliveryRepeated():
            return replace(state, due=True)
        case _:
            assert_never(fact)


def plan(state: Delivery, command: PlanDelivery, asked: Asked) -> Sequence[Fact]:
    if state.channel is not None:
        return []
    return [DeliveryPlanned(command.delivery, command.message, command.to, command.channel)]


def begin(state: Delivery, command: BeginAttempt, asked: Asked) -> Sequence[Fact]:
    if not state.due or command.attempt != state.attempt + 1:
        return []
    return [DeliveryAttempted(command.delivery, command.attempt, command.deadline)]


def arrival(state: Delivery, command: NoteArrival, asked: Asked) -> Sequence[Fact]:
    """Also after it was thought unknown: that is what happened."""
    if not _open(state, command.attempt):
        return []
    return [DeliveryArrived(command.delivery, command.attempt, command.receipt)]


def failure(state: Delivery, command: NoteFailure, asked: Asked) -> Sequence[Fact]:
    if not _open(state, command.attempt):
        return []
    next_at = None if command.final else _next_at(state, asked.at)
    return [DeliveryFailed(command.delivery, command.attempt, command.reason, next_at, command.gone)]


def unknown(state: Delivery, command: NoteUnknown, asked: Asked) -> Sequence[Fact]:
    if not _open(state, command.attempt) or state.last:
        return []
    next_at = _next_at(state, asked.at) if _policy(state).unknown_again else None
    return [DeliveryUnknown(command.delivery, command.attempt, command.reason, next_at)]


def repeat(state: Delivery, command: RepeatDelivery, asked: Asked) -> Sequence[Fact]:
    if state.channel is None:
        raise no_such_delivery(command.delivery)
    if state.last not in ("failed", "unknown"):
        raise Refusal(
            "nothing-to-repeat",
            f"delivery {command.delivery} has arrived or is under way; only one that failed or is unknown is repeated",
            f"投递 {command.delivery} 已送达或正在进行，只有失败或结果未知的投递才能重发",
        )
    if state.attempt >= ATTEMPTS_MAX:
        raise Refusal(
            "too-many-attempts",
            f"delivery {command.delivery} was tried {state.attempt} times; tell the person in another way",
            f"投递 {command.delivery} 已尝试 {state.attempt} 次，请用其他方式通知",
        )
    return [DeliveryRepeated(command.delivery)]


def no_such_delivery(delivery: UUID) -> NotFound:
    return NotFound("unknown-delivery", f"there is no delivery {delivery}; see /v1/deliveries", f"没有投递 {delivery}")


def _open(state: Delivery, attempt: int) -> bool:
    """Whether it may still be said what came of this attempt."""
    return 0 < attempt == state.attempt and state.last in ("", "unknown")


def _policy(state: Delivery) -> Policy:
    assert state.channel is not None, "an attempt follows a plan"
    return POLICIES[state.channel]


def _next_at(state: Delivery, at: datetime) -> datetime | None:
    waits_s = _policy(state).waits_s
    return at + timedelta(seconds=waits_s[state.attempt - 1]) if state.attempt <= len(waits_s) else None


def _key(command: OfDelivery) -> UUID:
    return command.delivery


def _case(command: OfDelivery) -> UUID:
    return command.case_id


DELIVERY = Decider("delivery", Delivery(), evolve)
COMMANDS = (
    Handle(PlanDelivery, DELIVERY, plan, key=_key, subject=_case),
    Handle(BeginAttempt, DELIVERY, begin, key=_key, subject=_case),
    Handle(NoteArrival, DELIVERY, arrival, key=_key, subject=_case),
    Handle(NoteFailure, DELIVERY, failure, key=_key, subject=_case),
    Handle(NoteUnknown, DELIVERY, unknown, key=_key, subject=_case),
    Handle(RepeatDelivery, DELIVERY, repeat, key=_key, subject=_case),
)
