"""Rebuilding: a view folded anew from the journal beside the live one, to be compared with it or to replace it.

The last step holds the live view's checkpoint, so both stand at the same position; it takes as long as one batch and
the comparison. Reactions and effects are no part of it.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import asyncpg
import msgspec

from libs.events.ahead import Ahead
from libs.events.journal import Journal
from libs.events.projector import BATCH_ENTRIES_MAX, Decoder, fold_batch, folded
from libs.events.service import Service
from libs.events.tables import Session, Table, table_of
from libs.events.unreadable import Unreadable, forget, keep
from libs.events.views import View

DIFFERENCES_MAX = 20
# Folding holds no lock of the journal, so it may take longer between two statements than who does.
_PATIENT = "set local idle_in_transaction_session_timeout = '60s'"


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """One view, rebuilt at `position`. `differing`: keys whose row (or its past) is not the live one's; the first
    DIFFERENCES_MAX of them. `digest`: SHA-256 over the rebuilt rows and their past, in order. `behind`: how many
    entries of the journal the live view had not folded yet; `unreadable`: how many heard ones nobody here can read.
    """

    service: str
    view: str
    version: int
    position: int
    rows: int
    past_rows: int
    digest: str
    differing: tuple[str, ...]
    behind: int = 0
    unreadable: int = 0


async def check(service: Service, view: View[Any], journal: Journal, pool: asyncpg.Pool) -> Rebuilt:
    """Rebuild beside the live view and compare, row for row and past for past."""
    return await _rebuild(service, view, journal, pool, replace=False)


async def replace(service: Service, view: View[Any], journal: Journal, pool: asyncpg.Pool) -> Rebuilt:
    """Rebuild and put the result in the live view's place, in one commit. `differing` says what was mended."""
    return await _rebuild(service, view, journal, pool, replace=True)


async def _rebuild(
    service: Service, view: View[Any], journal: Journal, pool: asyncpg.Pool, *, replace: bool
) -> Rebuilt:
    live, beside = table_of(service, view), table_of(service, view, suffix="_rebuild")
    decoder = Decoder(service.language, folded((view,)))
    async with pool.acquire() as connection:
        await connection.execute("select pg_advisory_lock(hashtext($1))", live.name)
        try:
            await beside.drop(connection)
            await beside.create(connection)
            position, unreadable = await _catch_up(connection, live, beside, decoder, journal)
            async with connection.transaction():
                await connection.execute(_PATIENT)
                until = await _reached(connection, live, "for update")
                unreadable += await _fold_until(connection, beside, decoder, journal, position, until)
                result = await _compare(connection, service, live, beside, until)
                if replace:
                    await _swap(connection, live, beside)
                    await forget(connection, live.name)
                    await keep(connection, (live.name,), unreadable)
            behind = max(await journal.position() - until, 0)
            return msgspec.structs.replace(result, behind=behind, unreadable=len(unreadable))
        finally:
            # A connection that is gone has let go of the lock, and the next rebuild drops what is left.
            with contextlib.suppress(asyncpg.InterfaceError):
                try:
                    await beside.drop(connection)
                finally:  # the pool keeps sessions as they are: the lock would stay for ever
                    await connection.execute("select pg_advisory_unlock(hashtext($1))", live.name)


async def _reached(connection: Session, live: Table[Any], lock: str = "") -> int:
    """How far the live view has been folded."""
    found: int | None = await connection.fetchval(
        f"select position from views.checkpoint where name = $1 {lock}", live.name
    )
    if found is None:
        raise LookupError(f"view {live.view.name} has no checkpoint: its service has never run")
    return found


async def _catch_up(
    connection: Session, live: Table[Any], beside: Table[Any], decoder: Decoder, journal: Journal
) -> tuple[int, list[Unreadable]]:
    """Fold until less than a batch is left to the live view, which goes on meanwhile; the position reached.

    Never past the live view, which may be far behind the journal: what it has not folded is not to be folded twice.
    """
    position, unreadable = 0, list[Unreadable]()
    pages = Ahead(journal.read, decoder.sift, "position", BATCH_ENTRIES_MAX)
    try:
        while position + BATCH_ENTRIES_MAX <= await _reached(connection, live):
            page = await pages.page(position)
            async with connection.transaction():
                await connection.execute(_PATIENT)
                await fold_batch(connection, beside, page.decoded)
            position, unreadable = page.entries[-1].position, unreadable + page.unreadable
    finally:
        pages.stop()
    return position, unreadable


async def _fold_until(
    connection: Session, beside: Table[Any], decoder: Decoder, journal: Journal, position: int, until: int
) -> list[Unreadable]:
    unreadable: list[Unreadable] = []
    while position < until:
        page = decoder.sift(await journal.read(position, min(BATCH_ENTRIES_MAX, until - position)))
        await fold_batch(connection, beside, page.decoded)
        position, unreadable = page.entries[-1].position, unreadable + page.unreadable
    return unreadable


async def _compare(
    connection: Session, service: Service, live: Table[Any], beside: Table[Any], position: int
) -> Rebuilt:
    keys = ", ".join(f'"{name}"' for name in live.key)
    pairs = [(live.name, beside.name)] + ([(live.past, beside.past)] if live.view.past else [])
    counts: list[int] = []
    digests: list[str] = []
    differing: dict[str, None] = {}
    for one, other in pairs:
        order = keys if one == live.name else f"{keys}, since_position"
        (record,) = await connection.fetch(
            f"select count(*) as rows, coalesce(string_agg(md5(t::text), '' order by {order}), '') as digests "
            f"from {other} t"
        )
        counts.append(record["rows"])
        digests.append(hashlib.sha256(record["digests"].encode()).hexdigest())
        records = await connection.fetch(
            f"select distinct {keys} from ((table {one} except table {other}) union all "
            f"(table {other} except table {one})) d order by {keys} limit {DIFFERENCES_MAX}"
        )
        differing |= dict.fromkeys("/".join(str(part) for part in record) for record in records)
    return Rebuilt(
        service=service.name,
        view=live.view.name,
        version=live.view.version,
        position=position,
        rows=counts[0],
        past_rows=sum(counts[1:]),
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        differing=tuple(differing)[:DIFFERENCES_MAX],
    )


async def _swap(connection: Session, live: Table[Any], beside: Table[Any]) -> None:
    await live.drop(connection)
    await connection.execute(f"alter table {beside.name} rename to {live.name.partition('.')[2]}")
    if live.view.past:
        await connection.execute(f"alter table {beside.past} rename to {live.past.partition('.')[2]}")
