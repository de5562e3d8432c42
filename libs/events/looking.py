"""Looks into the database: pure code asks for rows, and is run again once they have been fetched.

Deciders and reactions may do no I/O, and cannot say beforehand which rows they will need (the policy names the ladder,
the ladder names the rung …). So a look that misses stops the run, the row is fetched, and the pure function starts
again with all that it asked for so far: it is pure, so this changes nothing. All rows are of one position. The span
around it is linked to the facts that made these rows: on what information it decided can be seen in the trace.
Questions of the same kind that are asked at the same time, as the reactor's are, go in one round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncpg

from libs.events.folding import as_key
from libs.events.projector import Projector
from libs.events.tables import Table
from libs.events.together import TOGETHER_MAX, Together
from libs.events.tracing import link_current
from libs.events.views import LOOK_ROWS_MAX, Look, View

LOOKS_MAX = 500
MANY_TOGETHER_MAX = 32
"""Looks that may find up to LOOK_ROWS_MAX rows each, in one round trip."""
FRESH_WITHIN_S = 2.0
# Of the entry that made the row what it is.
_TRACEPARENT = "(select e.traceparent from journal.entries e where e.position = t.since_position) as traceparent"
T = TypeVar("T")
_Kind = tuple[View[Any], tuple[str, ...], tuple[bool, ...]]
_Asked = tuple[Any, ...]


class _Question(NamedTuple):
    """Rows of `view` whose `columns` equal `values`."""

    view: View[Any]
    columns: tuple[str, ...]
    values: tuple[Any, ...]


class _Missing(Exception):
    def __init__(self, question: _Question) -> None:
        self.question = question


class _Memory(Look):
    """What has been fetched so far; anything else stops the run."""

    def __init__(self) -> None:
        self.answers: dict[_Question, tuple[Any, ...]] = {}
        self.traceparents: list[str] = []

    def row(self, view: View[Any], key: Any) -> Any:
        found = self._answer(_Question(view, view.key, as_key(view, key)))
        return found[0] if found else None

    def rows(self, view: View[Any], **equal: Any) -> tuple[Any, ...]:
        return self._answer(_Question(view, tuple(equal), tuple(equal.values())))

    def _answer(self, question: _Question) -> tuple[Any, ...]:
        if question not in self.answers:
            raise _Missing(question)
        return self.answers[question]


class DatabaseLooks:
    """Looks of one service, over the pool of its machinery."""

    def __init__(self, projector: Projector, pool: asyncpg.Pool) -> None:
        self._projector, self._pool = projector, pool
        self._asking: dict[_Kind, Together[_Asked, list[asyncpg.Record]]] = {}

    async def run(
        self, tenant: str, pure: Callable[[Look], T], position: int | None = None, after: int = 0
    ) -> tuple[T, int | None]:
        """(result, the position of the views that it was based on; None when it looked at none).

        `position`: look at the views as of it. Without, at the newest that includes `after` (one's own last append) and
        all that was noted before this process began.
        """
        memory = _Memory()
        for _ in range(LOOKS_MAX):
            try:
                result = pure(memory)
            except _Missing as missing:
                if position is None:
                    await self._projector.wait(max(after, self._projector.begun_at), FRESH_WITHIN_S)
                    position = await self._projector.position()
                elif not memory.answers:
                    await self._projector.wait(position, FRESH_WITHIN_S)
                records = await self._fetch(tenant, missing.question, position)
                table = self._projector.tables[missing.question.view]
                memory.answers[missing.question] = tuple(table.decode(record) for record in records)
                memory.traceparents += [record["traceparent"] for record in records]
            else:
                link_current(memory.traceparents)
                return result, position if memory.answers else None
        raise RuntimeError(f"a decision or reaction looked more than {LOOKS_MAX} times; narrow what it looks at")

    async def _fetch(self, tenant: str, question: _Question, position: int) -> list[asyncpg.Record]:
        view, columns, values = question
        kind = view, columns, tuple(value is None for value in values)
        if kind not in self._asking:
            sql = _statement(self._projector.tables[view], columns, kind[2])
            most = TOGETHER_MAX if columns == view.key else MANY_TOGETHER_MAX
            self._asking[kind] = Together(partial(self._fetch_many, sql), most)
        given = (value for value in values if value is not None)
        records = await self._asking[kind].ask((position, tenant, *given))
        if len(records) > LOOK_ROWS_MAX:
            wanted = dict(zip(columns, values, strict=True))
            raise RuntimeError(f"view {view.name}: more than {LOOK_ROWS_MAX} rows match {wanted}; narrow the question")
        return records

    async def _fetch_many(self, sql: str, asked: Sequence[_Asked]) -> list[list[asyncpg.Record]]:
        found: list[list[asyncpg.Record]] = [[] for _ in asked]
        for record in await self._pool.fetch(sql, *zip(*asked, strict=True)):
            found[record[-1] - 1].append(record)
        return found


def _statement(table: Table[Any], columns: Sequence[str], nulls: Sequence[bool]) -> str:
    """For arrays of positions, tenants and the values that are not null. A record ends with the number of the asker."""
    null = dict(zip(columns, nulls, strict=True))
    given = ["tenant", *(name for name in columns if not null[name])]
    arrays = ", ".join(f"${i}::{table.sql_type(name)}[]" for i, name in enumerate(given, start=2))
    named = ", ".join(f'"{name}"' for name in given)
    where = " and ".join(
        (*(f't."{name}" = k."{name}"' for name in given), *(f't."{name}" is null' for name in columns if null[name]))
    )
    source, most = f"{table.name} t", 1 if null == dict.fromkeys(table.view.key, False) else LOOK_ROWS_MAX + 1
    if table.view.past:
        source = table.as_of("k.at_position", where, most=most)
    order = ", ".join(f't."{name}"' for name in table.view.key)
    return (
        f"select t.*, k.asker from unnest($1::bigint[], {arrays}) with ordinality k (at_position, {named}, asker) "
        f"cross join lateral (select {table.select}, {_TRACEPARENT} from {source} where {where} "
        f"limit {most}) t order by k.asker, {order}"
    )
