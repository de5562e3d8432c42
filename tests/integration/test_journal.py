"""The journal on a real PostgreSQL: what may be appended, what is answered, and what "as of" means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from infra.local.databases import Database
from libs.events import line
from libs.events.appends import DATA_BYTES_MAX
from libs.events.entries import Entry, new_id
from libs.events.errors import CommandReused, Unavailable, Undecodable, VersionConflict
from libs.events.journal import (
    ANY,
    HEARD_MAX,
    PAGE_BYTES_MAX,
    Appended,
    HeardOutcome,
    Journal,
    Offset,
    is_full,
)
from libs.events.line import Line
from tests.integration.journal_probe import append, record, stream

pytestmark = pytest.mark.platform

US = timedelta(microseconds=1)
STORY = datetime(2030, 3, 2, 10, 10, tzinfo=UTC)
WITHIN_S = 20.0


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[Journal]:
    journal = await Journal.open(database.url, service="probe")
    yield journal
    await journal.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, command_timeout=WITHIN_S)
    try:
        yield connection
    finally:
        await connection.close()


async def everything(journal: Journal) -> list[Entry]:
    return await journal.read(0, 10_000)


async def hold(database: Database, at: datetime | None) -> None:
    async with connected(database.url) as connection:
        await connection.execute("update journal.clock set held_at = $1", at)


# ── appending ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_append_is_read_back_as_it_was_given(journal: Journal) -> None:
    cause = append()
    caused = append(facts=3, cause=cause.facts[0][0])
    await journal.append(cause)
    result = await journal.append(caused)
    first, *rest = await everything(journal)
    assert (first.position, first.sequence, first.version, first.epoch) == (1, 1, 1, 1)
    assert [(e.id, e.type, e.schema_version, e.data) for e in rest] == list(caused.facts)
    assert {e.causation_id for e in rest} == {first.id}
    assert [e.version for e in rest] == [1, 2, 3]
    last = rest[-1]
    assert result == Appended(last.position, last.version, last.noted_at, known=False)
    assert last.recorded_at == last.noted_at
    assert last.occurred_at == caused.occurred_at
    assert await journal.load(caused.stream, new_id(), after_version=1) == (False, rest[1:], False)


async def test_the_same_command_again_is_answered_with_the_first_result(journal: Journal) -> None:
    first = append(facts=3)
    result = await journal.append(first)
    await journal.append(append(first.stream, 3))
    fewer = append(first.stream, 4, command=first.command_id, facts=1)
    assert await journal.append(fewer) == replace(result, known=True)
    assert await journal.find(first.command_id) == (replace(result, known=True), first.digest)
    assert await journal.find(new_id()) is None
    assert len(await everything(journal)) == 4


async def test_the_same_command_twice_at_once_is_noted_once(journal: Journal) -> None:
    one = append(facts=2)
    results = await asyncio.gather(*(journal.append(one) for _ in range(8)))
    assert {(r.position, r.version, r.noted_at) for r in results} == {(2, 2, results[0].noted_at)}
    assert sum(not r.known for r in results) == 1


async def test_the_same_key_with_another_payload_is_refused(journal: Journal) -> None:
    first = append(payload="accept")
    other = append(first.stream, 1, command=first.command_id, payload="reject")
    assert [
        type(r) for r in await asyncio.gather(*map(journal.append, (first, other, other)), return_exceptions=True)
    ] == [
        Appended,
        CommandReused,
        CommandReused,
    ]
    with pytest.raises(CommandReused):
        await journal.append(other)
    assert len(await everything(journal)) == 1


async def test_a_conflict_names_the_version_that_stands(journal: Journal) -> None:
    await journal.append(append(stream("a"), facts=2))
    with pytest.raises(VersionConflict, match="at version 2 by now, not 1"):
        await journal.append(append(stream("a"), 1))


async def test_a_conflict_never_harms_its_neighbours(journal: Journal) -> None:
    await journal.append(append(stream("a"), facts=2))
    group = [append(stream("a"), expected) for expected in (1, 2, 2, ANY, 4, 9, 5)] + [append(facts=4)]
    results = await asyncio.gather(*map(journal.append, group), return_exceptions=True)
    versions = [r.version if isinstance(r, Appended) else r for r in results]
    assert [v if isinstance(v, int) else type(v) for v in versions] == [
        VersionConflict, 3, VersionConflict, 4, 5, VersionConflict, 6, 4,
    ]  # fmt: skip
    entries = await everything(journal)
    assert [e.position for e in entries] == list(range(1, 11))
    assert [e.version for e in (await journal.load(stream("a"), new_id())).entries] == [1, 2, 3, 4, 5, 6]


async def test_what_the_database_refuses_harms_only_its_caller(journal: Journal) -> None:
    taken = append()
    await journal.append(taken)
    group = [append() for _ in range(20)]
    group[4] = append(facts=2, ids=[taken.facts[0][0]])
    group[11] = append(actor="nul\x00")
    results = await asyncio.gather(*map(journal.append, group), return_exceptions=True)
    refused = {i: type(r) for i, r in enumerate(results) if isinstance(r, BaseException)}
    assert refused == {4: asyncpg.UniqueViolationError, 11: asyncpg.CharacterNotInRepertoireError}
    assert [e.position for e in await everything(journal)] == list(range(1, 20))


async def test_a_caller_that_stops_waiting_harms_nobody(journal: Journal) -> None:
    tasks = [asyncio.create_task(journal.append(append(facts=2))) for _ in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    told = [r for r in results if isinstance(r, Appended)]
    assert len(told) == 26
    entries = {e.position: e for e in await everything(journal)}
    assert sorted(entries) == list(range(1, len(entries) + 1))
    assert all(entries[r.position].version == r.version for r in told)


async def test_a_full_queue_is_refused_and_the_rest_is_appended(database: Database) -> None:
    journal = await Journal.open(database.url, service="probe", queue_max=10)
    results = await asyncio.gather(*(journal.append(append()) for _ in range(15)), return_exceptions=True)
    assert [type(r) for r in results] == [Appended] * 10 + [Unavailable] * 5
    await journal.close()
    with pytest.raises(Unavailable, match="closed"):
        await journal.append(append())


async def test_closing_appends_what_waits(database: Database) -> None:
    journal = await Journal.open(database.url, service="probe")
    waiting = [asyncio.create_task(journal.append(append())) for _ in range(300)]
    await asyncio.sleep(0)
    await journal.close()
    assert sorted([(await w).position for w in waiting]) == list(range(1, 301))


# ── who may what ─────────────────────────────────────────────────────────────────────────────────────────────────────

ROW = "insert into journal.entries select (jsonb_populate_record(e, '{\"position\": 2}')).* from journal.entries e"
CHANGES = [
    ROW,
    "update journal.entries set actor = 'somebody-else'",
    "delete from journal.entries",
    "truncate journal.entries",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_service_can_only_append(database: Database, journal: Journal, statement: str) -> None:
    await journal.append(append())
    async with connected(database.url) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await connection.execute(statement)


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_owner_cannot_change_the_past_either(database: Database, journal: Journal, statement: str) -> None:
    await journal.append(append())
    before = await everything(journal)
    async with connected(database.owner_url) as owner:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append only"):
            await owner.execute(statement)
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("select journal.lock()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append only"):
            await owner.execute(statement)
        await transaction.rollback()
    assert await everything(journal) == before


async def test_a_reader_learns_nothing_from_the_journal_but_instants(database: Database, journal: Journal) -> None:
    await journal.append(append())
    async with connected(database.reader_url) as reader:
        assert await reader.fetchval("select journal.position_at(journal.domain_now())") == 1
        assert await reader.fetchval("select last_position from journal.as_of(journal.domain_now())") == 1
        for statement in ("select * from journal.entries", "select * from journal.head()", *CHANGES):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)


async def test_the_service_owns_the_views_and_the_reader_reads_them(database: Database) -> None:
    async with connected(database.url) as service, connected(database.reader_url) as reader:
        await service.execute("create table views.board (n int); insert into views.board values (1)")
        assert await reader.fetchval("select n from views.board") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("delete from views.board")


async def test_the_journal_is_written_under_read_committed_only(database: Database) -> None:
    async with connected(database.url) as connection:
        with pytest.raises(asyncpg.InvalidTransactionStateError, match="READ COMMITTED only"):
            async with connection.transaction(isolation="repeatable_read"):
                await connection.execute("select journal.head()")


# ── instants ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_under_a_held_clock_entries_are_noted_microseconds_after_it(database: Database, journal: Journal) -> None:
    await hold(database, STORY)
    await journal.append(append(facts=2))
    await journal.append(append())
    assert await journal.domain_now() == STORY
    assert [e.noted_at for e in await everything(journal)] == [STORY, STORY + US, STORY + 2 * US]
    assert (await journal.head()).instant == STORY + 2 * US
    await hold(database, STORY + timedelta(hours=1))
    assert (await journal.head()).instant == STORY + timedelta(hours=1)
    later = await journal.append(append())
    assert later.noted_at == STORY + timedelta(hours=1) + US  # the hour itself was announced


async def test_a_held_clock_never_moves_back(database: Database) -> None:
    await hold(database, STORY)
    with pytest.raises(asyncpg.PostgresError, match="moves only forward"):
        await hold(database, STORY - US)


async def test_nothing_is_noted_up_to_the_announced_instant_even_when_the_clock_steps_back(
    database: Database, journal: Journal
) -> None:
    async with connected(database.url) as connection:
        await connection.execute("update journal.clock set \"offset\" = interval '1 hour'")
        head = await journal.head()
        await connection.execute('update journal.clock set "offset" = null')
    one = await journal.append(append())
    group = await asyncio.gather(*(journal.append(append()) for _ in range(5)))
    assert datetime.now(UTC) < head.instant < one.noted_at < min(r.noted_at for r in group)
    assert (await journal.head()).instant == max(r.noted_at for r in group)


async def test_an_announced_head_holds_while_others_append(journal: Journal) -> None:
    results: list[Appended] = []

    async def keep_appending() -> None:
        for _ in range(60):
            results.append(await journal.append(append()))

    async def announce() -> None:
        for _ in range(40):
            head = await journal.head()
            for entry in await journal.read(max(0, head.position - 1), 10):
                assert (entry.noted_at > head.instant) == (entry.position > head.position)

    await asyncio.gather(*(keep_appending() for _ in range(4)), announce())
    assert len(results) == 240


async def test_position_at_finds_the_last_entry_up_to_every_instant(journal: Journal) -> None:
    assert await journal.position_at(STORY) == 0
    for facts in (1, 3, 2, 1):
        await journal.append(append(facts=facts))
    entries = await everything(journal)
    for entry in entries:
        for instant in (entry.noted_at - US, entry.noted_at, entry.noted_at + US):
            expected = sum(e.noted_at <= instant for e in entries)
            assert await journal.position_at(instant) == expected
    assert await journal.position_at(entries[0].noted_at - timedelta(days=1)) == 0
    assert await journal.position_at(entries[-1].noted_at + timedelta(days=1)) == len(entries)


async def test_an_answer_about_the_past_is_final_and_one_about_the_future_is_not(
    database: Database, journal: Journal
) -> None:
    await hold(database, STORY)
    assert await journal.as_of(STORY) == (0, True)
    await journal.append(append(facts=2))
    assert await journal.as_of(STORY) == (0, True)
    assert await journal.as_of(STORY + US) == (1, True)
    assert await journal.as_of(STORY + timedelta(seconds=1)) == (2, False)
    assert await journal.as_of(STORY - timedelta(seconds=1)) == (0, True)


# ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def offset(next_offset: int) -> Offset:
    return Offset("baton.bells", "topic-1", 0, next_offset, epoch=3, sequence=next_offset)


async def heard_up_to(database: Database) -> int | None:
    async with connected(database.url) as connection:
        found: int | None = await connection.fetchval("select next_offset from journal.offsets")
        return found


async def test_a_heard_record_keeps_its_words_and_is_noted_after_it_was_recorded(
    database: Database, journal: Journal
) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=30)
    said = [record("one", ahead), record("two", ahead - US, backfilled=True)]
    assert await journal.hear(said, [offset(2)]) == [HeardOutcome("noted", 1), HeardOutcome("noted", 2)]
    entries = await everything(journal)
    for before, entry in zip(said, entries, strict=True):
        assert all(getattr(entry, name) == getattr(before, name) for name in before.__struct_fields__)
        assert entry.noted_at > ahead
        assert entry.sequence is None
    assert await heard_up_to(database) == 2


async def test_a_record_heard_twice_is_noted_once(journal: Journal) -> None:
    now = datetime.now(UTC)
    twice = [record("one", now), record("two", now), record("one", now)]
    outcomes = await journal.hear(twice)
    assert outcomes == [HeardOutcome("noted", 1), HeardOutcome("noted", 2), HeardOutcome("duplicate", 1)]
    again = await journal.hear([record("three", now), *twice])
    assert [o.position for o in again] == [3, 1, 2, 1]
    assert [o.outcome for o in again] == ["noted", *["duplicate"] * 3]


async def test_an_id_that_comes_with_other_bytes_keeps_the_whole_call_from_being_written(
    database: Database, journal: Journal
) -> None:
    now = datetime.now(UTC)
    await journal.hear([record("one", now)], [offset(1)])
    outcomes = await journal.hear(
        [record("two", now), record("one", now, data=b"{}"), record("one", now)], [offset(4)], decided=[append()]
    )
    assert [o.outcome for o in outcomes] == ["noted", "altered", "duplicate"]
    assert len(await everything(journal)) == 1
    assert await heard_up_to(database) == 1
    within = await journal.hear([record("three", now), record("three", now, data=b"{}")], [offset(4)])
    assert [o.outcome for o in within] == ["noted", "altered"]
    assert len(await everything(journal)) == 1


async def test_what_was_decided_about_records_is_noted_with_them_or_nothing_is(
    database: Database, journal: Journal
) -> None:
    now = datetime.now(UTC)
    await journal.hear([record("one", now)], [offset(1)], decided=[append(stream("a"), facts=2)])
    with pytest.raises(VersionConflict):
        await journal.hear([record("two", now)], [offset(2)], decided=[append(stream("a"), 1)])
    assert await heard_up_to(database) == 1
    entries = await everything(journal)
    assert [(e.sequence, e.owner) for e in entries] == [(None, "bells"), (1, "probe"), (2, "probe")]


async def test_sequences_count_the_decided_entries_alone(journal: Journal) -> None:
    now = datetime.now(UTC)
    for i in range(3):
        await journal.append(append(facts=2))
        await journal.hear([record(f"{i}", now)], decided=[append()])
    entries = await everything(journal)
    decided = [e for e in entries if e.sequence is not None]
    assert [e.sequence for e in decided] == list(range(1, 10))
    assert await journal.read_decided(0, 100) == decided
    assert await journal.read_decided(4, 2) == decided[4:6]
    assert (await journal.head())[:2] == (12, 9)


async def test_a_record_from_the_future_is_refused_before_it_can_poison_the_clock(journal: Journal) -> None:
    with pytest.raises(Undecodable, match="recordedat"):
        await journal.hear([record("one", datetime.now(UTC) + timedelta(seconds=90))])
    assert await everything(journal) == []


async def test_offsets_alone_can_be_noted_and_a_call_has_a_limit(database: Database, journal: Journal) -> None:
    assert await journal.hear([], [offset(9)]) == []
    assert await heard_up_to(database) == 9
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="at most"):
        await journal.hear([record(f"{i}", now) for i in range(HEARD_MAX + 1)])


# ── hints, pages, faults ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_append_wakes_those_who_wait_here_and_in_other_processes(database: Database, journal: Journal) -> None:
    other = await Journal.open(database.url, service="probe")
    await until(lambda: other.wake.count > 0 and journal.wake.count > 0)  # both listen
    here, there = journal.wake.count, other.wake.count
    await journal.append(append())
    assert await journal.wake.wait(0, since=here)
    assert await other.wake.wait(WITHIN_S, since=there)
    assert not await other.wake.wait(0.01)
    await other.close()


async def test_hints_come_back_after_a_lost_connection(database: Database, journal: Journal) -> None:
    other = await Journal.open(database.url, service="probe")
    await until(lambda: other.wake.count > 0 and journal.wake.count > 0)
    before = other.wake.count
    await end_connections(database, "%-wake")
    await journal.append(append())
    assert await other.wake.wait(WITHIN_S, since=before)
    await other.close()


async def test_terminated_connections_lose_nothing_and_double_nothing(database: Database, journal: Journal) -> None:
    appended: list[Appended] = []
    ended = 0

    async def client() -> None:
        for number in range(40):
            facts = 1 + number % 3
            appended.append(await journal.append(append(facts=facts)))

    async def fault() -> None:
        nonlocal ended
        for _ in range(12):
            enough = min(len(appended) + 1, 320)
            ended += await end_connections(database, "baton-probe-%")
            await until(lambda enough=enough: len(appended) >= enough)  # type: ignore[misc]  # mypy: lambda's default

    await asyncio.gather(*(client() for _ in range(8)), fault())
    entries = await everything(journal)
    assert [e.position for e in entries] == list(range(1, len(entries) + 1))
    assert len(entries) == sum(1 + number % 3 for number in range(40)) * 8
    by_position = {e.position: e for e in entries}
    assert len({r.position for r in appended}) == len(appended) == 320
    assert all(by_position[r.position].noted_at == r.noted_at for r in appended)
    assert ended > 0


async def test_a_database_that_stays_away_is_reported_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "CALL_WITHIN_S", 0.3)
    away = Line("postgresql://nobody@127.0.0.1:1/nowhere", "probe")
    with pytest.raises(Unavailable, match="does not answer"):
        await away.call("select 1")
    with pytest.raises(Unavailable, match="does not answer"):
        await Journal.open("postgresql://nobody@127.0.0.1:1/nowhere", service="probe")


async def test_a_journal_whose_writer_broke_says_so_and_leaves_nobody_waiting(journal: Journal) -> None:
    def observe(size: int) -> None:
        raise KeyError(size)

    journal.observe_groups(observe)
    asked = [asyncio.create_task(journal.append(append())) for _ in range(3)]
    async with asyncio.timeout(WITHIN_S):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert "broke (KeyError(3))" in str(answers[0])
    await until(lambda: journal.broken is not None)
    assert "start this process anew" in str(journal.broken)


async def test_a_page_has_a_limit(journal: Journal) -> None:
    for limit in (0, 10_001):
        with pytest.raises(ValueError, match="1 to 10000"):
            await journal.read(0, limit)


async def test_a_page_is_bounded_in_bytes_too_and_the_next_one_follows_it(journal: Journal) -> None:
    large = b'"' + b"x" * (DATA_BYTES_MAX - 2) + b'"'
    fitting = PAGE_BYTES_MAX // len(large)
    for _ in range(fitting + 2):
        given = append()
        ((id_, type_, version, _),) = given.facts
        await journal.append(replace(given, facts=((id_, type_, version, large),)))
    for read, place in ((journal.read, "position"), (journal.read_decided, "sequence")):
        page = await read(0, 100)
        assert [getattr(entry, place) for entry in page] == list(range(1, fitting + 1))
        assert is_full(page, 100)
        rest = await read(fitting, 100)
        assert [getattr(entry, place) for entry in rest] == [fitting + 1, fitting + 2]
        assert not is_full(rest, 100)


async def end_connections(database: Database, name: str) -> int:
    """How many connections of that name were there to be terminated."""
    async with connected(database.url) as connection:
        ended: int = await connection.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and application_name like $1",
            name,
        )
        return ended


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in the database
            await asyncio.sleep(0.005)


async def test_few_appends_share_a_transaction_and_of_many_half_is_under_way_while_the_other_half_is_answered(
    journal: Journal,
) -> None:
    sizes: list[int] = []
    journal.observe_groups(sizes.append)

    async def one_after_another(times: int) -> None:
        for _ in range(times):
            await journal.append(append())

    await asyncio.gather(*(one_after_another(1) for _ in range(10)))
    assert sizes == [10]
    sizes.clear()
    await asyncio.gather(*(one_after_another(1) for _ in range(64)))
    assert sizes == [32, 32]
    sizes.clear()
    await asyncio.gather(*(one_after_another(5) for _ in range(64)))
    assert sum(sizes) == 5 * 64
    assert max(sizes) == 32, sizes
