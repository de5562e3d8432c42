"""Publishing and listening over the real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from cloudevents.core.bindings import kafka as theirs
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from infra.local.databases import Database
from libs.events import publisher
from libs.events.appends import DATA_BYTES_MAX, Heard, HeardOutcome
from libs.events.desk import DRAFT_BYTES_MAX
from libs.events.errors import Diverged, Refusal
from libs.events.heads import Watermark
from libs.events.judging import Judge, Raw, Verdict
from libs.events.listener import Listener
from libs.events.parked import Problem
from libs.events.published import Published
from libs.events.publisher import Publisher
from libs.events.sending import Batch, Sending
from libs.events.watermarks import SharedWatermarks
from tests.engines import Stores
from tests.integration.speakers import (
    WITHIN_S,
    Hearer,
    Said,
    Whispered,
    World,
    running,
    seeded,
    told,
    until,
)

pytestmark = pytest.mark.platform


async def test_what_one_decides_the_other_hears_in_the_order_of_its_key(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subjects = [uuid4() for _ in range(20)]
    async with running(speaker.publisher), running(hearer.listener):
        for number in range(200):
            await speaker.say(subjects[number % 20], Said(number))
        await hearer.caught_up(speaker)
    heard = await hearer.heard()
    decided = await speaker.decided()
    assert sorted(told(heard)) == sorted(told(decided))
    for subject in subjects:
        assert told([e for e in heard if e.subject == subject]) == told([e for e in decided if e.subject == subject])
    assert all(entry.recorded_at < entry.noted_at for entry in heard)
    assert not any(entry.backfilled for entry in heard)


async def test_large_records_are_heard_a_few_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subjects, text = [uuid4() for _ in range(5)], "x" * 400_000
    for number in range(30):
        await speaker.say(subjects[number % 5], Said(number, text))
    sizes, hear = list[int](), hearer.journal.hear

    async def measured(heard: Sequence[Heard], *args: Any, **more: Any) -> list[HeardOutcome]:
        sizes.append(sum(len(record.data) for record in heard))
        return await hear(heard, *args, **more)

    monkeypatch.setattr(hearer.journal, "hear", measured)
    async with running(speaker.publisher), running(hearer.listener):
        await hearer.caught_up(speaker)
    assert sum(sizes) > 30 * len(text)
    assert max(sizes) < DRAFT_BYTES_MAX + DATA_BYTES_MAX
    heard, decided = await hearer.heard(), await speaker.decided()
    for subject in subjects:
        assert told([e for e in heard if e.subject == subject]) == told([e for e in decided if e.subject == subject])


async def test_a_record_over_which_judging_itself_breaks_is_parked_and_the_others_are_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    bad, good = uuid4(), uuid4()
    while speaker.partition(good) != speaker.partition(bad):
        good = uuid4()
    judge = Judge.judge

    def breaking(self: Judge, raw: Raw, *args: Any) -> Verdict:
        if raw.key.endswith(str(bad)):
            raise KeyError("a shape that nobody thought of")
        return judge(self, raw, *args)

    monkeypatch.setattr(Judge, "judge", breaking)
    await speaker.say(bad, Said(1))
    await speaker.say(good, Said(2))
    async with running(speaker.publisher), running(hearer.listener):
        await hearer.has(1)
        (parked,) = await hearer.parking.page()
        assert (parked.kind, "a shape that nobody thought of" in parked.reason) == (Problem.UNREADABLE, True)
        still = await hearer.parking.retry(parked.id, "ops-1")
        assert (still.state, still.tries, still.reason) == ("parked", 1, parked.reason)
        monkeypatch.undo()  # a program that has thought of it
        await speaker.say(bad, Said(3))
        await hearer.parking.retry(parked.id, "ops-1")
        await hearer.has(3)
        assert not hearer.listener.state().restarts


async def test_facts_that_nobody_needs_are_passed_over_but_their_sequence_counts(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(subject, Said(1), Whispered(2), Said(3), Whispered(4))
        await hearer.caught_up(speaker)
        assert [entry.type.partition(".")[2] for entry in await hearer.heard()] == ["Said", "Said"]
        assert hearer.listener.positions()[speaker.owner][speaker.partition(subject)] == 4


async def test_a_watermark_holds_only_when_everything_before_it_was_heard(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher), running(hearer.listener):
        for number in range(50):
            await speaker.say(uuid4(), Said(number))
            if number % 10 == 9:
                await hearer.caught_up(speaker)
                mark = hearer.listener.watermarks()[speaker.owner]
                assert mark.at is not None
                noted = [entry for entry in await hearer.heard() if entry.position <= mark.position]
                due = [entry for entry in await speaker.decided() if entry.recorded_at <= mark.at]
                assert {entry.id for entry in due} <= {entry.id for entry in noted}


async def test_nothing_is_lost_or_doubled_when_both_ends_restart_at_random_points(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    random = seeded()
    subjects = [uuid4() for _ in range(12)]
    done = asyncio.Event()

    async def talk() -> None:
        for number in range(600):
            await speaker.say(random.choice(subjects), *[Said(number)] * random.randint(1, 3))
        done.set()

    async def restarting(make: Callable[[], object]) -> None:
        while not done.is_set():
            async with running(make()):
                await asyncio.sleep(random.uniform(0.05, 0.6))  # a random point, not a synchronisation

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talk())
        tasks.create_task(restarting(speaker.new_publisher))
        tasks.create_task(restarting(hearer.new_listener))
    speaker.publisher, hearer.listener = speaker.new_publisher(), hearer.new_listener()
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.published()
        await hearer.caught_up(speaker)
    heard, decided = await hearer.heard(), await speaker.decided()
    assert len(heard) == len({entry.id for entry in heard}) == len(decided)
    for subject in subjects:
        assert told([e for e in heard if e.subject == subject]) == told([e for e in decided if e.subject == subject])


async def test_a_publisher_that_was_cut_off_after_sending_does_not_send_twice(world: World) -> None:
    speaker = await world.speaker()
    database = await asyncpg.connect(speaker.database.owner_url)
    async with running(speaker.publisher):
        for number in range(10):
            await speaker.say(uuid4(), Said(number))
        await speaker.published()
        await database.execute("create table before as select * from journal.published")
        for number in range(10, 30):
            await speaker.say(uuid4(), Said(number))
        await speaker.published()
    await database.execute(
        "update journal.published p set sequence = b.sequence, partitions = b.partitions from before b"
    )
    await database.close()
    speaker.publisher = speaker.new_publisher()
    async with running(speaker.publisher):
        await speaker.say(uuid4(), Said(30))
        await speaker.published()
    assert sorted(dict(r.headers)["ce_sequence"] for r in await speaker.records()) == sorted(
        str(number).encode() for number in range(1, 32)
    )


async def test_who_stands_by_does_not_go_on_telling_the_trouble_that_it_had_before(
    world: World, stores: Stores
) -> None:
    speaker = await world.speaker()
    both = (speaker.publisher, speaker.new_publisher())
    admin = await asyncpg.connect(stores.postgres_admin)
    ends = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()"

    async def in_trouble() -> bool:
        return all(each.state().restarts for each in both)

    async def well() -> bool:
        states = [each.state() for each in both]
        return sum(state.leading for state in states) == 1 and not any(state.problem for state in states)

    try:
        async with running(both[0]), running(both[1]):
            await until(well)
            await admin.fetch(ends, speaker.database.name)
            await until(in_trouble)
            await until(well)
    finally:
        admin.terminate()


async def test_a_role_ends_soon_whenever_it_is_cancelled(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    random = seeded()
    for number in range(15):
        await speaker.say(uuid4(), Said(number))
        roles = (speaker.new_publisher().run(), hearer.new_listener().run())
        tasks = [asyncio.create_task(role) for role in roles]
        await asyncio.sleep(random.uniform(0, 0.8))  # a random point, not a synchronisation
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=5)
        assert not late, "\n".join(str(task.get_stack()) for task in late)


async def test_of_two_publishers_one_stands_by_and_takes_over(world: World) -> None:
    speaker = await world.speaker()
    first, second = speaker.publisher, speaker.new_publisher()
    leader = asyncio.create_task(first.run())

    async def leads(publisher: Publisher) -> bool:
        return publisher.state().leading

    await until(lambda: leads(first))
    async with running(second):
        await speaker.say(uuid4(), Said(1))
        await speaker.published()
        assert not second.state().leading
        leader.cancel()
        await until(lambda: leads(second), within_s=5)
        speaker.publisher = second
        await speaker.say(uuid4(), Said(2))
        await speaker.published()
    assert len(await speaker.records()) == 2


async def test_a_leader_whose_lock_was_taken_away_writes_nothing_more(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)

    async def leads() -> bool:
        return hearer.listener.state().leading

    async with running(speaker.publisher), running(hearer.listener):
        await until(leads)
        database = await asyncpg.connect(hearer.database.owner_url)
        await database.execute("select journal.lead('listener')")  # another process took over
        await database.close()
        await speaker.say(uuid4(), Said(1))

        async def started_anew() -> bool:
            return hearer.listener.state().restarts > 0 and hearer.listener.state().leading

        await until(started_anew)
        await hearer.caught_up(speaker)
    assert len(await hearer.heard()) == 1


async def test_a_lost_record_holds_its_partition_back_until_it_is_published_again(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject, neighbour = uuid4(), uuid4()
    while speaker.partition(neighbour) == speaker.partition(subject):
        neighbour = uuid4()
    async with running(speaker.publisher):
        for number in range(1, 6):
            await speaker.say(subject, Said(number))
        await speaker.say(neighbour, Said(6))
        await speaker.published()
    await speaker.rewrite_topic(lambda record: dict(record.headers)["ce_sequence"] != b"3")

    speaker.publisher = speaker.new_publisher()
    async with running(speaker.publisher), running(hearer.listener):

        async def held() -> bool:
            return bool(hearer.listener.state().gaps) and len(await hearer.heard()) == 3

        await until(held)
        assert [entry.data for entry in await hearer.heard() if entry.subject == subject] == [
            b'{"number":1,"text":""}',
            b'{"number":2,"text":""}',
        ]
        (row,) = await hearer.parking.page()
        assert (row.kind, row.key) == ("gap", f"main:{subject}")
        assert "--from 3" in row.reason
        with pytest.raises(Refusal, match="publish them again"):
            await hearer.parking.retry(row.id, "ops-1", b"{}")
        mark = hearer.listener.watermarks()[speaker.owner]
        assert mark.at is None
        await speaker.publisher.publish_from(3)
        await hearer.caught_up(speaker)
        assert not hearer.listener.state().gaps
        assert await hearer.parking.page() == []
        await speaker.say(subject, Said(7))
        await hearer.caught_up(speaker)
    of_subject = [entry for entry in await hearer.heard() if entry.subject == subject]
    assert told(of_subject) == told([entry for entry in await speaker.decided() if entry.subject == subject])


async def test_what_is_new_is_published_while_the_past_is_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "BATCH_RECORDS_MAX", 10)
    speaker = await world.speaker()
    subject, send, again = uuid4(), Sending.send, iter([True])

    async def saying(self: Sending, batch: Batch, published: Published) -> Published:
        after = await send(self, batch, published)
        if batch.sequence == 10 and next(again, False):
            await speaker.say(subject, Said(31))
        return after

    async with running(speaker.publisher):
        for number in range(1, 31):
            await speaker.say(subject, Said(number))
        await speaker.published()
        monkeypatch.setattr(Sending, "send", saying)
        await speaker.publisher.publish_from(1)
    numbers = [json.loads(record.value or b"")["number"] for record in await speaker.records()]
    assert numbers == [*range(1, 31), *range(1, 11), 31, *range(11, 31)]
    speaker.publisher = speaker.new_publisher()
    async with running(speaker.publisher):
        await speaker.say(subject, Said(32))
        await speaker.published()
        assert speaker.publisher.state().lost is None


async def test_a_process_that_stands_by_knows_how_far_the_other_one_has_heard(world: World) -> None:
    """Its timekeeper may be the one that leads: it must not take owners for silent that the other process hears."""
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    standby = hearer.new_listener()
    async with running(speaker.publisher):
        async with running(hearer.listener):
            await speaker.say(uuid4(), Said(1))
            await hearer.caught_up(speaker)
            async with running(standby):
                head = await speaker.journal.head()

                async def known() -> bool:
                    mark = standby.watermarks()[speaker.owner]
                    return mark.at is not None and mark.at >= head.instant

                await until(known)
                assert not standby.state().leading
                mark = standby.watermarks()[speaker.owner]
                assert mark.position == await hearer.journal.position()
                assert mark.silent_since is not None
                assert time.monotonic() - mark.silent_since < 10
        # who takes over has heard nothing itself so far, and goes by what was known
        later = hearer.new_listener()
        async with running(later):
            await until(lambda: _leads(later))
            taken_over = later.watermarks()[speaker.owner]
            assert taken_over.at is not None
            assert taken_over.at >= head.instant


async def test_who_stands_by_sees_that_an_owner_is_not_silent_while_its_backlog_is_heard(database: Database) -> None:
    at = datetime(2026, 11, 2, 11, 40, tzinfo=UTC)
    connection = await asyncpg.connect(database.url)
    term = await connection.fetchval("select journal.lead('listener')")
    await connection.execute(
        "insert into journal.watermarks values ('tasks', $1, 7, clock_timestamp() - interval '1 hour', 0)", at
    )
    await connection.close()
    nearer = {"tasks": Watermark("tasks", None, 0, time.monotonic())}
    leads = SharedWatermarks(["tasks"], database.url, lambda: (term, nearer))
    standby = SharedWatermarks(["tasks"], database.url, lambda: None)

    async def known() -> bool:
        heard = standby.watermarks()["tasks"].silent_since
        return heard is not None and time.monotonic() - heard < WITHIN_S

    async with running(leads), running(standby):
        await until(known)
        mark = standby.watermarks()["tasks"]
        assert (mark.at, mark.position) == (at, 7)


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_watermark_goes_on_though_the_clock_of_the_database_jumped_after_it_was_written(
    world: World, hours: int
) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher):
        async with running(hearer.listener):
            await speaker.say(uuid4(), Said(1))
            await hearer.caught_up(speaker)
            await until(lambda: _written(hearer))
        await _execute(hearer, "update journal.watermarks set heard_at = heard_at + make_interval(hours => $1)", hours)
        hearer.listener = hearer.new_listener()
        async with running(hearer.listener):
            await until(lambda: _leads(hearer.listener))
            await speaker.say(uuid4(), Said(2))
            await hearer.caught_up(speaker)
            mark = hearer.listener.watermarks()[speaker.owner]
            assert mark.position == await hearer.journal.position()
            assert mark.silent_since is not None
            assert 0 <= time.monotonic() - mark.silent_since < WITHIN_S
            standby = hearer.new_listener()
            async with running(standby):

                async def known() -> bool:
                    other = standby.watermarks()[speaker.owner].at
                    return other is not None and mark.at is not None and other >= mark.at

                await until(known)


async def _execute(hearer: Hearer, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(hearer.database.url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def _written(hearer: Hearer) -> bool:
    connection = await asyncpg.connect(hearer.database.url)
    try:
        return bool(await connection.fetchval("select count(*) from journal.watermarks where at is not null"))
    finally:
        await connection.close()


async def _leads(listener: Listener) -> bool:
    return listener.state().leading


async def test_a_lost_record_can_be_given_up(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher):
        for number in range(1, 5):
            await speaker.say(subject, Said(number))
        await speaker.published()
    await speaker.rewrite_topic(lambda record: dict(record.headers)["ce_sequence"] not in (b"2",))
    async with running(hearer.listener):
        (row,) = await until(hearer.parking.page)
        assert (await hearer.parking.drop(row.id, "ops-1")).state == "dropped"

        async def rest() -> bool:
            return len(await hearer.heard()) == 3

        await until(rest)
    assert [entry.type.partition(".")[2] for entry in await hearer.journal.read_decided(0, 10)] == [
        "RecordParked",
        "ParkedRecordDropped",
    ]


async def test_a_topic_made_anew_is_read_from_its_start_and_changes_nothing(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher):
        for number in range(20):
            await speaker.say(uuid4(), Said(number))
        await speaker.published()
        async with running(hearer.listener):
            await hearer.caught_up(speaker)
    await speaker.rewrite_topic(lambda record: True)
    speaker.publisher, hearer.listener = speaker.new_publisher(), hearer.new_listener()
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(uuid4(), Said(20))
        await hearer.caught_up(speaker)
    assert len(await hearer.heard()) == 21


async def test_a_journal_restored_to_the_past_refuses_to_publish(
    world: World, databases: Callable[[str], Awaitable[Database]]
) -> None:
    speaker = await world.speaker()
    async with running(speaker.publisher):
        for number in range(3):
            await speaker.say(uuid4(), Said(number))
        await speaker.published()
    for appended in (0, 3):  # behind the topic, and as long as the topic with other facts
        database = await databases("restored")
        restored = replace(speaker, database=database, journal=await world.journal(database, speaker.owner))
        for number in range(appended):
            await restored.say(uuid4(), Said(number))
        with pytest.raises(Diverged, match=r"follow docs/operating.md"):
            await asyncio.wait_for(restored.publisher.run(), 20)
        assert "journal" in (restored.publisher.state().problem or "")
    assert len(await speaker.records()) == 3


async def test_an_older_epoch_is_parked_and_harms_nobody(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(subject, Said(1))
        await speaker.published()
        (record,) = await speaker.records()
        for number, epoch in ((2, 5), (3, 1)):
            await world.pen.write(
                record,
                ce_id=str(uuid4()).encode(),
                ce_sequence=str(number).encode(),
                ce_previous=str(number - 1).encode(),
                ce_epoch=str(epoch).encode(),
            )
        (row,) = await until(hearer.parking.page)
        assert (row.kind, row.reason) == ("old-epoch", "epoch 1 though its owner is in epoch 5")
    assert len(await hearer.heard()) == 2


async def test_an_unrelated_cloudevents_client_reads_our_records_and_writes_ones_we_read(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher):
        await speaker.say(subject, Said(1, "交接"))
        await speaker.published()
    (record,) = await speaker.records()
    event = theirs.from_binary(
        theirs.KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat(), CloudEvent
    )
    assert event.get_data() == {"number": 1, "text": "交接"}
    assert event.get_source() == f"/baton/{speaker.owner}"
    assert event.get_extension("sequence") == "1"

    attributes = {**event.get_attributes(), "id": str(uuid4()), "sequence": "2", "previous": "1", "streamversion": "2"}
    message = theirs.to_structured(CloudEvent(attributes, {"number": 2, "text": "theirs"}), JSONFormat())
    await world.pen.write(replace(record, value=message.value, headers=tuple(message.headers.items())))
    async with running(hearer.listener):

        async def both() -> bool:
            return len(await hearer.heard()) == 2

        await until(both)
    assert hearer.service.language.decode(f"{speaker.owner}.Said", 1, (await hearer.heard())[1].data) == Said(
        2, "theirs"
    )


async def test_an_announcement_follows_at_once_when_it_is_asked_for(world: World) -> None:
    speaker = await world.speaker()

    async def leads() -> bool:
        return speaker.publisher.state().leading

    async with running(speaker.publisher):
        await until(leads)
        await speaker.say(uuid4(), Said(1))
        before = (await speaker.journal.head()).instant
        await speaker.publisher.announce()
        announced = speaker.publisher.state().announced
        assert announced is not None
        assert announced.at >= before
        assert sum(announced.sequences.values()) == 1
        assert announced.at - before < timedelta(seconds=5)
