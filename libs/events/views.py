"""Views: read models as pure folds by key.

A view is a frozen row class, a version, and one function per fact from (row or None, fact, entry) to row or None. The
kernel derives the table, its indexes and its past from the declaration; `as_of`, rebuild and tokens come with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from libs.events.entries import Entry, Fact

Key = Any  # one column's value, or a tuple in the order of View.key
R = TypeVar("R")
F = TypeVar("F", bound=Fact)

LOOK_ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class On:
    """One line of a fold: this fact, this function, these keys (none: the entry's subject)."""

    fact: type[Fact]
    fold: Callable[[Any, Any, Entry], Any]
    keys: Callable[[Any, Entry], Iterable[Key]] | None


def on(
    fact: type[F],
    fold: Callable[[R | None, F, Entry], R | None],
    keys: Callable[[F, Entry], Iterable[Key]] | None = None,
) -> On:
    """Fold `fact` into the rows named by `keys` (default: the one row whose key is the entry's subject)."""
    return On(fact, fold, keys)


@dataclass(frozen=True, slots=True, eq=False)
class View(Generic[R]):
    """A read model. `row`: a frozen msgspec Struct or dataclass; `key`: its key columns; a changed fold needs a new
    `version`. `indexes`: column tuples. Views of mere counters set `past=False` and cannot be asked `as_of`.

    Column types: str, int, float, bool, datetime, UUID, Decimal, each or None; anything else is stored as JSON.
    The tenant is added by the kernel, in the key and in row-level security.
    """

    name: str
    version: int
    row: type[R]
    key: tuple[str, ...]
    folds: tuple[On, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    past: bool = True

    def __post_init__(self) -> None:
        columns = set(columns_of(self.row))
        named = (*self.key, *(column for index in self.indexes for column in index))
        unknown = sorted(set(named) - columns)
        if unknown:
            raise ValueError(
                f"view {self.name}: key or indexes name {', '.join(unknown)}, which {self.row.__name__} does not have; "
                f"take from {', '.join(sorted(columns))}"
            )


def columns_of(row: type[Any]) -> tuple[str, ...]:
    """The columns of a row class, in their order."""
    if issubclass(row, msgspec.Struct):
        return row.__struct_fields__
    if dataclasses.is_dataclass(row):
        return tuple(field.name for field in dataclasses.fields(row))
    raise TypeError(f"row {row!r} must be a frozen msgspec Struct or dataclass")


class Look(Protocol):
    """Reading views from pure code, as of one position of the journal. Both calls see only the asker's tenant."""

    def row(self, view: View[R], key: Key) -> R | None:
        """The row with this key."""

    def rows(self, view: View[R], **equal: Any) -> tuple[R, ...]:
        """The rows whose columns equal these values, ordered by key; at most LOOK_ROWS_MAX, more is an error."""
