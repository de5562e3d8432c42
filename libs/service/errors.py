"""What goes wrong at a door, before any rule of the domain is asked.

BatonError
├── Unauthenticated         no token, or one that does not hold
│   └── Unsigned            no signature of this body, or one that does not hold
├── NotJson                 the body is not JSON text in UTF-8
├── UnsupportedMedia        a content type that the door does not read
├── WrongShape              JSON, or a parameter, of the wrong shape; names every fault
└── SettingsError           the program was started with missing or wrong settings
Refusal
├── Contradicted            an event does not fit what its source said before; names every field
└── Forbidden
    └── RoleNeeded          the token lacks a role
CommandReused
├── KeyReused               … by its Idempotency-Key
└── EventReused             … by the source and id of an event
HTTPException (the framework's)
└── BodyTooLarge            more bytes than the door takes
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import force_setattr
from starlette.exceptions import HTTPException

from libs.events.errors import BatonError, CommandReused, Forbidden, Refusal

VALUE_SHOWN_MAX = 80
FIELD_SHOWN_MAX = 200
FAULTS_MAX = 20
ABSENT = msgspec.UNSET
"""The value of a field that is not there; null would be one that is."""


class Unauthenticated(BatonError):
    """Who asks is not known. The text says what would help, never what the token held."""

    scheme = "Bearer"


class Unsigned(Unauthenticated):
    """What came is not signed with the secret of this door, which takes no tokens."""

    scheme = "Signature"


class NotJson(BatonError):
    """The request cannot be read as JSON (or carries bytes that no text may hold)."""


class BodyTooLarge(HTTPException):
    """Of the framework's class, since that is the only one which it lets through while it reads a body."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(413, f"the body is larger than {bytes_max} bytes; send less in one request")


class BodyTooSlow(HTTPException):
    """Of the framework's class, as BodyTooLarge."""

    def __init__(self, within_s: float) -> None:
        super().__init__(408, f"the body did not come within {within_s:g} s; send the request again")


class UnsupportedMedia(BatonError):
    def __init__(self, found: str, wanted: Iterable[str]) -> None:
        shown = " or ".join(wanted)
        super().__init__(f"Content-Type {shorten(found)} is not read here; send {shown}")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where, what would be right in both languages, and the value that came.

    The value is as it came while its JSON has at most VALUE_SHOWN_MAX characters, else the beginning of it as a text.
    """

    field: str
    cure: str
    cure_zh: str
    value: Any = ABSENT

    def __post_init__(self) -> None:
        force_setattr(self, "field", _cut(self.field, FIELD_SHOWN_MAX))
        force_setattr(self, "value", _shown(self.value))

    def named(self) -> str:
        """The field, and what was found there."""
        return self.field if self.value is ABSENT else f"{self.field}={msgspec.json.encode(self.value).decode()}"


class WrongShape(BatonError):
    """Tells the first FAULTS_MAX faults."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(islice(faults, FAULTS_MAX))
        super().__init__(_in_english(self.faults))
        self.zh = _in_chinese(self.faults)


class RoleNeeded(Forbidden):
    """The token has none of the roles that open this door."""

    def __init__(self, needed: Iterable[str]) -> None:
        self.needed = tuple(sorted(needed))
        names = " or ".join(self.needed)
        super().__init__(
            "role", f"this needs a token with the role {names}", f"此操作需要以下角色之一：{'、'.join(self.needed)}"
        )


class Contradicted(Refusal):
    """A rule refuses an event for some of its fields: what the rule says, and what to do about each of them."""

    def __init__(self, refusal: Refusal, faults: Iterable[Fault]) -> None:
        self.faults = tuple(islice(faults, FAULTS_MAX))
        super().__init__(
            refusal.rule, f"{refusal.en}: {_in_english(self.faults)}", f"{refusal.zh}：{_in_chinese(self.faults)}"
        )


class KeyReused(CommandReused):
    """The client sent this Idempotency-Key before, with another payload."""

    def __init__(self, key: str, reused: CommandReused) -> None:
        super().__init__(reused.command_id)
        self.args = (
            f"Idempotency-Key {shorten(key)} was used before with another payload, and the first one stands; "
            "use a new key for a new command",
        )
        self.zh = f"幂等键 {shorten(key)} 已用于其他内容，以首次为准；新的命令请使用新的键"


class EventReused(CommandReused):
    """The source sent this id before, with other content."""

    def __init__(self, source: str, name: str, reused: CommandReused) -> None:
        super().__init__(reused.command_id)
        which = f"id={shorten(name)}"
        self.args = (
            f"{which} of source={shorten(source)} came before with other content, and the first one stands; "
            "send what is new under a new id",
        )
        self.zh = f"来源 {shorten(source)} 的事件 {which} 已用于其他内容，以首次为准；新的内容请使用新的编号"


class SettingsError(BatonError):
    """Some settings are missing or wrong; the text lists each with its cure."""


def shorten(value: object) -> str:
    """A value fit to be shown in a text: printable, ASCII-safe where broken, at most VALUE_SHOWN_MAX characters."""
    return _cut(repr(value), VALUE_SHOWN_MAX)


def _in_english(faults: Iterable[Fault]) -> str:
    return "; ".join(f"{fault.named()}: {fault.cure}" for fault in faults)


def _in_chinese(faults: Iterable[Fault]) -> str:
    return "；".join(f"{fault.named()}：{fault.cure_zh}" for fault in faults)


def _shown(value: Any) -> Any:
    if value is ABSENT:
        return value
    if isinstance(value, str):
        return _cut(value, VALUE_SHOWN_MAX)
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):  # nothing that JSON has
        return shorten(value)
    return value if len(text) <= VALUE_SHOWN_MAX else _cut(text, VALUE_SHOWN_MAX)


def _cut(text: str, chars_max: int) -> str:
    legible = text.encode("utf-8", "backslashreplace").decode()
    return legible if len(legible) <= chars_max else legible[: chars_max - 1] + "…"
