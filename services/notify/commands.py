"""What may be asked of notify."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field

from libs.events.deciding import Command

EMAIL, WEBHOOK = "email", "webhook"
CODE_CHARS_MAX = 100
TEXT_CHARS_MAX = 4_000
ADDRESS_CHARS_MAX = 2_000
ZONE_CHARS_MAX = 64

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=CODE_CHARS_MAX)]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)]


class PublishText(Command):
    """The words of a template: `$name` stands for the parameter of that name, `$$` for a dollar sign."""

    template: Code
    en: Text
    zh: Text


class PostMessage(Command):
    """One message to one person. `because`: the rule by which this person is meant; `cause`: the event's id."""

    message: UUID
    to: str
    template: str
    params: dict[str, str]
    because: str
    cause: UUID
    case_id: UUID


class AcknowledgeMessage(Command):
    """Its reader has read it. `case_id`: what the message is about, so that the case's history shows it."""

    message: UUID
    case_id: UUID


def message_id(cause: UUID, to: str, template: str) -> UUID:
    """One message per person, cause and template, however many rules name the person."""
    return uuid5(cause, f"{to}/{template}")


class ChooseChannel(Command):
    """Messages to `person` also go out by `channel`. `zone`: in which instants are written there."""

    person: str
    channel: str
    address: Annotated[str, Field(max_length=ADDRESS_CHARS_MAX)]
    zone: Annotated[str, Field(max_length=ZONE_CHARS_MAX)] = "UTC"


class DropChannel(Command):
    """Nothing more by this channel. With `choice`, only if that is still the one that stands."""

    person: str
    channel: str
    choice: UUID | None = None
    because: str = ""


class OfDelivery(Command):
    """`case_id`: what the message is about, so that the case's history shows what came of it."""

    delivery: UUID
    case_id: UUID


class PlanDelivery(OfDelivery):
    message: UUID
    to: str
    channel: str


class BeginAttempt(OfDelivery):
    attempt: int
    deadline: datetime


class NoteArrival(OfDelivery):
    attempt: int
    receipt: str


class NoteFailure(OfDelivery):
    """`final`: another attempt would fare no better. `gone`: the choice that the other side says is no more."""

    attempt: int
    reason: str
    final: bool
    gone: UUID | None = None


class NoteUnknown(OfDelivery):
    attempt: int
    reason: str


class RepeatDelivery(OfDelivery):
    """Send it again, now."""


def delivery_id(message: UUID, channel: str) -> UUID:
    """One delivery per message and channel; the world outside knows it by this id, in every attempt."""
    return uuid5(message, channel)
