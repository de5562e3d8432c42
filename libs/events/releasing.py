"""Releasing: what operators asked for is done between two batches, and what waited behind a record flows in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from libs.events.desk import DRAFT_BYTES_MAX, Desk, Draft, Key
from libs.events.judging import Judging, Verdict, judged, raw_of
from libs.events.parked import Parked, Problem, State, shortened
from libs.events.parking import fetch_rows

ACTS_AT_ONCE_MAX = 20
DRAINED_AT_ONCE_MAX = 200

_ASKED = """
select id, act, act_by, act_mended from journal.parked
where act is not null and state = 'parked' and kind <> 'reaction' and topic = any($1) order by act_at limit $2
"""

# The record that brings a draft to its bytes is its last.
_NEXT = """
topic = $1 and key = $2 and state = 'waiting' and number <= (
  select max(w.number) from (
    select number, sum(octet_length(value)) over (order by number) - octet_length(value) as before
    from journal.parked where topic = $1 and key = $2 and state = 'waiting' order by number limit $3) w
  where w.before < $4)
order by number
"""


class Taking(Judging, Protocol):
    async def take(self, verdict: Verdict, draft: Draft) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator asked for."""

    row: Parked
    act: str
    by: str
    mended: bytes | None


async def asked(database: asyncpg.Connection[asyncpg.Record], topics: tuple[str, ...]) -> list[Act]:
    found = await database.fetch(_ASKED, topics, ACTS_AT_ONCE_MAX)
    if not found:
        return []
    rows: dict[UUID, Parked] = {
        each.id: each for each in await fetch_rows(database, "id = any($1)", [each["id"] for each in found])
    }
    return [Act(rows[each["id"]], each["act"], each["act_by"], each["act_mended"]) for each in found]


async def act_on(desk: Desk, taking: Taking, act: Act, now: datetime) -> None:
    """Do one act, and let flow what waited for it."""
    draft = Draft()
    if act.row.kind is Problem.GAP:
        _on_gap(desk, draft, act, now)
    elif act.act == "drop":
        desk.end(draft, act.row, State.DROPPED, now, by=act.by)
    else:
        await _retry(desk, taking, draft, act, now)
    await desk.commit(draft, now)
    if act.row.kind.blocks:
        await drain(desk, taking, (act.row.topic, act.row.key), now)


def _on_gap(desk: Desk, draft: Draft, act: Act, now: datetime) -> None:
    """Dropping a gap says that the missing records will never come; a retry only looks again, as every round does."""
    row = act.row
    if act.act == "drop":
        partition = (row.topic, row.partition)
        place = desk.place(draft, partition)
        draft.places[partition] = replace(place, sequence=max(place.sequence, row.previous or 0))
        desk.end(draft, row, State.DROPPED, now, by=act.by)
    else:
        draft.rows[row.id] = row


async def _retry(desk: Desk, taking: Taking, draft: Draft, act: Act, now: datetime) -> None:
    row = act.row
    verdict = judged(taking, raw_of(row, value=act.mended), now, None)
    if verdict.wanted:
        verdict = await taking.take(verdict, draft)
    if verdict.problem:
        draft.rows[row.id] = replace(row, reason=shortened(verdict.reason))
    else:
        mended = row.mended if act.mended is None else act.mended
        desk.end(draft, replace(row, mended=mended), State.RELEASED, now, by=act.by)


async def drain(desk: Desk, taking: Taking, key: Key, now: datetime) -> None:
    """Take what waits for this key, in order, up to the next record that cannot be taken."""
    while desk.blocked[key]:
        parked = await fetch_rows(
            desk.database, "topic = $1 and key = $2 and state = 'parked' and kind = any($3) limit 1", *key, _BLOCKING
        )
        waiting = await fetch_rows(desk.database, _NEXT, *key, DRAINED_AT_ONCE_MAX, DRAFT_BYTES_MAX)
        if parked or not waiting:
            return
        draft = Draft()
        for row in waiting:
            verdict = judged(taking, raw_of(row), now, None)
            if verdict.wanted:
                verdict = await taking.take(verdict, draft)
            if verdict.problem is None:
                desk.end(draft, row, State.RELEASED, now)
            else:
                desk.park_waiting(draft, row, verdict, now)
                if verdict.problem.blocks:
                    break
        await desk.commit(draft, now)


_BLOCKING = [problem.value for problem in Problem if problem.blocks]
