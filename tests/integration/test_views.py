"""Views on a real database: their past, pages, tenants, rebuild, and the decisions that look at them."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from infra.local.databases import Database
from libs.events import rebuilding
from libs.events.entries import new_id
from libs.events.errors import CommandReused, NotYet, Refusal
from libs.events.reading import BadQuestion
from libs.events.tests.errands import (
    ERRANDS,
    RINGS,
    SERVICE,
    FinishErrand,
    GiveErrand,
    PassOn,
    SayThanks,
)
from tests.integration.errands_service import DEADLINE_S, Errands, errands, now, until
from tests.integration.journal_probe import record

pytestmark = pytest.mark.platform


@pytest.fixture
def seed() -> int:
    chosen = random.SystemRandom().randrange(10**9)
    print(f"seed {chosen}")
    return chosen


async def test_a_row_is_answered_as_it_stood_at_each_instant(database: Database) -> None:
    async with errands(database) as service:
        errand = new_id()
        instants = []
        for command in (
            GiveErrand(errand=errand, to="ann"),
            PassOn(errand=errand, to="bob"),
            FinishErrand(errand=errand),
        ):
            await service.ask(command)
            await service.projector.step()
            instants.append((await service.journal.head()).instant)
        seen = []
        for instant in instants:
            row = await service.reader.row(ERRANDS, errand, tenant="main", at=await service.reader.moment(instant))
            assert row is not None
            seen.append((row.to, row.open, row.passed_on, row.tags))
        assert seen == [
            ("ann", True, 0, ("given",)),
            ("bob", True, 1, ("given", "bob")),
            ("bob", False, 1, ("given", "bob")),
        ]


async def test_as_of_before_the_first_entry_finds_nothing_and_is_final(database: Database) -> None:
    async with errands(database) as service:
        before = now()
        await service.ask(GiveErrand(errand=UUID(int=1), to="ann"))
        await service.projector.step()
        moment = await service.reader.moment(before)
        assert moment.final
        assert (await service.reader.page(ERRANDS, tenant="main", at=moment)).rows == ()


async def test_a_view_without_a_past_refuses_as_of_and_says_why(database: Database) -> None:
    async with errands(database) as service:
        moment = await service.reader.moment(now())
        with pytest.raises(BadQuestion, match="rings keeps no past"):
            await service.reader.page(RINGS, tenant="main", at=moment)


async def test_pages_follow_one_another_without_gap_or_repeat(database: Database) -> None:
    async with errands(database) as service:
        given = sorted([new_id() for _ in range(25)])
        for number, errand in enumerate(given):
            await service.ask(GiveErrand(errand=errand, to=f"p{number % 3}"))
        await service.settle()
        orders: list[tuple[str, ...]] = [("to",), ("-to",), ()]
        for order in orders:
            seen: list[tuple[str, UUID]] = []
            cursor = None
            while True:
                page = await service.reader.page(ERRANDS, tenant="main", order=order, limit=4, cursor=cursor)
                seen += [(row.to, row.errand) for row in page.rows]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert sorted(errand for _, errand in seen) == given
            if order:
                assert seen == sorted(seen, reverse=order[0] == "-to")
        with pytest.raises(BadQuestion, match="next_cursor"):
            await service.reader.page(ERRANDS, tenant="main", cursor="bm90IGEgY3Vyc29y")


async def test_a_cursor_is_taken_with_its_own_query_only(database: Database) -> None:
    async with errands(database) as service:
        for number in range(6):
            await service.ask(GiveErrand(errand=new_id(), to=f"p{number % 2}"))
        await service.settle()
        then, later = [await service.reader.moment(now()) for _ in range(2)]
        asked: dict[str, Any] = {"equal": {"to": "p0"}, "order": ("to",), "at": then}
        others: tuple[dict[str, Any], ...] = (
            {"equal": {"to": "p1"}},
            {"equal": {}},
            {"order": ("-to",)},
            {"at": later},
            {"at": None},
        )
        cursor = (await service.reader.page(ERRANDS, tenant="main", limit=1, **asked)).next_cursor
        rest = await service.reader.page(ERRANDS, tenant="main", limit=5, cursor=cursor, **asked)
        assert [row.to for row in rest.rows] == ["p0", "p0"], "a page may be of another length"
        for other in others:
            with pytest.raises(BadQuestion, match="with the same query"):
                await service.reader.page(ERRANDS, tenant="main", cursor=cursor, **{**asked, **other})


async def test_a_second_tenant_sees_nothing_of_the_first(database: Database) -> None:
    async with errands(database) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"), tenant="main")
        await service.settle()
        assert await service.reader.row(ERRANDS, errand, tenant="main") is not None
        assert await service.reader.row(ERRANDS, errand, tenant="other") is None
        with pytest.raises(Refusal, match="errand-is-open"):
            await service.ask(PassOn(errand=errand, to="bob"), tenant="other")


async def test_row_level_security_fails_closed_without_a_tenant(database: Database) -> None:
    async with errands(database) as service:
        await service.ask(GiveErrand(errand=new_id(), to="ann"))
        await service.settle()
        connection = await asyncpg.connect(database.reader_url)
        try:
            with pytest.raises(asyncpg.PostgresError, match=r"baton\.tenant"):
                await connection.fetch("select * from views.errands_v1")
            await connection.execute("select set_config('baton.tenant', 'other', false)")
            assert await connection.fetch("select * from views.errands_v1") == []
            assert await connection.fetch("select * from views.errands_v1_past") == []
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("delete from views.errands_v1")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("select * from journal.entries")
        finally:
            await connection.close()


async def test_a_decision_sees_its_own_last_write_in_the_views(database: Database) -> None:
    async with errands(database) as service, service.working():
        for errand in [new_id() for _ in range(3)]:
            await service.ask(GiveErrand(errand=errand, to="bob"))
        fourth = new_id()
        await service.ask(GiveErrand(errand=fourth, to="ann"))
        with pytest.raises(Refusal, match="at-most-three"):
            await service.ask(PassOn(errand=fourth, to="bob"))


async def test_the_same_command_gets_its_first_result_and_another_payload_is_refused(database: Database) -> None:
    async with errands(database) as service:
        errand, key = new_id(), new_id()
        first = await service.ask(GiveErrand(errand=errand, to="ann"), command_id=key)
        again = await service.ask(GiveErrand(errand=errand, to="ann"), command_id=key)
        assert (again.position, again.version, again.known) == (first.position, first.version, True)
        with pytest.raises(CommandReused):
            await service.ask(GiveErrand(errand=errand, to="bob"), command_id=key)


async def test_a_view_that_lags_is_told_as_not_yet(database: Database) -> None:
    async with errands(database) as service:
        answer = await service.ask(GiveErrand(errand=new_id(), to="ann"))
        with pytest.raises(NotYet, match=f"position {answer.position}"):
            await service.projector.wait(answer.position, 0.1)


async def test_a_rebuilt_view_equals_the_live_one_and_a_corrupted_row_is_named(database: Database, seed: int) -> None:
    async with errands(database) as service:
        async with service.working():
            await _busy(service, random.Random(seed), commands=300)
            await _settled(service)
        for view in SERVICE.views:
            result = await rebuilding.check(SERVICE, view, service.journal, service.pool)
            assert result.differing == ()
        first = await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)
        assert first.rows > 0
        assert first.past_rows > 0
        errand = await service.pool.fetchval('select errand from views.errands_v1 order by "to", errand limit 1')
        await service.pool.execute("update views.errands_v1 set passed_on = passed_on + 1 where errand = $1", errand)
        corrupted = await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)
        assert corrupted.differing == (f"main/{errand}",)
        assert corrupted.digest == first.digest
        await rebuilding.replace(SERVICE, ERRANDS, service.journal, service.pool)
        assert (await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)).differing == ()


async def test_a_view_is_rebuilt_under_load_and_equals_the_live_one(database: Database, seed: int) -> None:
    async with errands(database) as service, service.working():
        load = asyncio.create_task(_busy(service, random.Random(seed), commands=600))
        compared = 0
        while not load.done():
            result = await rebuilding.check(SERVICE, ERRANDS, service.journal, service.pool)
            assert result.differing == ()
            compared += 1
        await load
        assert compared >= 1
        await _settled(service)
        thanks = [e.subject for e in await service.journal.read(0, 10_000) if e.type == "errands.ThanksSaid"]
        assert len(thanks) == len(set(thanks)), "a rebuild repeats no reaction"


async def test_a_timer_fires_at_its_due_instant_and_a_fact_that_came_first_wins(database: Database) -> None:
    async with errands(database) as service:
        start = (await service.clock.read()).now
        await service.clock.hold(start)
        await service.clock.fire()
        forgotten, done = new_id(), new_id()
        await service.ask(GiveErrand(errand=forgotten, to="ann", due_in_s=60))
        await service.ask(GiveErrand(errand=done, to="ann", due_in_s=60))
        await service.settle()
        stale = await service.pool.fetch("select * from views.reminders_v1")
        assert len(stale) == 2
        await service.ask(FinishErrand(errand=done))  # not folded yet: the timer's row is stale
        due = (await service.timekeeper.next_due()) or start
        await service.clock.hold(due)
        assert await service.timekeeper.waiting() == 0, "a held clock fires nothing before it is told to"
        await service.clock.fire()
        assert await service.timekeeper.waiting() == 2
        async with service.working():
            await until(lambda: _is(service, 0), "no timer waits")
        entries = await service.journal.read(0, 100)
        (fired,) = [entry for entry in entries if entry.type == "errands.ErrandForgotten"]
        assert fired.subject == forgotten
        assert fired.occurred_at == due
        assert fired.actor == "errands/reminder"
        (given,) = [entry for entry in entries if entry.subject == forgotten and entry is not fired]
        follows = (fired.causation_id, fired.correlation_id, fired.basis)
        assert follows == (given.id, given.correlation_id, given.position), "a timer follows from what made its row"
        assert service.timekeeper.stuck == {}


async def test_the_clock_moves_only_forward_and_runs_on_from_where_it_stands(database: Database) -> None:
    async with errands(database) as service:
        later = now().replace(year=now().year + 1)
        await service.clock.hold(later)
        with pytest.raises(Refusal, match="clock-moves-forward"):
            await service.clock.hold(now())
        await service.ask(GiveErrand(errand=new_id(), to="ann"))
        (entry,) = await service.journal.read(0, 10)
        assert entry.occurred_at == later
        assert 0 <= (entry.noted_at - later).total_seconds() < 0.001
        running = await service.clock.run_on()
        assert running.held_at is None
        assert 0 <= (running.now - later).total_seconds() < DEADLINE_S


async def test_a_running_clock_can_be_held_where_a_neighbour_ahead_of_it_already_stands(database: Database) -> None:
    async with errands(database) as service:
        stand = now() + timedelta(seconds=30)
        await service.journal.hear([record("ahead", stand)])
        (entry,) = await service.journal.read(0, 10)
        assert entry.noted_at > stand, "noted after its neighbour recorded it"
        assert (await service.clock.hold(stand)).held_at == stand
        with pytest.raises(Refusal, match="clock-moves-forward"):
            await service.clock.hold(stand - timedelta(seconds=1))


async def _is(service: Errands, count: int) -> bool:
    return bool(await service.timekeeper.waiting() == count)


async def _settled(service: Errands) -> None:
    async def folded() -> bool:
        head = (await service.journal.head()).position
        at = await service.projector.position(), await service.reactor.position()
        return bool(at == (head, head))

    await until(folded, "views and reactions have come to the head")


async def _busy(service: Errands, chance: random.Random, commands: int) -> None:
    """Commands on a few errands, eight at a time; refusals are part of it."""
    errands_ = [UUID(int=chance.getrandbits(120)) for _ in range(40)]

    async def one(errand: UUID) -> None:
        command = chance.choice(
            [
                GiveErrand(errand=errand, to=chance.choice(["ann", "bob", "cy"])),
                PassOn(errand=errand, to=chance.choice(["ann", "bob", "cy", "di"])),
                FinishErrand(errand=errand),
                SayThanks(errand=errand),
            ]
        )
        try:
            await service.ask(command)
        except Refusal as refusal:
            if refusal.rule not in ("errand-is-open", "at-most-three"):
                raise
        except NotYet:
            if not isinstance(command, PassOn | SayThanks):
                raise

    for _ in range(commands // 8):
        await asyncio.gather(*(one(chance.choice(errands_)) for _ in range(8)))
