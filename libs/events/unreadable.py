"""Heard entries that cannot be read: no view has them, and a service says so until a rebuild has mended its views.

What another owner said must not stop everything that this one does; what it decided itself must, and does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncpg

from libs.events.entries import Entry
from libs.events.tables import Session

SHOWN_MAX = 20
_log = logging.getLogger(__name__)


class Unreadable(NamedTuple):
    """An entry that was heard, and why no contract here can read it."""

    entry: Entry
    reason: str

    def text(self) -> str:
        return f"position {self.entry.position}, event {self.entry.id}: {self.reason}"


async def keep(connection: Session, names: Iterable[str], found: Sequence[Unreadable]) -> None:
    """Put on record that these tables lack these entries, in the transaction that passes them over."""
    rows = [(name, each.entry.position, each.text()) for name in names for each in found]
    if rows:
        await connection.executemany(
            "insert into views.unreadable (name, position, reason) values ($1, $2, $3) on conflict do nothing", rows
        )
    for each in found:
        _log.error("a heard entry cannot be read and is in no view: %s", each.text())


async def forget(connection: Session, name: str) -> None:
    """Before this table is replaced by one that was folded anew."""
    await connection.execute("delete from views.unreadable where name = $1", name)


async def kept(pool: asyncpg.Pool) -> dict[str, str]:
    """What readiness says of it: by the first positions, why."""
    records = await pool.fetch(
        "select position, min(reason) as reason, count(*) over () as more from views.unreadable "
        f"group by position order by position limit {SHOWN_MAX}"
    )
    cure = "; update the contracts, then `baton rebuild`"
    return {f"heard entry {r['position']} of {r['more']} unreadable": r["reason"] + cure for r in records}
