"""Reactions: what a service does by itself when an entry is noted. Pure: (fact, entry, views) → commands of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from libs.events.deciding import Command
from libs.events.entries import Entry, Fact
from libs.events.views import Look


@dataclass(frozen=True, slots=True)
class Reaction:
    """`name` is stable: the commands' ids derive from it and the entry's id, so each happens once.

    `react(fact, entry, look)` sees the views as of the entry's position. Its commands are asked by
    `<service>/<name>` at the entry's `occurred_at`.
    """

    name: str
    on: tuple[type[Fact], ...]
    react: Callable[[Any, Entry, Look], Iterable[Command]]
