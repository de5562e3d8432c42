"""Reading views for people: by key or page by page, now or as of an instant, each tenant only its own rows.

The connection's role is held to its tenant by row-level security; the `tenant =` in the statements is for the index.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

import asyncpg
import msgspec

from libs.events.errors import Unfit
from libs.events.folding import as_key
from libs.events.journal import Journal
from libs.events.projector import Projector
from libs.events.tables import Session, Table
from libs.events.views import View

PAGE_ROWS_MAX = 200
AS_OF_WITHIN_S = 2.0
FILLED_WITHIN_S = 1.0
DIGEST_CHARS = 12
CURSOR_CURE = (
    "take it unchanged from next_cursor, with the same query",
    "请原样使用上一页的 next_cursor，且查询条件保持不变",
)
R = TypeVar("R")


class BadQuestion(Unfit):
    """A query that cannot be asked: names the field and its value; both texts say what could be asked."""

    def __init__(self, field: str, value: object, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.field, self.value = field, value


class Moment(msgspec.Struct, frozen=True):
    """An instant as a journal position. `final`: nothing can still be noted before it."""

    instant: datetime
    position: int
    final: bool


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Rows in order; `next_cursor` None on the last page. `as_of` and `final` answer a question about the past."""

    rows: tuple[R, ...]
    next_cursor: str | None
    as_of: datetime | None = None
    final: bool | None = None


class Reader:
    """Queries over one service's views. `pool` logs in as the reader role."""

    def __init__(self, projector: Projector, journal: Journal, pool: asyncpg.Pool) -> None:
        self._projector, self._journal, self._pool = projector, journal, pool

    async def moment(self, instant: datetime) -> Moment:
        """Where `instant` lies in the journal; waits until the views have come that far (bounded, then NotYet)."""
        position, final = await self._journal.as_of(instant)
        await self._projector.wait(position, AS_OF_WITHIN_S)
        return Moment(instant, position, final)

    async def row(self, view: View[R], key: Any, *, tenant: str, at: Moment | None = None) -> R | None:
        """The row with this key, or None."""
        equal = dict(zip(view.key, as_key(view, key), strict=True))
        if None in equal.values():
            return None  # no key has a hole; for a page it would be no filter, and the answer somebody else's row
        page = await self.page(view, tenant=tenant, equal=equal, at=at)
        return page.rows[0] if page.rows else None

    async def page(
        self,
        view: View[R],
        *,
        tenant: str,
        equal: Mapping[str, Any] | None = None,
        order: Sequence[str] = (),
        limit: int = PAGE_ROWS_MAX,
        cursor: str | None = None,
        at: Moment | None = None,
    ) -> Page[R]:
        """Rows whose columns equal these values (None values are no filter), by `order` and then by key.

        A column in `order` must never be null; when the first begins with `-`, the whole order is descending. Raises
        NotYet while the view is being filled, as a new version of one is.
        """
        table = self._projector.tables[view]
        if at is not None and not view.past:
            raise BadQuestion(
                "as_of",
                at.instant.isoformat(),
                f"view {view.name} keeps no past; ask without as_of",
                f"视图 {view.name} 不保留历史，请去掉 as_of",
            )
        if not 1 <= limit <= PAGE_ROWS_MAX:
            raise BadQuestion("limit", limit, f"choose 1 to {PAGE_ROWS_MAX}", f"请在 1 至 {PAGE_ROWS_MAX} 之间选择")
        filters = {name: value for name, value in (equal or {}).items() if value is not None}
        descending = bool(order) and order[0].startswith("-")
        ordered = [*(name.lstrip("-") for name in order), *(name for name in view.key if name not in order)]
        question = _digest(view.name, filters, order, at.instant if at else None)
        arguments: list[Any] = [tenant, *filters.values()]
        where = [f't."{n}" = ${i}::{table.sql_type(n)}' for i, n in enumerate(("tenant", *filters), start=1)]
        if cursor is not None:
            marks = _open_cursor(cursor, table, ordered, question)
            numbered = enumerate(zip(ordered, marks, strict=True), start=len(arguments) + 1)
            places = ", ".join(f"${i}::{table.sql_type(name)}" for i, (name, _) in numbered)
            where.append(f"({_listed(ordered)}) {'<' if descending else '>'} ({places})")
            arguments += marks
        direction = " desc" if descending else ""
        first = f"order by {', '.join(f'{name}{direction}' for name in _listed(ordered).split(', '))} limit {limit + 1}"
        source, asked = f"{table.name} t", " and ".join(where)
        if at is not None:
            arguments.append(at.position)
            most = 1 if filters.keys() >= set(view.key) else None
            source = table.as_of(f"${len(arguments)}", asked, most=most, first=first)
        sql = f"select {table.select} from {source} where {asked} {first}"
        if at is None:  # a moment has been waited for
            await self._projector.filled(view, FILLED_WITHIN_S)
        async with self._tenant(tenant) as connection:
            records = await connection.fetch(sql, *arguments)
        rows = tuple(table.decode(record) for record in records[:limit])
        following = _make_cursor(rows[-1], ordered, question) if len(records) > limit else None
        return Page(rows, following, at.instant if at else None, at.final if at else None)

    @asynccontextmanager
    async def _tenant(self, tenant: str) -> AsyncIterator[Session]:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("select set_config('baton.tenant', $1, true)", tenant)
            yield connection


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f't."{name}"' for name in names)


def _digest(view: str, filters: Mapping[str, Any], order: Sequence[str], instant: datetime | None) -> str:
    """What a cursor belongs to: the place in one list is none in another. (Pages may be of any length.)"""
    question = msgspec.json.encode((view, filters, order, instant), order="sorted")
    return hashlib.sha256(question).hexdigest()[:DIGEST_CHARS]


def _make_cursor(row: Any, ordered: Sequence[str], question: str) -> str:
    values = [question, *(getattr(row, name) for name in ordered)]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def _open_cursor(cursor: str, table: Table[Any], ordered: Sequence[str], question: str) -> list[Any]:
    """The values after which the next page begins, of the columns' own types."""
    try:
        said, *raw = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list)
        if said != question or len(raw) != len(ordered):
            raise ValueError("a cursor of another query")
        return [msgspec.convert(v, table.hint(n), strict=False) for n, v in zip(ordered, raw, strict=True)]
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadQuestion("cursor", cursor, *CURSOR_CURE) from error
