"""Looks into the database: pure code asks for rows, and is run again once they have been fetched.

Deciders and reactions may do no I/O, and cannot say beforehand which rows they will need (the policy names the ladder,
the ladder names the rung …). So a look that misses stops the run, the row is fetched, and the pure function starts
again with all that it asked for so far: it is pure, so this changes nothing. All rows are of one position. The span
around it is linked to the facts that made these rows: on what information it decided can be seen in the trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg

from libs.events.folding import as_key
from libs.events.projector import Projector
from libs.events.tracing import link_current
from libs.events.views import LOOK_ROWS_MAX, Look, View

LOOKS_MAX = 500
FRESH_WITHIN_S = 2.0
# Of the entry that made the row what it is.
_TRACEPARENT = "(select e.traceparent from journal.entries e where e.position = t.since_position) as traceparent"
T = TypeVar("T")
_Question = tuple[View[Any], tuple[str, ...], tuple[Any, ...], bool]


class _Missing(Exception):
    def __init__(self, question: _Question) -> None:
        self.question = question


class _Memory(Look):
    """What has been fetched so far; anything else stops the run."""

    def __init__(self) -> None:
        self.answers: dict[_Question, tuple[Any, ...]] = {}
        self.traceparents: list[str] = []

    def row(self, view: View[Any], key: Any) -> Any:
        found = self._answer((view, view.key, as_key(view, key), True))
        return found[0] if found else None

    def rows(self, view: View[Any], **equal: Any) -> tuple[Any, ...]:
        return self._answer((view, tuple(equal), tuple(equal.values()), False))

    def _answer(self, question: _Question) -> tuple[Any, ...]:
        if question not in self.answers:
            raise _Missing(question)
        return self.answers[question]


class DatabaseLooks:
    """Looks of one service, over the pool of its machinery."""

    def __init__(self, projector: Projector, pool: asyncpg.Pool) -> None:
        self._projector, self._pool = projector, pool

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
                table = self._projector.tables[missing.question[0]]
                memory.answers[missing.question] = tuple(table.decode(record) for record in records)
                memory.traceparents += [record["traceparent"] for record in records]
            else:
                link_current(memory.traceparents)
                return result, position if memory.answers else None
        raise RuntimeError(f"a decision or reaction looked more than {LOOKS_MAX} times; narrow what it looks at")

    async def _fetch(self, tenant: str, question: _Question, position: int) -> list[asyncpg.Record]:
        view, columns, values, _ = question
        table = self._projector.tables[view]
        given = dict(zip(columns, values, strict=True))
        asked = ("tenant", *(name for name, value in given.items() if value is not None))
        where = " and ".join(
            (
                *(f't."{name}" = ${i}::{table.sql_type(name)}' for i, name in enumerate(asked, start=1)),
                *(f't."{name}" is null' for name, value in given.items() if value is None),
            )
        )
        source = table.as_of(f"${len(asked) + 1}") if view.past else f"{table.name} t"
        order = ", ".join(f't."{name}"' for name in view.key)
        records = await self._pool.fetch(
            f"select {table.select}, {_TRACEPARENT} from {source} where {where} order by {order} "
            f"limit {LOOK_ROWS_MAX + 1}",
            tenant,
            *(value for value in values if value is not None),
            *((position,) if view.past else ()),
        )
        if len(records) > LOOK_ROWS_MAX:
            raise RuntimeError(f"view {view.name}: more than {LOOK_ROWS_MAX} rows match {given}; narrow the question")
        return records
