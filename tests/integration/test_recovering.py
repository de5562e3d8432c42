"""A journal that was restored from a backup, with no later state of it anywhere, is completed from the topics."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from infra.local.databases import Database
from libs.events.appends import Append
from libs.events.entries import Entry
from libs.events.recovering import NotRecoverable, Recovered, recover
from libs.events.service import Service
from tests.integration.speakers import (
    Hearer,
    Said,
    Speaker,
    World,
    every,
    hearing_service,
    running,
    seeded,
    told,
)

pytestmark = pytest.mark.platform
TURNS = 30
JOURNAL = ("entries", "offsets", "subscriptions")
SINGLE = ("published", "mark")


@dataclass
class Talker:
    """A service that speaks, and hears another."""

    world: World
    mouth: Speaker
    ears: Hearer
    other: Speaker

    @property
    def service(self) -> Service:
        return self.ears.service

    async def entries(self) -> list[Entry]:
        return await every(self.mouth.journal.read, lambda entry: entry.position)

    async def backup(self) -> Database:
        """Its journal as it stands now, in a database of its own."""
        target = await self.world.databases("restored")
        reading = await asyncpg.connect(self.mouth.database.owner_url)
        writing = await asyncpg.connect(target.owner_url)
        await writing.execute("alter table journal.entries disable trigger append_only")
        for table in (*JOURNAL, *SINGLE):
            if table in SINGLE:
                await writing.execute(f"delete from journal.{table}")
            rows = [tuple(row) for row in await reading.fetch(f"select * from journal.{table}")]
            await writing.copy_records_to_table(table, schema_name="journal", records=rows)
        await writing.execute("alter table journal.entries enable trigger append_only")
        await reading.close()
        await writing.close()
        return target

    async def restored(self, backup: Database) -> Talker:
        journal = await self.world.journal(backup, self.mouth.owner)
        mouth = replace(self.mouth, database=backup, journal=journal)
        return replace(self, mouth=mouth, ears=await self.world.ears(self.service, backup, journal))

    async def recover(self) -> Recovered:
        database = self.mouth.database
        return await recover(self.service, dsn=database.url, owner_dsn=database.owner_url, kafka=self.world.kafka)


@pytest.fixture
async def talker(world: World) -> Talker:
    mouth, other = await world.speaker(), await world.speaker()
    service = replace(hearing_service(mouth.owner, [other.owner]), contract=mouth.contract)
    return Talker(world, mouth, await world.ears(service, mouth.database, mouth.journal), other)


async def test_it_has_the_same_facts_in_the_same_order_and_everybody_hears_what_is_new_once(
    world: World, talker: Talker
) -> None:
    third = await world.hearer(talker.mouth, talker.other)
    async with running(talker.other.publisher), running(third.listener):
        async with running(talker.mouth.publisher), running(talker.ears.listener):
            await converse(talker, 3)
            backup = await talker.backup()
            await converse(talker, 5)
            await talker.mouth.published()
        before = await talker.entries()
        restored = await talker.restored(backup)
        assert len(await restored.entries()) == 6
        done = await restored.recover()
        assert (done.own, done.heard, done.epoch) == (5, 5, 2)
        after = await restored.entries()
        assert list(map(as_told, after)) == list(map(as_told, before))
        async with running(restored.mouth.publisher), running(restored.ears.listener):
            await converse(restored, 2)
            await third.caught_up(restored.mouth)
            assert await third.parking.page() == []
    own = await restored.mouth.decided()
    assert [entry.sequence for entry in own] == list(range(1, 11))
    assert {entry.epoch for entry in own[-2:]} == {2}
    heard = [entry for entry in await third.heard() if entry.owner == talker.mouth.owner]
    assert sorted(told(heard)) == sorted(told(own))


async def test_whatever_was_said_when_nothing_is_lost_and_nothing_stands_before_its_cause(talker: Talker) -> None:
    random = seeded()
    backups: list[Database] = []
    at = random.randrange(TURNS)
    async with running(talker.other.publisher), running(talker.mouth.publisher), running(talker.ears.listener):
        for turn in range(TURNS):
            if turn == at:
                backups.append(await talker.backup())
            who = random.choice((talker.other, talker.mouth))
            await who.say(uuid4(), *(Said(turn) for _ in range(random.choice((1, 1, 3)))))
            if random.random() < 0.3:
                await talker.ears.caught_up(talker.other)
        await talker.mouth.say(uuid4(), Said(TURNS))
        await talker.mouth.published()
        await talker.ears.caught_up(talker.other)
    before = await talker.entries()
    restored = await talker.restored(backups[0])
    stood = len(await restored.entries())
    done = await restored.recover()
    after = await restored.entries()
    assert len(after) == stood + done.own + done.heard
    ends = {entry.id: entry.recorded_at for entry in after}
    for entry in after[stood:]:
        assert all(ends[each.id] < entry.noted_at for each in after[: entry.position - 1] if each.sequence is None)
        later = after[entry.position :]
        assert entry.sequence is None or all(each.recorded_at >= entry.recorded_at for each in later)
    async with running(talker.other.publisher), running(restored.ears.listener):
        await restored.ears.caught_up(talker.other)
    assert told(await restored.mouth.decided()) == told(await talker.mouth.decided())
    assert sorted(told(await restored.entries())) == sorted(told(before))
    assert await restored.ears.parking.page() == []


async def test_a_command_is_known_by_its_id_alone(talker: Talker) -> None:
    backup = await talker.backup()
    async with running(talker.mouth.publisher):
        await talker.mouth.say(uuid4(), Said(1), Said(2))
        await talker.mouth.published()
    restored = await talker.restored(backup)
    assert (await restored.recover()).own == 2
    first, last = await restored.mouth.decided()
    again = append_of(talker, (first, last))
    for asked in (again, replace(again, digest=b"d" * 16)):
        appended = await restored.mouth.journal.append(asked)
        assert (appended.known, appended.position) == (True, last.position)
    assert await restored.mouth.journal.find(first.command_id) == (appended, bytes(16))
    other = [replace(again, stream=uuid4(), command_id=uuid4(), facts=((uuid4(), *again.facts[0][1:]),), expected=0)]
    group = [restored.mouth.journal.append(each) for each in (again, *other, again)]
    found = await asyncio.gather(*group)
    assert [each.known for each in found] == [True, False, True]


async def test_what_cannot_be_taken_is_left_to_the_listener_with_all_that_follows_in_its_partition(
    talker: Talker,
) -> None:
    subject = uuid4()
    async with running(talker.other.publisher), running(talker.mouth.publisher), running(talker.ears.listener):
        await talker.other.say(subject, Said(0))
        await talker.ears.caught_up(talker.other)
        backup = await talker.backup()
        (known,) = await talker.other.records()
        await talker.other.pen.write(known, value=b"{", ce_id=str(uuid4()).encode())
        await talker.other.say(subject, Said(1))
        await talker.ears.caught_up(talker.other)
        await talker.mouth.say(uuid4(), Said(2))
        await talker.mouth.published()
    restored = await talker.restored(backup)
    done = await restored.recover()
    assert (done.own, done.heard) == (2, 0)  # what is parked is on record, too
    async with running(talker.other.publisher), running(restored.ears.listener):
        await restored.ears.caught_up(talker.other)
    parked, as_before = [await each.parking.page() for each in (restored.ears, talker.ears)]
    assert [(row.kind, row.state) for row in parked] == [(row.kind, row.state) for row in as_before]
    assert len(parked) == 2  # and what waits behind it
    assert sorted(told(await restored.ears.heard())) == sorted(told(await talker.ears.heard()))


async def test_what_was_recorded_after_the_last_own_fact_is_heard_when_the_service_runs(talker: Talker) -> None:
    backup = await talker.backup()
    async with running(talker.other.publisher), running(talker.mouth.publisher), running(talker.ears.listener):
        await converse(talker, 1)
        await talker.mouth.published()
        await talker.other.say(uuid4(), Said(7))
        await talker.ears.caught_up(talker.other)
    restored = await talker.restored(backup)
    done = await restored.recover()
    assert (done.own, done.heard) == (1, 1)
    async with running(talker.other.publisher), running(restored.ears.listener):
        await restored.ears.caught_up(talker.other)
    *_, late = await restored.entries()
    assert late.sequence is None
    assert (late.noted_at - late.recorded_at).total_seconds() > 0
    assert len(await restored.ears.heard()) == 2


async def test_a_service_that_runs_is_not_recovered(talker: Talker) -> None:
    async with running(talker.mouth.publisher):
        await talker.mouth.say(uuid4(), Said(1))
        await talker.mouth.published()
        with pytest.raises(NotRecoverable, match=r"still runs \(publisher\): `baton stop"):
            await talker.recover()
    with pytest.raises(NotRecoverable, match=r"holds nothing that the journal of .* lacks"):
        await talker.recover()


async def test_a_journal_that_went_on_by_itself_is_not_recovered(talker: Talker) -> None:
    backup = await talker.backup()
    async with running(talker.mouth.publisher):
        await talker.mouth.say(uuid4(), Said(1))
        await talker.mouth.published()
    restored = await talker.restored(backup)
    await restored.mouth.say(uuid4(), Said(2))
    with pytest.raises(
        NotRecoverable, match=r"sequence 1 .* went on by itself after it was restored. Restore the backup"
    ):
        await restored.recover()
    assert len(await restored.entries()) == 1


async def test_a_topic_that_lacks_a_fact_too_completes_nothing(talker: Talker) -> None:
    backup = await talker.backup()
    async with running(talker.mouth.publisher):
        for number in range(3):
            await talker.mouth.say(uuid4(), Said(number))
        await talker.mouth.published()
    await talker.mouth.rewrite_topic(lambda record: dict(record.headers)["ce_sequence"] != b"2")
    restored = await talker.restored(backup)
    with pytest.raises(NotRecoverable, match="ends at sequence 3 and lacks 2"):
        await restored.recover()
    assert await restored.entries() == []


async def converse(talker: Talker, times: int) -> None:
    """The other says something, and once that is heard, the talker does."""
    for number in range(times):
        await talker.other.say(uuid4(), Said(number))
        await talker.ears.caught_up(talker.other)
        await talker.mouth.say(uuid4(), Said(number))


def as_told(entry: Entry) -> Entry:
    """All but what differs after a recovery: when it was heard, and what its command said."""
    noted_at = entry.noted_at if entry.sequence is not None else entry.recorded_at
    return msgspec.structs.replace(entry, noted_at=noted_at)


def append_of(talker: Talker, entries: tuple[Entry, ...]) -> Append:
    """The append that noted these."""
    first = entries[0]
    return Append(
        stream=first.stream,
        expected=0,
        facts=tuple((each.id, each.type, each.schema_version, each.data) for each in entries),
        tenant=first.tenant,
        subject=first.subject,
        actor=first.actor,
        command_id=first.command_id,
        digest=b"c" * 16,
        causation_id=None,
        correlation_id=first.correlation_id,
        traceparent="",
        basis=None,
        occurred_at=first.occurred_at,
    )
