"""A person's channels: by which ways messages leave the inbox, and where they go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never
from urllib.parse import urlsplit
from uuid import UUID

from libs.events.contracts.notify import ChannelChosen, ChannelDropped
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import Refusal
from services.notify.commands import EMAIL, WEBHOOK, ChooseChannel, DropChannel

EMAIL_CHARS_MAX = 254  # RFC 5321
ChannelFact = ChannelChosen | ChannelDropped
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Channel:
    """`count`: how many addresses there were, so that one which comes again is another choice."""

    address: str | None = None
    zone: str = ""
    choice: UUID | None = None
    count: int = 0


def evolve(state: Channel, fact: ChannelFact) -> Channel:
    match fact:
        case ChannelChosen():
            count = state.count + (fact.choice != state.choice)
            return Channel(fact.address, fact.zone, fact.choice, count)
        case ChannelDropped():
            return replace(state, address=None, choice=None)
        case _:
            assert_never(fact)


def choose(state: Channel, command: ChooseChannel, asked: Asked) -> Sequence[Fact]:
    _require_address(command)
    if (state.address, state.zone) == (command.address, command.zone):
        return []
    choice = state.choice
    if choice is None or state.address != command.address:
        choice = entity_id(asked.tenant, "choice", f"{command.person}/{command.channel}/{state.count + 1}")
    return [ChannelChosen(command.person, command.channel, command.address, choice, command.zone)]


def drop(state: Channel, command: DropChannel, asked: Asked) -> Sequence[Fact]:
    if state.address is None or command.choice not in (None, state.choice):
        return []
    return [ChannelDropped(command.person, command.channel, command.because)]


def _require_address(command: ChooseChannel) -> None:
    if command.channel == EMAIL and not _is_email(command.address):
        raise Refusal(
            "no-email-address",
            f"address={command.address!r} is no e-mail address; write it like name@example.com, in ASCII",
            f"{command.address} 不是电子邮件地址，格式如 name@example.com",
        )
    if command.channel == WEBHOOK and not _is_web_address(command.address):
        raise Refusal(
            "no-web-address",
            f"address={command.address!r} is no address for a webhook; write it like https://example.com/hook, "
            "in ASCII, without a user, a password or a #fragment",
            f"{command.address} 不能用作 webhook 地址，格式如 https://example.com/hook，不含用户名、密码和 # 片段",
        )


def _is_email(address: str) -> bool:
    return len(address) <= EMAIL_CHARS_MAX and _EMAIL.fullmatch(address) is not None


def _is_web_address(address: str) -> bool:
    if not _PRINTABLE.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    whole = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return whole and "@" not in parts.netloc and "#" not in address and "\\" not in address


def _key(command: ChooseChannel | DropChannel) -> UUID:
    return entity_id("", "channel", f"{command.person}/{command.channel}")


CHANNEL = Decider("channel", Channel(), evolve)
COMMANDS = (
    Handle(ChooseChannel, CHANNEL, choose, key=_key),
    Handle(DropChannel, CHANNEL, drop, key=_key),
)
