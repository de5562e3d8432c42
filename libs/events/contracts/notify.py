"""What notify says: which message went to whom, and because of what."""

from __future__ import annotations

from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact


class TextPublished(Fact, frozen=True):
    """The words of a template, `$name` standing for the parameter of that name. Posted messages keep their version."""

    template: str
    version: int
    en: str
    zh: str


class MessagePosted(Fact, frozen=True):
    """A message in somebody's inbox. `because` names the rule (a RACI seat, a rung), `cause` the event behind it.

    `template_version` 0: nobody had published words for it yet.
    """

    message: UUID
    to: str
    template: str
    params: dict[str, str]
    because: str
    cause: UUID
    case_id: UUID | None = None
    template_version: int = 0


class MessageAcknowledged(Fact, frozen=True):
    """Whom `message` was posted to has seen it."""

    message: UUID


CONTRACT = Contract(
    "notify",
    (
        Kind("TextPublished", 1, TextPublished),
        Kind("MessagePosted", 1, MessagePosted, personal=("params",)),
        Kind("MessageAcknowledged", 1, MessageAcknowledged),
    ),
)
