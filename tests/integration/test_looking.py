"""A look costs as much for a row that has changed a thousand times as for one that is new."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from infra.local.databases import Database
from libs.events.entries import new_id
from libs.events.looking import DatabaseLooks
from libs.events.tests.errands import ERRANDS, ErrandRow, GiveErrand
from libs.events.views import Look
from tests.integration.errands_service import Errands, errands, passed_on

pytestmark = pytest.mark.platform
CHANGES = 2_000
BEFORE = 5
READ_MAX = 4 * BEFORE
Plan = dict[str, Any]


class Overheard:
    """A pool, and the last statement that it was asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def fetch(self, sql: str, *given: Any) -> list[asyncpg.Record]:
        self.said = sql, given
        return await self._pool.fetch(sql, *given)


@pytest.mark.parametrize("by", ["its key", "other columns"])
async def test_a_look_reads_only_what_lies_near_its_position_of_a_long_past(database: Database, by: str) -> None:
    async with errands(database) as service:
        errand = await changed_often(service)

        def look(views: Look) -> tuple[ErrandRow, ...]:
            if by == "its key":
                return tuple(row for row in (views.row(ERRANDS, errand),) if row)
            return views.rows(ERRANDS, to="bob", open=True)

        heard = Overheard(service.pool)
        head = await service.journal.position()
        (row,), _ = await DatabaseLooks(service.projector, cast(asyncpg.Pool, heard)).run(
            "main", look, head - 2 * BEFORE
        )
        assert row.passed_on == CHANGES - 2 * BEFORE
        assert rows_read(await plan(service.pool, *heard.said)) <= READ_MAX


async def changed_often(service: Errands) -> UUID:
    errand = new_id()
    await service.ask(GiveErrand(errand=errand, to="ann"))
    await passed_on(service, errand, CHANGES)
    await service.settle()
    await service.pool.execute("analyze")
    return errand


async def plan(pool: asyncpg.Pool, sql: str, given: tuple[Any, ...]) -> Plan:
    (explained,) = json.loads(await pool.fetchval(f"explain (analyze, format json) {sql}", *given))
    found: Plan = explained["Plan"]
    return found


def rows_read(node: Plan) -> int:
    """Rows that this node and all below it took from tables or indexes, those that it passed over included."""
    read = 0
    if "Relation Name" in node:
        read = node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return read + sum(rows_read(below) for below in node.get("Plans", ()))
