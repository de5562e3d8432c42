"""A view's table: its columns, DDL and row codec, all derived from the row class.

A table is named `<view>_v<version>`, so that a new version is filled beside the one that is read; its past has the
suffix `_past`. Every table has the columns `tenant` and `since_position`; the past also `until_position`.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from libs.events.folding import Held, Key, Replaced
from libs.events.service import Service
from libs.events.views import View, columns_of

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

SCHEMA = "views"
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
R = TypeVar("R")

_SQL_TYPES: dict[type, str] = {
    str: "text",
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    datetime: "timestamptz",
    UUID: "uuid",
    Decimal: "numeric",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column: its SQL type, and the hint that JSON columns are converted back with (None: as it is)."""

    name: str
    sql: str
    json_hint: Any | None


class Table(Generic[R]):
    """The live table of a view and its past; `suffix` names one that is built beside them.

    `timed`: a timer looks for its due rows; `sent`: an effect looks for those that are due or under way.
    """

    def __init__(self, view: View[R], *, timed: bool = False, sent: bool = False, suffix: str = "") -> None:
        self.view, self._timed, self._sent = view, timed, sent
        self.name = f"{SCHEMA}.{view.name}_v{view.version}{suffix}"
        self.past = f"{self.name}_past"
        self.columns = _columns(view)
        self._hints = get_type_hints(view.row)
        self.key = ("tenant", *view.key)
        self._names = [column.name for column in self.columns]
        self._json = [(i, column.json_hint) for i, column in enumerate(self.columns) if column.json_hint is not None]
        self.select = ", ".join(f't."{name}"' for name in ("tenant", *self._names, "since_position"))

    async def create(self, connection: Session) -> None:
        """Create what is missing. Indexes get names of the database's choice, so that tables can be renamed."""
        for name, more in ((self.name, ()), (self.past, ("until_position",))):
            wanted = name == self.name or self.view.past
            if wanted and await connection.fetchval("select to_regclass($1) is null", name):
                for statement in self._ddl(name, more):
                    await connection.execute(statement)

    async def drop(self, connection: Session) -> None:
        for name in (self.name, self.past):
            await connection.execute(f"drop table if exists {name}")

    def _ddl(self, name: str, more: tuple[str, ...]) -> Iterable[str]:
        """Row-level security fails closed for everybody but the table's owner."""
        positions = ("since_position", *more)
        body = ['"tenant" text not null', *(f'"{c.name}" {c.sql}' for c in self.columns)]
        body += [f"{position} bigint not null" for position in positions]
        key = _quoted(self.key if not more else (*self.key, "since_position"))
        yield f"create table {name} ({', '.join(body)}, primary key ({key}))"
        yield f"alter table {name} enable row level security"
        yield f"create policy tenant_rows on {name} using (tenant = current_setting('baton.tenant'))"
        for columns in self.view.indexes:
            yield f"create index on {name} ({_quoted(('tenant', *columns, *more))})"
        if self._timed and not more:
            yield f"create index on {name} (timeline, due_at) where due_at is not null"
        if self._sent and not more:
            yield f"create index on {name} (due_at) where due_at is not null"
            yield f"create index on {name} (deadline) where deadline is not null"

    def decode(self, record: asyncpg.Record) -> R:
        """A row from a record that begins with tenant and this table's columns."""
        values = list(record)[1 : 1 + len(self.columns)]
        for i, hint in self._json:
            values[i] = None if values[i] is None else msgspec.json.decode(values[i], type=hint)
        return self.view.row(*values)

    def _values(self, key: Key, row: R) -> list[Any]:
        values = [getattr(row, name) for name in self._names]
        for i, _ in self._json:
            values[i] = None if values[i] is None else msgspec.json.encode(values[i]).decode()
        return [key[0], *values]

    async def load(self, connection: Session, keys: Sequence[Key]) -> dict[Key, Held]:
        """The rows with these keys, and Held(None, 0) for those that are not there."""
        held: dict[Key, Held] = dict.fromkeys(keys, Held(None, 0))
        sql_types = ["text", *(self._column(name).sql for name in self.view.key)]
        arrays = ", ".join(f"${i}::{sql}[]" for i, sql in enumerate(sql_types, start=1))
        listed = ", ".join(f'"{name}"' for name in self.key)
        joined = " and ".join(f't."{name}" = k."{name}"' for name in self.key)
        records = await connection.fetch(
            f"select {self.select} from unnest({arrays}) as k({listed}) join {self.name} t on {joined}",
            *[list(column) for column in zip(*keys, strict=True)],
        )
        for record in records:
            key = (record["tenant"], *(record[name] for name in self.view.key))
            held[key] = Held(self.decode(record), record["since_position"])
        return held

    async def store(self, connection: Session, live: Iterable[tuple[Key, Held]]) -> None:
        """Write changed rows (a row of None is deleted)."""
        changed = list(live)
        gone = [key for key, held in changed if held.row is None]
        if gone:
            where = " and ".join(f'"{name}" = ${i}' for i, name in enumerate(self.key, start=1))
            await connection.executemany(f"delete from {self.name} where {where}", gone)
        rows = [[*self._values(key, held.row), held.since] for key, held in changed if held.row is not None]
        if rows:
            names = ["tenant", *self._names, "since_position"]
            rest = ", ".join(f'"{n}" = excluded."{n}"' for n in names if n not in self.key)
            await connection.execute(
                f"insert into {self.name} ({_quoted(names)}) select * from unnest({self._arrays(('bigint',))}) "
                f"on conflict ({_quoted(self.key)}) do update set {rest}",
                *map(list, zip(*rows, strict=True)),
            )

    async def keep(self, connection: Session, past: Iterable[Replaced]) -> None:
        """Write replaced rows to the past."""
        rows = [(*self._values(p.key, p.row), p.since, p.until) for p in past]
        if rows and self.view.past:
            await connection.copy_records_to_table(
                self.past.partition(".")[2],
                schema_name=SCHEMA,
                columns=["tenant", *self._names, "since_position", "until_position"],
                records=rows,
            )

    def as_of(self, position: str, where: str, *, most: int | None = None, first: str = "") -> str:
        """A FROM item `t`: the rows of this condition on `t`, as they stood at the position in this parameter.

        `most`: so many rows are enough; 1 says that the condition names a whole key. Of the long past of a row that
        changes often, only what lies near the position is read then. `first`: by which ORDER BY … LIMIT rows are asked
        for; of those that still stand no more are read.
        """
        began = f"{where} and t.since_position <= {position}"
        held = f"t.until_position > {position}"
        past = f"select {self.select} from {self.past} t where {began} and {held}"
        if most == 1:  # rows of one key hold one after the other: the last that began by then, or none
            newest = f"select t.* from {self.past} t where {began} order by t.since_position desc limit 1"
            past = f"select {self.select} from ({newest}) t where {held}"
        elif most is not None:
            past = f"{past} order by t.until_position limit {most}"
        return f"((select {self.select} from {self.name} t where {began} {first}) union all ({past})) t"

    def sql_type(self, name: str) -> str:
        return "text" if name == "tenant" else self._column(name).sql

    def hint(self, name: str) -> Any:
        """The Python type of a column."""
        return self._hints[name]

    def _column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def _arrays(self, more: tuple[str, ...]) -> str:
        sql_types = ["text", *(column.sql for column in self.columns), *more]
        return ", ".join(f"${i}::{sql}[]" for i, sql in enumerate(sql_types, start=1))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _columns(view: View[Any]) -> tuple[Column, ...]:
    hints = get_type_hints(view.row)
    return tuple(_column_of(name, hints[name]) for name in columns_of(view.row))


def _column_of(name: str, hint: Any) -> Column:
    sql = _SQL_TYPES.get(_without_none(hint))
    return Column(name, "jsonb", hint) if sql is None else Column(name, sql, None)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def table_of(service: Service, view: View[R], suffix: str = "") -> Table[R]:
    """The table of one of a service's views."""
    timed = any(timer.view is view for timer in service.timers)
    return Table(view, timed=timed, sent=any(effect.view is view for effect in service.effects), suffix=suffix)
