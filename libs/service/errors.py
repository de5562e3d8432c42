"""What goes wrong at a door, before any rule of the domain is asked.

BatonError
├── Unauthenticated         no token, or one that does not hold
├── NotJson                 the body is not JSON text in UTF-8
├── UnsupportedMedia        a content type that the door does not read
├── WrongShape              JSON, or a parameter, of the wrong shape; names every fault
└── SettingsError           the program was started with missing or wrong settings
Forbidden
└── RoleNeeded              the token lacks a role
HTTPException (the framework's)
└── BodyTooLarge            more bytes than the door takes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from libs.events.errors import BatonError, Forbidden

VALUE_SHOWN_MAX = 80


class Unauthenticated(BatonError):
    """Who asks is not known. The text says what would help, never what the token held."""


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


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where, what was found (shortened), what would be right."""

    field: str
    value: str
    cure: str


class WrongShape(BatonError):
    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        named = ((f"{fault.field}={fault.value}" if fault.value else fault.field, fault.cure) for fault in self.faults)
        super().__init__("; ".join(f"{what}: {cure}" for what, cure in named))


class RoleNeeded(Forbidden):
    """The token has none of the roles that open this door."""

    def __init__(self, needed: Iterable[str]) -> None:
        self.needed = tuple(sorted(needed))
        names = " or ".join(self.needed)
        super().__init__(
            "role", f"this needs a token with the role {names}", f"此操作需要以下角色之一：{'、'.join(self.needed)}"
        )


class SettingsError(BatonError):
    """Some settings are missing or wrong; the text lists each with its cure."""


def shorten(value: object) -> str:
    """A value fit to be shown in an answer: printable, ASCII-safe where broken, at most VALUE_SHOWN_MAX characters."""
    text = repr(value).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= VALUE_SHOWN_MAX else text[: VALUE_SHOWN_MAX - 1] + "…"
