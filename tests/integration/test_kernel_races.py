"""Schedules that once went wrong, played by hand on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec import structs

from infra.local.databases import Database
from libs.events import projector, rebuilding
from libs.events.contract import Contract
from libs.events.deciding import Command
from libs.events.desk import Desk, Draft, Partition
from libs.events.entries import Entry, Fact, derived_id, new_id
from libs.events.errors import NotYet
from libs.events.fetching import Fetching
from libs.events.handling import Handler, Request
from libs.events.journal import Journal
from libs.events.judging import Place, Raw, Verdict
from libs.events.leading import Lead, connect
from libs.events.parked import Parked, Problem, State, parked_id
from libs.events.parking import Announcing, Parking
from libs.events.projector import Projector
from libs.events.reactions import Reaction
from libs.events.tables import Session, Table
from libs.events.term import Term
from libs.events.tests.errands import (
    CONTRACT,
    ERRANDS,
    SERVICE,
    ErrandDone,
    ErrandForgotten,
    ErrandGiven,
    ErrandPassedOn,
    FinishErrand,
    ForgetErrand,
    GiveErrand,
    PassOn,
    Reminder,
)
from libs.events.timers import Timer
from libs.events.views import Look, View, on
from libs.events.wire import Envelope, Link
from libs.service.database import open_pool
from tests.integration.errands_service import DEADLINE_S, Errands, errands, now, until

pytestmark = pytest.mark.platform
TOPIC = "baton.bells"


async def test_a_view_that_lags_is_not_rebuilt_past_where_it_stands(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded further than the checkpoint, its rows would be folded a second time after the swap."""
    monkeypatch.setattr(rebuilding, "BATCH_ENTRIES_MAX", 5)
    async with errands(database) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        for _ in range(10):
            await _unseen(service, PassOn(errand=errand, to="bob"))
        await service.settle()
        for _ in range(10):
            await _unseen(service, PassOn(errand=errand, to="cy"))
        assert (await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)).differing == ()
        replaced = await rebuilding.replace(SERVICE, ERRANDS, service.journal, service.pool)
        assert (replaced.position, replaced.differing) == (11, ())
        await service.settle()
        row = await service.reader.row(ERRANDS, errand, tenant="main")
        assert row is not None
        assert row.passed_on == 20
        assert (await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)).differing == ()


async def test_a_rebuild_that_cannot_tidy_up_still_lets_go_of_its_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = 0

    async def drop(self: Table[Any], connection: Session) -> None:
        nonlocal drops
        drops += 1
        if drops == 2:
            raise asyncpg.LockNotAvailableError("somebody reads the table")

    monkeypatch.setattr(Table, "drop", drop)
    async with errands(database) as service, await open_pool(database.url, "test") as pool:
        with pytest.raises(asyncpg.LockNotAvailableError):
            await rebuilding.check(SERVICE, ERRANDS, service.journal, pool)
        name = service.projector.tables[ERRANDS].name
        assert await service.pool.fetchval("select pg_try_advisory_lock(hashtext($1))", name)


async def test_a_checkpoint_that_a_rebuild_holds_is_waited_for(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A comparison may take longer than a lock is waited for; the projector does not fail of it."""
    hasty = asyncpg.create_pool(database.url, min_size=1, max_size=3, server_settings={"lock_timeout": "20ms"})
    async with errands(database) as service, hasty as pool, service.pool.acquire() as rebuild:
        waiting = Trying(SERVICE, service.journal, pool, dsn=database.url)
        answer = await service.ask(GiveErrand(errand=new_id(), to="ann"))
        holding = rebuild.transaction()
        await holding.start()
        await rebuild.execute("select * from views.checkpoint for update")
        folding = asyncio.create_task(waiting.run())
        try:
            await until(waiting.failed_thrice, "it waited three times in vain")
            await holding.rollback()
            await waiting.wait(answer.position, DEADLINE_S)
            assert not folding.done()
            assert len([record for record in caplog.records if "checkpoint is held" in record.message]) == 1
        finally:
            folding.cancel()
            await asyncio.wait([folding])


class Trying(Projector):
    tries = 0

    async def step(self) -> bool:
        self.tries += 1
        return await super().step()

    async def failed_thrice(self) -> bool:
        return self.tries > 3


async def test_a_process_decides_nothing_on_views_that_are_still_being_filled(database: Database) -> None:
    async with errands(database) as before:
        for _ in range(3):
            await before.ask(GiveErrand(errand=new_id(), to="bob"))
        errand = new_id()
        await before.ask(GiveErrand(errand=errand, to="ann"))
    async with errands(database) as service:  # nothing has been folded so far: bob seems to be free
        with pytest.raises(NotYet):
            await service.ask(PassOn(errand=errand, to="bob"))


async def test_a_new_version_of_a_view_is_not_shown_half_filled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "BATCH_ENTRIES_MAX", 2)
    given = [new_id() for _ in range(5)]
    async with errands(database) as before:
        for errand in given:
            await before.ask(GiveErrand(errand=errand, to="ann"))
        await before.settle()
    newer = replace(ERRANDS, version=2)
    async with errands(database, replace(SERVICE, views=(ERRANDS, newer, *SERVICE.views[1:]))) as service:
        await service.projector.step()
        for ask in (service.reader.page(newer, tenant="main"), service.reader.row(newer, given[0], tenant="main")):
            with pytest.raises(NotYet, match="view errands is being filled, up to position 5"):
                await ask
        assert len((await service.reader.page(ERRANDS, tenant="main")).rows) == 5, "it hinders no other view"
        await service.settle()
        assert len((await service.reader.page(newer, tenant="main")).rows) == 5


async def test_a_timer_that_fails_is_set_aside_and_others_fire(database: Database) -> None:
    broken, good = new_id(), new_id()

    def command(row: Any) -> Any:
        if row.errand == broken:
            raise KeyError("a bug")
        return timer.command(row)

    timer: Timer = SERVICE.timers[0]
    async with errands(database, replace(SERVICE, timers=(replace(timer, command=command),))) as service:
        for errand in (broken, good):
            await service.ask(GiveErrand(errand=errand, to="ann", due_in_s=-1))
        async with service.working():
            await until(lambda: _set_aside(service), "both have been fired")
        entries = await service.journal.read(0, 100)
        assert [e.subject for e in entries if e.type == "errands.ErrandForgotten"] == [good]
        assert [key[2] for key in service.timekeeper.stuck] == [(broken,)]
        assert await service.timekeeper.next_due() is None, "the clock does not stop for it again"


async def test_after_a_stand_still_the_timers_of_one_subject_fire_in_the_order_of_their_instants(
    database: Database,
) -> None:
    def due(in_s: int) -> Callable[..., Reminder]:
        def fold(row: Reminder | None, fact: ErrandGiven, entry: Entry) -> Reminder:
            return Reminder(fact.errand, entry.occurred_at + timedelta(seconds=in_s), entry.version, "")

        return fold

    def kept(row: Reminder | None, fact: Fact, entry: Entry) -> Reminder | None:
        return None if row is None else Reminder(row.errand, row.due_at, entry.version, "")

    def gone(row: Reminder | None, fact: Fact, entry: Entry) -> None:
        return None

    ends = View(
        "ends",
        1,
        Reminder,
        ("errand",),
        (on(ErrandGiven, due(100)), on(ErrandPassedOn, kept), on(ErrandForgotten, gone)),
    )
    rungs = View(
        "rungs",
        1,
        Reminder,
        ("errand",),
        (on(ErrandGiven, due(30)), on(ErrandPassedOn, gone), on(ErrandForgotten, gone)),
    )
    timers = (
        Timer("end", ends, lambda row: ForgetErrand(errand=row.errand), sources=()),
        Timer("rung", rungs, lambda row: PassOn(errand=row.errand, to=str(row.errand)), sources=()),
    )
    played = replace(SERVICE, views=(*SERVICE.views, ends, rungs), timers=timers)
    async with errands(database, played) as service:
        start = (await service.clock.read()).now
        await service.clock.hold(start)
        given = [new_id() for _ in range(3)]
        for errand in given:
            await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.clock.hold(start + timedelta(hours=1))
        await service.clock.fire()
        async with service.working():
            await until(lambda: _fired(service, 6), "both timers of each have fired")
        entries = (await service.journal.read(0, 100))[3:]
        for errand in given:
            told = [entry.type for entry in entries if entry.subject == errand]
            assert told == ["errands.ErrandPassedOn", "errands.ErrandForgotten"]
        assert service.timekeeper.stuck == {}


async def _fired(service: Errands, count: int) -> bool:
    return await service.journal.position() == 3 + count


async def test_a_reaction_whose_value_no_column_can_hold_is_parked(database: Database) -> None:
    def misses(fact: ErrandDone, entry: Entry, look: Look) -> list[Any]:
        look.row(ERRANDS, "no uuid")
        return []

    service_ = replace(SERVICE, reactions=(Reaction("misses", (ErrandDone,), misses), *SERVICE.reactions))
    async with errands(database, service_) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.ask(FinishErrand(errand=errand))
        await service.settle()
        assert [name for name, _, _ in service.parked.found] == ["misses"]
        assert "errands.ThanksSaid" in [entry.type for entry in await service.journal.read(0, 100)]


async def test_a_reaction_that_meets_a_connection_that_was_ended_is_tried_again(database: Database) -> None:
    """The driver's own words, between the server's last message and the end of the connection."""
    ended = [asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")]

    def meets(fact: ErrandDone, entry: Entry, look: Look) -> list[Any]:
        if ended:
            raise ended.pop()
        return []

    service_ = replace(SERVICE, reactions=(Reaction("meets", (ErrandDone,), meets), *SERVICE.reactions))
    async with errands(database, service_) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.ask(FinishErrand(errand=errand))
        with pytest.RaisesGroup(asyncpg.InternalClientError, flatten_subgroups=True):
            await service.settle()
        await service.settle()
        assert service.parked.found == []
        assert "errands.ThanksSaid" in [entry.type for entry in await service.journal.read(0, 100)]


async def test_a_look_for_nothing_finds_the_rows_that_have_nothing_and_no_other(database: Database) -> None:
    def given(row: Promise | None, fact: ErrandGiven, entry: Entry) -> Promise:
        return Promise(fact.errand, fact.due_at)

    promises = View("promises", 1, Promise, ("errand",), (on(ErrandGiven, given),))
    async with errands(database, replace(SERVICE, views=(*SERVICE.views, promises))) as service:
        open_, bound = new_id(), new_id()
        await service.ask(GiveErrand(errand=open_, to="ann"))
        await service.ask(GiveErrand(errand=bound, to="ann", due_in_s=60))
        await service.settle()
        found, _ = await service.looks.run("main", lambda look: look.rows(promises, due_at=None))
        assert [row.errand for row in found] == [open_]
        assert await service.reader.row(promises, None, tenant="main") is None


class Promise(Fact, frozen=True):
    errand: UUID
    due_at: datetime | None


async def test_what_an_older_version_of_a_reaction_decided_stands_and_the_rest_is_done(database: Database) -> None:
    first, second = new_id(), new_id()

    def tell(fact: ErrandDone, entry: Entry, look: Look) -> list[Command]:
        return [GiveErrand(errand=first, to="as it is said now"), GiveErrand(errand=second, to="bob")]

    async with errands(database, replace(SERVICE, reactions=(Reaction("tell", (ErrandDone,), tell),))) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.ask(FinishErrand(errand=errand))
        done = (await service.journal.read(0, 10))[-1]
        before = GiveErrand(errand=first, to="as it was said then")
        await service.ask(before, command_id=derived_id(done.id, "tell", "0"))
        await service.settle()
        assert service.parked.found == []
        to = {row.errand: row.to for row in (await service.reader.page(ERRANDS, tenant="main")).rows}
        assert to == {errand: "ann", first: "as it was said then", second: "bob"}


async def test_what_a_dead_process_began_on_a_parked_reaction_can_be_asked_again(database: Database) -> None:
    async with errands(database) as service:
        await service.ask(GiveErrand(errand=new_id(), to="ann"))
        (entry,) = await service.journal.read(0, 1)
        parking = Parking(CONTRACT, service.journal, service.pool)
        await parking.park_reaction("thank", entry, "a rule says no")
        (row,) = await parking.page()
        await service.pool.execute("update journal.parked set act = 'retry', act_by = 'dead' where id = $1", row.id)
        assert (await parking.drop(row.id, "ops-1")).state == "dropped"


async def test_what_was_about_to_flow_when_a_listener_ended_flows_with_the_next_one(database: Database) -> None:
    async with listening(database) as (desk, taker):
        rows = [_row(offset, Problem.WAITING, State.WAITING) for offset in (3, 4, 5)]
        behind = structs.replace(_row(9, Problem.WAITING, State.WAITING), key="main:other")
        poison = structs.replace(_row(8, Problem.UNREADABLE, State.PARKED), key="main:other")
        await desk.journal.hear((), (), (*rows, poison, behind))
        await desk.load((TOPIC,))
        await Term(taker, desk, cast("Fetching", None)).resume()
        assert [verdict.raw.offset for verdict in taker.taken] == [3, 4, 5]
        assert desk.blocked == {(TOPIC, "main:other"): 2}
        states = await desk.database.fetch("select state from journal.parked order by number")
        assert [each["state"] for each in states] == ["released"] * 3 + ["parked", "waiting"]


async def test_a_foreign_record_with_the_same_id_does_not_stand_for_the_one_that_waits(database: Database) -> None:
    async with listening(database) as (desk, _):
        event = uuid4()
        await desk.journal.hear((), (), (structs.replace(_row(1, Problem.FOREIGN, State.PARKED), event_id=event),))
        verdict = Verdict(_raw(2), Envelope({"id": str(event)}, b""), link=Link(2, 1, 1), wanted=True)
        assert not await desk.known(Draft(), verdict)
        desk.set_aside(draft := Draft(), verdict, now())
        await desk.commit(draft, now())
        again = structs.replace(verdict, raw=_raw(7))  # its copy, published once more
        assert await desk.known(Draft(), again)


class Taker:
    def __init__(self) -> None:
        self.role = "listener"
        self.topics: tuple[str, ...] = (TOPIC,)
        self.tails: tuple[str, ...] = ()
        self.taken: list[Verdict] = []

    async def prepare(self, database: asyncpg.Connection[asyncpg.Record]) -> None: ...

    def judge(self, raw: Raw, now: datetime, place: Place | None) -> Verdict:
        return Verdict(raw, wanted=True)

    async def take(self, verdict: Verdict, draft: Draft) -> Verdict:
        self.taken.append(verdict)
        return verdict

    def tail(self, records: Sequence[Raw]) -> None: ...

    async def written(self, places: Mapping[Partition, Place]) -> None: ...


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[tuple[Desk, Taker]]:
    """A listener's desk without Kafka."""
    journal = await Journal.open(database.url, service="errands")
    connection = await connect(database.url, "listener")
    try:
        lead = Lead("listener", await connection.fetchval("select journal.lead('listener')"))
        yield Desk(journal, connection, lead, Announcing(Contract("errands", ()), "listener")), Taker()
    finally:
        connection.terminate()
        await journal.close()


def _row(offset: int, kind: Problem, state: State) -> Parked:
    return Parked(parked_id(TOPIC, "1", 0, offset), kind, state, TOPIC, "1", 0, offset, "main:one", "")


def _raw(offset: int) -> Raw:
    return Raw(TOPIC, "1", 0, offset, "main:one", (), b"{}")


async def _unseen(service: Errands, command: PassOn) -> None:
    """Append while nobody folds: the decision looks at the views as they are."""
    await Handler(SERVICE, service.journal, service.looks).ask(Request(command, "main", "ann", new_id(), now()))


async def _set_aside(service: Errands) -> bool:
    return bool(service.timekeeper.stuck) and await service.timekeeper.waiting() == 0


async def test_a_successor_waits_for_what_its_predecessor_is_still_committing(database: Database) -> None:
    former, successor = [await asyncpg.connect(database.owner_url) for _ in range(2)]
    try:
        term = await former.fetchval("select journal.lead('listener')")
        async with former.transaction():
            await former.execute("select journal.note_listening('{}', '{}', '{}', '{}', '{}', '{}', null, $1)", term)
            leading = asyncio.create_task(successor.fetchval("select journal.lead('listener')"))
            blocked = "select $1 = any(pg_blocking_pids($2))"
            pids = (former.get_server_pid(), successor.get_server_pid())

            async def waits() -> bool:
                return bool(await former.fetchval(blocked, *pids))

            await until(waits, "the successor waits")
        assert await leading > term
    finally:
        former.terminate()
        successor.terminate()
