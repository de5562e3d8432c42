"""notify's effects: each channel's deliveries, and the commands that put on record what came of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from libs.events.effects import Effect, NotSent
from services.notify.channels.mail import Email
from services.notify.channels.outside import Outside
from services.notify.channels.webhook import Gone, Webhooks
from services.notify.commands import (
    EMAIL,
    WEBHOOK,
    BeginAttempt,
    NoteArrival,
    NoteFailure,
    NoteUnknown,
)
from services.notify.domain.letter import Letter, is_wanted, letter_of
from services.notify.views.deliveries import DELIVERIES, Delivery

EMAIL_WITHIN_S = 60.0
WEBHOOK_WITHIN_S = 30.0
EMAILS_AT_ONCE_MAX = 8
WEBHOOKS_AT_ONCE_MAX = 64
"""Many, so that a few receivers that answer slowly do not hold up all others."""
Send = Callable[[Letter, str], Awaitable[str]]


def effects(outside: Callable[[], Outside]) -> tuple[Effect, ...]:
    return (
        _effect(EMAIL, Email(outside).send, EMAIL_WITHIN_S, EMAILS_AT_ONCE_MAX),
        _effect(WEBHOOK, Webhooks(outside).send, WEBHOOK_WITHIN_S, WEBHOOKS_AT_ONCE_MAX),
    )


def _effect(channel: str, send: Send, within_s: float, at_once_max: int) -> Effect:
    return Effect(
        name=channel,
        view=DELIVERIES[channel],
        send=send,
        start=_start,
        succeeded=_arrived,
        failed=_failed,
        unknown=_unknown,
        wanted=is_wanted,
        content=letter_of,
        deadline_s=within_s,
        at_once_max=at_once_max,
        unknown_state="unknown",
    )


def _start(row: Delivery, deadline: datetime) -> BeginAttempt:
    return BeginAttempt(delivery=row.delivery, case_id=row.case_id, attempt=row.attempt, deadline=deadline)


def _arrived(row: Delivery, said: str) -> NoteArrival:
    return NoteArrival(delivery=row.delivery, case_id=row.case_id, attempt=row.attempt, receipt=said)


def _failed(row: Delivery, error: NotSent) -> NoteFailure:
    return NoteFailure(
        delivery=row.delivery,
        case_id=row.case_id,
        attempt=row.attempt,
        reason=error.reason,
        final=error.final,
        gone=error.choice if isinstance(error, Gone) else None,
    )


def _unknown(row: Delivery, reason: str) -> NoteUnknown:
    return NoteUnknown(delivery=row.delivery, case_id=row.case_id, attempt=row.attempt, reason=reason)
