"""A message: posted once, acknowledged once, by the person it went to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never
from uuid import UUID

from libs.events.contracts.notify import MessageAcknowledged, MessagePosted
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact
from libs.events.errors import Forbidden, NotFound
from services.notify.commands import AcknowledgeMessage, PostMessage
from services.notify.views.texts import newest_text

MessageFact = MessagePosted | MessageAcknowledged


@dataclass(frozen=True, slots=True)
class Message:
    to: str | None = None
    acknowledged: bool = False


def evolve(state: Message, fact: MessageFact) -> Message:
    match fact:
        case MessagePosted():
            return replace(state, to=fact.to)
        case MessageAcknowledged():
            return replace(state, acknowledged=True)
        case _:
            assert_never(fact)


def post(state: Message, command: PostMessage, asked: Asked) -> Sequence[Fact]:
    if state.to is not None:
        return []
    text = newest_text(asked.views, command.template)
    return [
        MessagePosted(
            message=command.message,
            to=command.to,
            template=command.template,
            params=command.params,
            because=command.because,
            cause=command.cause,
            case_id=command.case_id,
            template_version=0 if text is None else text.version,
        )
    ]


def acknowledge(state: Message, command: AcknowledgeMessage, asked: Asked) -> Sequence[Fact]:
    if state.to is None:
        raise no_such_message(command.message)
    if asked.actor != state.to:
        raise Forbidden(
            "not-your-message",
            f"message {command.message} went to {state.to}; only that person acknowledges it",
            f"消息 {command.message} 的收件人是 {state.to}，只能由本人确认",
        )
    return [] if state.acknowledged else [MessageAcknowledged(command.message)]


def no_such_message(message: UUID) -> NotFound:
    return NotFound("unknown-message", f"there is no message {message}; see /v1/inbox", f"没有消息 {message}")


def _key(command: PostMessage | AcknowledgeMessage) -> UUID:
    return command.message


def _case(command: PostMessage | AcknowledgeMessage) -> UUID:
    return command.case_id


MESSAGE = Decider("message", Message(), evolve)
COMMANDS = (
    Handle(PostMessage, MESSAGE, post, key=_key, subject=_case),
    Handle(AcknowledgeMessage, MESSAGE, acknowledge, key=_key, subject=_case),
)
