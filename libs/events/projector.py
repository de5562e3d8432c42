"""The projector: folds new journal entries into every view of a service, in batches, checkpoint in the same commit.

One runs per service (a session lock decides); views at the same position are folded from one decoded batch, and one
that is new or was rebuilt catches up by itself first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import asyncpg
from opentelemetry import trace

from libs.events.ahead import Ahead
from libs.events.contract import Language, Opaque
from libs.events.entries import Entry, Fact
from libs.events.errors import NotYet, Undecodable
from libs.events.folding import apply, lines_by_fact, touches
from libs.events.journal import Journal
from libs.events.leading import leading
from libs.events.progress import Progress
from libs.events.service import Service
from libs.events.tables import Session, Table, table_of
from libs.events.unreadable import Unreadable, keep, kept
from libs.events.views import View

ROLE = "projector"
BATCH_ENTRIES_MAX = 2_000
POLL_S = 1.0
HELD_TRIES_MAX = 60
"""As often as the checkpoint may be waited for in vain, each time as long as the session's lock_timeout."""
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("baton")


class Decoded(NamedTuple):
    """An entry with its fact, decoded once for all views."""

    entry: Entry
    fact: Fact


class Sifted(NamedTuple):
    """Entries, and of those that were asked for: what can be read, and what was heard and cannot."""

    entries: list[Entry]
    decoded: list[Decoded]
    unreadable: list[Unreadable]

    def up_to(self, position: int) -> Sifted:
        """As far as this position."""
        return Sifted(
            [entry for entry in self.entries if entry.position <= position],
            [each for each in self.decoded if each.entry.position <= position],
            [each for each in self.unreadable if each.entry.position <= position],
        )


class Decoder:
    """Decodes the entries with these facts (`Fact` itself: all of them); others are passed over."""

    def __init__(self, language: Language, facts: Iterable[type[Fact]]) -> None:
        facts = frozenset(facts)
        self._language, self._all = language, Fact in facts
        self._types = language.types_of(facts)

    def decode(self, entry: Entry) -> Decoded:
        return Decoded(entry, self._fact(entry))

    def sift(self, entries: list[Entry]) -> Sifted:
        """All that were asked for, decoded; an own entry that cannot be read raises Undecodable."""
        decoded: list[Decoded] = []
        unreadable: list[Unreadable] = []
        for entry in entries:
            if not (self._all or entry.type in self._types):
                continue
            try:
                decoded.append(self.decode(entry))
            except Undecodable as error:
                if entry.sequence is not None:
                    raise
                unreadable.append(Unreadable(entry, str(error)))
        return Sifted(entries, decoded, unreadable)

    def _fact(self, entry: Entry) -> Fact:
        if self._all and not self._language.knows(entry.type):
            return Opaque()
        return self._language.decode(entry.type, entry.schema_version, entry.data)


async def fold_batch(connection: Session, table: Table[Any], batch: Sequence[Decoded]) -> None:
    """Fold a batch into one table and its past, inside the caller's transaction."""
    lines = lines_by_fact(table.view)
    work = [touch for entry, fact in batch for touch in touches(table.view, lines, entry, fact)]
    if not work:
        return
    live = await table.load(connection, list(dict.fromkeys(touch.key for touch in work)))
    before = dict(live)
    past = apply(live, work)
    await table.store(connection, ((key, held) for key, held in live.items() if held is not before[key]))
    await table.keep(connection, past)


def folded(views: Iterable[View[Any]]) -> frozenset[type[Fact]]:
    """The facts that these views fold."""
    return frozenset(line.fact for view in views for line in view.folds)


class Projector:
    """Folds the journal into the service's live views until it is stopped."""

    def __init__(self, service: Service, journal: Journal, pool: asyncpg.Pool, *, dsn: str) -> None:
        self._journal, self._pool, self._dsn = journal, pool, dsn
        self.tables = {view: table_of(service, view) for view in service.views}
        self._decoder = Decoder(service.language, folded(service.views))
        self._pages = Ahead(journal.read, self._decoder.sift, "position", BATCH_ENTRIES_MAX)
        self.progress = Progress("the views", self._lowest)
        self._places: dict[str, int] | None = None
        self.more = True
        self._filled: set[View[Any]] = set()
        self.begun_at = 0
        self.unreadable: dict[str, str] = {}

    async def prepare(self) -> None:
        """Create the tables and checkpoints that are missing. Safe to call from several processes at once.

        `begun_at` is where the journal ends: decisions and queries of this process wait until the views have come that
        far, so that none is made on a view that is only being filled.
        """
        self.begun_at = await self._journal.position()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('baton.views'))")
            for table in self.tables.values():
                await table.create(connection)
                await connection.execute(
                    "insert into views.checkpoint (name, position) values ($1, 0) on conflict do nothing", table.name
                )
        self.unreadable = await kept(self._pool)

    async def run(self) -> None:
        """Fold for ever. An own entry that cannot be read, or any that cannot be folded, raises: the service says so
        and folds nothing. A heard one that cannot be read is passed over and said so (`unreadable`).
        """
        try:
            async with leading(self._dsn, ROLE) as lead:
                self._places, held = None, 0
                while True:
                    lead.check()
                    seen = self._journal.wake.count
                    try:
                        await self.step()
                    except asyncpg.LockNotAvailableError:  # a rebuild compares: it holds the checkpoint while it does
                        held += 1
                        if held == HELD_TRIES_MAX:
                            raise
                        if held == 1:
                            _log.warning("a view's checkpoint is held, as a rebuild does; folding waits for it")
                        continue
                    held = 0
                    if not self.more:
                        await self._journal.wake.wait(POLL_S, since=seen)
        finally:
            self._pages.stop()

    async def step(self) -> bool:
        """Fold one batch; False when there was nothing to fold. `more`: there is probably more behind it.

        Where the views stand is known from the last batch; each batch asserts it when it moves the checkpoints.
        """
        names = {table.name: table for table in self.tables.values()}
        async with self._pool.acquire() as connection:
            places, self._places, self.more = self._places, None, True
            positions = places or await self._stand(connection, names)
            lowest = min(positions.values(), default=0)
            behind = [name for name, position in positions.items() if position == lowest]
            until = min((p for p in positions.values() if p > lowest), default=None)
            page = await self._pages.page(lowest)
            if until is not None:
                page = page.up_to(until)
            if not page.entries or not behind:
                self.more = False
                self.progress.reached(lowest)
                self.unreadable = self.unreadable and await kept(self._pool)  # a rebuild may have mended it
                return False
            last = page.entries[-1].position
            with _tracer.start_as_current_span("fold", attributes={"baton.entries": len(page.entries)}):
                async with connection.transaction():
                    await self._move(connection, behind, lowest, last)
                    for name in behind:
                        await fold_batch(connection, names[name], page.decoded)
                    await keep(connection, behind, page.unreadable)
        self._places, self.more = positions | dict.fromkeys(behind, last), self._pages.full or until is not None
        if page.unreadable:
            self.unreadable = await kept(self._pool)
        self.progress.reached(last)
        return True

    async def _stand(self, connection: Session, names: Iterable[str]) -> dict[str, int]:
        records = await connection.fetch(
            "select name, position from views.checkpoint where name = any($1) order by name", list(names)
        )
        return {record["name"]: record["position"] for record in records}

    async def _move(self, connection: Session, names: list[str], position: int, last: int) -> None:
        """Move the checkpoints from `position` on to `last`, and hold them."""
        moved = await connection.fetch(
            "update views.checkpoint set position = $3, updated_at = clock_timestamp() "
            "where name = any($1) and position = $2 returning name",
            names,
            position,
            last,
        )
        if len(moved) != len(names):
            raise RuntimeError(f"views {names} were folded by another process past position {position}")

    async def position(self) -> int:
        """The position up to which every live view has been folded."""
        return await self.progress.position()

    async def _lowest(self) -> int:
        if not self.tables:
            return await self._journal.position()
        names = [table.name for table in self.tables.values()]
        lowest: int | None = await self._pool.fetchval(
            "select min(position) from views.checkpoint where name = any($1)", names
        )
        return lowest or 0

    async def wait(self, position: int, timeout_s: float) -> None:
        """Until every view has folded `position`; raises NotYet after `timeout_s`."""
        await self.progress.wait(position, timeout_s)

    async def filled(self, view: View[Any], timeout_s: float) -> None:
        """Until this view has come to `begun_at`; raises NotYet after `timeout_s`."""
        if view in self._filled or self.progress.known >= self.begun_at:
            return
        sql, name = "select position from views.checkpoint where name = $1", self.tables[view].name
        try:
            async with asyncio.timeout(timeout_s):
                while (await self._pool.fetchval(sql, name) or 0) < self.begun_at:
                    await self.progress.moved_or_poll()
        except TimeoutError:
            raise NotYet(f"view {view.name} is being filled, up to position {self.begun_at}; retry") from None
        self._filled.add(view)
