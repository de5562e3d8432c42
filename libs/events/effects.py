"""Effects: what goes out into the world (an e-mail, a webhook), as attempts that are on record.

A delivery is a row of a view. An attempt at it is a fact with a deadline, recorded before anything is sent; then what
came of it is one. Where neither can be said any more it is `unknown`: shown as such, and left to the service's own
rules, for a second sending might be a double.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid5

from libs.events.deciding import Command
from libs.events.entries import NAMESPACE
from libs.events.errors import BatonError
from libs.events.views import Look, View

TEXT_CHARS_MAX = 500


class NotSent(BatonError):
    """Raised by a `send` that knows that nothing came of it: the address is refused, the other side said no.

    `final`: another attempt would fare no better. Anything else that a `send` raises counts as unknown.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        self.reason, self.final = storable(reason), final
        super().__init__(self.reason)


def always(row: Any, look: Look) -> bool:
    """Wanted until its row says otherwise."""
    return True


def itself(row: Any, look: Look) -> Any:
    """The row says all that is to be sent."""
    return row


@dataclass(frozen=True, slots=True)
class Effect:
    """Rows of `view` with a `due_at` (UTC, domain clock; None: not waiting) are sent once it has passed.

    The row class has the columns `due_at: datetime | None`, `deadline: datetime | None` (machine time; None: no attempt
    is under way), `attempt: int` (the number of the one that is due or under way, from 1) and `stream_version: int` (of
    the aggregate that the commands are for). Whether and when another attempt follows, the service's facts say.

    start      (row, deadline) → command whose fact sets the row's `deadline` and clears its `due_at`
    wanted     asked once more after that, on the newest views
    content    (row, the same views) → what `send` gets: rows need not keep addresses, secrets and words
    send       (content, idempotency key) → what the other side said, such as its id of the message; raises NotSent.
               The key is of delivery and attempt. It is cancelled in time before the deadline.
    succeeded, failed, unknown
               (row, what was said) → command whose fact ends the attempt `row.attempt`. These come whatever happened to
               the delivery meanwhile; `unknown` comes for an attempt without an end, and the truth may come after it.
    unknown_state
               what the row's column `state` says then; with no `due_at` either it waits for a person, and is counted
    """

    name: str
    view: View[Any]
    send: Callable[[Any, str], Awaitable[str]]
    start: Callable[[Any, datetime], Command]
    succeeded: Callable[[Any, str], Command]
    failed: Callable[[Any, NotSent], Command]
    unknown: Callable[[Any, str], Command]
    wanted: Callable[[Any, Look], bool] = always
    content: Callable[[Any, Look], Any] = itself
    deadline_s: float = 30.0
    at_once_max: int = 8
    unknown_state: str | None = None


class Wanted(NamedTuple):
    """A delivery's row as it stands by now, and what is sent of it."""

    row: Any
    content: Any


class Delivery(NamedTuple):
    """One row of an effect's view; `since`: the position of the entry that made it what it is."""

    effect: Effect
    tenant: str
    key: tuple[Any, ...]
    row: Any
    since: int

    def idempotency_key(self, service: str) -> str:
        """The same for one attempt at one delivery, whoever makes it."""
        parts = (service, self.effect.name, self.tenant, *self.key, self.row.attempt)
        return str(uuid5(NAMESPACE, "/".join(map(str, parts))))

    def as_wanted(self, look: Look) -> Wanted | None:
        """None when this attempt at it is not under way, or not wanted any more."""
        row = look.row(self.effect.view, self.key)
        if row is None or row.deadline is None or row.due_at is not None or row.attempt != self.row.attempt:
            return None
        return Wanted(row, self.effect.content(row, look)) if self.effect.wanted(row, look) else None


def storable(said: str) -> str:
    """What the other side said, as facts and views can hold it."""
    return "".join(char if char.isprintable() else " " for char in said[:TEXT_CHARS_MAX])
