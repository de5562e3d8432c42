"""Folding in memory: the one place that applies a view's functions, for live tables, rebuilds, what-if and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from libs.events.entries import Entry, Fact
from libs.events.views import On, View

Key = tuple[Any, ...]  # (tenant, *the view's key columns)


class Touch(NamedTuple):
    """One application of a fold: this row of this view, by this fact."""

    key: Key
    fold: Callable[[Any, Any, Entry], Any]
    fact: Fact
    entry: Entry


class Replaced(NamedTuple):
    """A row that held from position `since` until (excluding) position `until`."""

    key: Key
    row: Any
    since: int
    until: int


class Held(NamedTuple):
    """A live row and the position since which it holds; `row` None: there is no such row."""

    row: Any
    since: int


def lines_by_fact(view: View[Any]) -> Mapping[type[Fact], tuple[On, ...]]:
    """The view's lines by fact class. A line on `Fact` itself is under `Fact` and means every fact."""
    lines: dict[type[Fact], tuple[On, ...]] = {}
    for line in view.folds:
        lines[line.fact] = (*lines.get(line.fact, ()), line)
    return lines


def touches(view: View[Any], lines: Mapping[type[Fact], tuple[On, ...]], entry: Entry, fact: Fact) -> Iterable[Touch]:
    """What this entry does to the view, in the order of its lines."""
    for line in (*lines.get(type(fact), ()), *lines.get(Fact, ())):
        keys = (entry.subject,) if line.keys is None else line.keys(fact, entry)
        for key in keys:
            yield Touch((entry.tenant, *as_key(view, key)), line.fold, fact, entry)


def as_key(view: View[Any], key: Any) -> tuple[Any, ...]:
    """A key as a tuple of the view's key columns."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) != len(view.key):
        raise ValueError(f"view {view.name}: key {parts!r} does not have the columns {view.key}")
    return parts


def apply(live: dict[Key, Held], work: Iterable[Touch]) -> list[Replaced]:
    """Fold into `live` (which holds every touched row, or Held(None, 0)); returns the rows that were replaced.

    A row changed twice at one position has no past in between; a fold that returns an equal row changes nothing.
    """
    past: list[Replaced] = []
    for key, fold, fact, entry in work:
        held = live[key]
        row = fold(held.row, fact, entry)
        if row == held.row:
            continue
        if held.row is not None and held.since < entry.position:
            past.append(Replaced(key, held.row, held.since, entry.position))
        live[key] = Held(row, entry.position)
    return past
