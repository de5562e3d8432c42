"""What may be asked of notify."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field

from libs.events.deciding import Command

CODE_CHARS_MAX = 100
TEXT_CHARS_MAX = 4_000

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
