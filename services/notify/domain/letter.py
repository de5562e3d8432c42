"""A letter: what is sent of a delivery, put together when it goes out, from the newest views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import UUID

from libs.events.views import Look
from services.notify.commands import EMAIL
from services.notify.domain.words import without_words, written
from services.notify.views.channels import CHANNELS
from services.notify.views.deliveries import Delivery
from services.notify.views.messages import MESSAGES, Message
from services.notify.views.texts import TEXTS, Text

TEXT_SENT_CHARS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Letter:
    """`delivery`: by this id the world outside knows it. `text`: None while its template has no words."""

    delivery: UUID
    address: str
    choice: UUID
    zone: str
    message: Message
    text: Text | None

    def in_words(self, zone: tzinfo) -> tuple[str, str]:
        """(English, Chinese), no longer than TEXT_SENT_CHARS_MAX."""
        message = self.message
        if self.text is None:
            bare = _short(without_words(message.template, message.params, zone))
            return bare, bare
        en, zh = (_short(written(words, message.params, zone)) for words in (self.text.en, self.text.zh))
        return en, zh

    @property
    def about(self) -> str:
        """One line: the case, or the template where nothing is known of the case."""
        known = (self.message.params.get(name, "") for name in ("reference", "title"))
        return " ".join(" ".join(known).split()) or self.message.template

    @property
    def posted_at(self) -> datetime:
        return self.message.posted_at


def is_wanted(row: Delivery, look: Look) -> bool:
    """Until its reader gives the channel up, or, of an e-mail, has read it in the inbox."""
    if look.row(CHANNELS, (row.to, row.channel)) is None:
        return False
    message = look.row(MESSAGES, row.message)
    return message is not None and not (row.channel == EMAIL and message.acknowledged)


def letter_of(row: Delivery, look: Look) -> Letter:
    """For a delivery that is wanted."""
    channel, message = look.row(CHANNELS, (row.to, row.channel)), look.row(MESSAGES, row.message)
    assert channel is not None, f"{row.to} has no channel {row.channel}"
    assert message is not None, f"delivery {row.delivery} is of no message"
    text = look.row(TEXTS, (message.template, message.template_version))
    return Letter(row.delivery, channel.address, channel.choice, channel.zone, message, text)


def _short(text: str) -> str:
    return text if len(text) <= TEXT_SENT_CHARS_MAX else text[: TEXT_SENT_CHARS_MAX - 1] + "…"
