"""What was restored, made anew or reset: it ends in a correct state, or in a stop that says why and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.local.databases import Database
from libs.events.broker import consumer, describe, partitions_of, stop_consumer
from libs.events.errors import Diverged
from libs.events.parking import Listed
from libs.events.publisher import DESCRIBE_EVERY_S
from tests.integration.speakers import Hearer, Said, Speaker, World, running, told, until

pytestmark = pytest.mark.platform
FACTS = 12


async def test_a_journal_that_its_topic_is_ahead_of_takes_nothing_until_both_agree(
    world: World, databases: Callable[[str], Awaitable[Database]]
) -> None:
    speaker = await world.speaker()
    async with running(speaker.publisher):
        await _say(speaker)
        await speaker.published()
    database = await databases("restored")
    restored = replace(speaker, database=database, journal=await world.journal(database, speaker.owner))
    await restored.say(uuid4(), Said(1))
    with pytest.raises(Diverged, match=r"follow docs/operating.md"):
        await asyncio.wait_for(restored.publisher.run(), 20)
    assert await restored.publisher.looked(1)

    another_process = replace(restored, journal=await world.journal(database, speaker.owner))
    for refusing in (restored, another_process):
        with pytest.raises(Diverged, match=r"nothing is noted here: .*docs/operating.md"):
            await refusing.say(uuid4(), Said(2))
        many = await asyncio.gather(*(refusing.say(uuid4(), Said(3)) for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in many} == {Diverged}
    assert len(await restored.decided()) == 1

    await speaker.rewrite_topic(lambda record: False)
    restored.publisher = restored.new_publisher()
    async with running(restored.publisher):
        await until(lambda: _says(restored))
        await restored.published()
    assert {dict(record.headers)["ce_sequence"] for record in await restored.records()} == {b"1", b"2"}


async def test_a_journal_that_has_diverged_hears_nothing_until_it_agrees_again(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    owner = await asyncpg.connect(hearer.database.owner_url)
    await owner.execute("update journal.mark set diverged = 'a test says so'")
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(uuid4(), Said(1))

        async def stopped() -> bool:
            return "a test says so" in (hearer.listener.state().problem or "")

        await until(stopped)
        assert await hearer.heard() == []
        await owner.execute("update journal.mark set diverged = null")
        await hearer.caught_up(speaker)
    assert len(await hearer.heard()) == 1
    await owner.close()


async def test_only_the_process_that_publishes_says_what_the_comparison_found(world: World) -> None:
    speaker = await world.speaker()
    database = await asyncpg.connect(speaker.database.url)
    stale, current = [await database.fetchval("select journal.lead('publisher')") for _ in range(2)]
    with pytest.raises(asyncpg.PostgresError, match="another process publishes"):
        await database.execute("select journal.note_divergence('wrong', $1)", stale)
    assert await database.fetchval("select diverged from journal.mark") is None
    await database.execute("select journal.note_divergence('right', $1)", current)
    assert await database.fetchval("select diverged from journal.mark") == "right"
    await database.close()


async def test_a_topic_made_anew_under_a_running_publisher_is_noticed_and_filled_again(world: World) -> None:
    speaker, late = await world.speaker(), None
    async with running(speaker.publisher):
        subject = await _say(speaker)
        await speaker.published()
        await speaker.rewrite_topic(lambda record: False)
        await speaker.say(subject, Said(99))  # in its partition something was said before: there the gap shows

        async def noticed() -> str | None:
            return speaker.publisher.state().lost

        lost = await until(noticed, DESCRIBE_EVERY_S + 20)
        assert f"`baton publish {speaker.owner} --from 1` sends it again" in lost
        late = await world.hearer(speaker)
        async with running(late.listener):
            await until(late.parking.page)  # the gap is on record
            await speaker.publisher.publish_from(1)
            await late.caught_up(speaker)
        assert speaker.publisher.state().lost is None
    await _expect_all_heard(late, speaker)


async def test_a_topic_that_is_missing_keeps_no_other_from_being_heard_and_is_named_with_its_cure(world: World) -> None:
    lost, well = await world.speaker(), await world.speaker()
    hearer = await world.hearer(lost, well)
    async with running(well.publisher), running(hearer.listener):
        async with running(lost.publisher):
            await _say(lost)
            await hearer.caught_up(lost)
        admin = AIOKafkaAdminClient(bootstrap_servers=world.kafka)
        await admin.start()
        await admin.delete_topics([lost.contract.topic])

        async def named() -> bool:
            problem = hearer.listener.state().problem or ""
            return f"there is no topic {lost.contract.topic};" in problem and "`baton down`, then `baton up`" in problem

        await until(named)
        await _say(well)
        await hearer.caught_up(well)
        assert await named()
        await admin.create_topics([NewTopic(lost.contract.topic, 6, 1)])
        await admin.close()
        lost.publisher = lost.new_publisher()
        async with running(lost.publisher):
            await lost.publisher.publish_from(1)
            await lost.say(uuid4(), Said(99))
            await hearer.caught_up(lost)

        async def well_again() -> bool:
            return hearer.listener.state().problem is None

        await until(well_again)
    heard = await hearer.heard()
    assert sorted(told(heard)) == sorted(told([*await lost.decided(), *await well.decided()]))


@pytest.mark.parametrize("end", [False, True], ids=["to the beginning", "to the end"])
async def test_a_consumer_group_that_is_reset_moves_nothing(world: World, end: bool) -> None:
    """How far was heard stands in the journal; what Kafka keeps for the group only shows the lag."""
    speaker, hearer = await _heard_half(world)
    await _reset_group(hearer, speaker, end=end)
    async with running(speaker.publisher), running(hearer.listener):
        await hearer.caught_up(speaker)
    await _expect_all_heard(hearer, speaker)


async def test_offsets_of_our_own_put_back_to_the_beginning_double_nothing(world: World) -> None:
    speaker, hearer = await _heard_half(world)
    await _move_offsets(hearer, speaker, end=False)
    async with running(speaker.publisher), running(hearer.listener):
        await hearer.caught_up(speaker)
    await _expect_all_heard(hearer, speaker)


async def test_offsets_of_our_own_put_to_the_end_are_found_out_by_the_next_record(world: World) -> None:
    speaker, hearer = await _heard_half(world)
    await _move_offsets(hearer, speaker, end=True)
    async with running(speaker.publisher), running(hearer.listener):
        await _say(speaker)
        reported = await until(hearer.parking.page)
        assert {row.kind for row in reported} == {"gap"}
        assert all("baton publish" in row.reason for row in reported)
        await speaker.publisher.publish_from(1)
        await hearer.caught_up(speaker)
        assert await hearer.parking.page() == []
    await _expect_all_heard(hearer, speaker)


async def test_a_listener_whose_database_was_restored_hears_again_what_came_since(
    world: World, databases: Callable[[str], Awaitable[Database]]
) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    backup = await databases("backup")
    async with running(speaker.publisher):
        await _say(speaker)
        async with running(hearer.listener):
            await hearer.caught_up(speaker)
        await _copy_heard(hearer.database, backup)
        await _say(speaker)
        hearer.listener = hearer.new_listener()
        async with running(hearer.listener):
            await hearer.caught_up(speaker)
        restored = await world.ears(hearer.service, backup, await world.journal(backup, hearer.service.name))
        async with running(restored.listener):
            await restored.caught_up(speaker)
    await _expect_all_heard(restored, speaker)


async def test_a_clock_that_all_share_may_jump_ahead_and_back(world: World) -> None:
    """What is recorded from then on is ahead of the clock, for everybody alike."""
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    databases = [await asyncpg.connect(each.database.owner_url) for each in (speaker, hearer)]
    async with running(speaker.publisher), running(hearer.listener):
        for offset in ("2 hours", "0", "-2 hours", "0"):
            for database in databases:
                await database.execute('update journal.clock set "offset" = $1::text::interval', offset)
            await hearer.journal.head()  # as a service's publisher asks for it every half second
            await _say(speaker)
        await hearer.caught_up(speaker)
        assert await hearer.parking.page() == []
    await _expect_all_heard(hearer, speaker)
    for database in databases:
        await database.close()


async def test_a_fact_from_a_clock_ahead_is_listed_and_taken_when_its_time_has_come(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    theirs, ours = [await asyncpg.connect(each.database.owner_url) for each in (speaker, hearer)]
    async with running(speaker.publisher), running(hearer.listener):
        await theirs.execute("update journal.clock set \"offset\" = '2 hours'")
        await _say(speaker)

        async def listed() -> list[Listed]:
            rows = await hearer.parking.page()
            return rows if len(rows) == FACTS else []

        rows = await until(listed)
        assert {row.kind for row in rows} == {"future"}
        await theirs.execute("update journal.clock set \"offset\" = '0'")
        assert (await hearer.parking.retry(rows[0].id, "ops-1")).state == "parked"
        await ours.execute("update journal.clock set \"offset\" = '2 hours'")  # two hours later
        ended = [await hearer.parking.retry(row.id, "ops-1") for row in rows]
        assert {row.state for row in ended} == {"released"}
    await _expect_all_heard(hearer, speaker)
    await theirs.close()
    await ours.close()


async def _say(speaker: Speaker) -> UUID:
    """Facts about many subjects; the last of these."""
    for number in range(FACTS):
        subject = uuid4()
        await speaker.say(subject, Said(number))
    return subject


async def _says(speaker: Speaker) -> bool:
    try:
        await speaker.say(uuid4(), Said(1))
    except Diverged:
        return False
    return True


async def _heard_half(world: World) -> tuple[Speaker, Hearer]:
    """The hearer is away when the second half is said."""
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher):
        await _say(speaker)
        async with running(hearer.listener):
            await hearer.caught_up(speaker)
        await _say(speaker)
        await speaker.published()
    speaker.publisher, hearer.listener = speaker.new_publisher(), hearer.new_listener()
    return speaker, hearer


async def _expect_all_heard(hearer: Hearer, speaker: Speaker) -> None:
    heard, decided = await hearer.heard(), await speaker.decided()
    assert sorted(told(heard)) == sorted(told(decided))


async def _ends(hearer: Hearer, speaker: Speaker, *, end: bool) -> dict[TopicPartition, int]:
    topic = speaker.contract.topic
    places = partitions_of(topic, (await describe(hearer.kafka, [topic]))[topic])
    reader = consumer(hearer.kafka)
    await reader.start()
    try:
        found: dict[TopicPartition, int] = await (reader.end_offsets if end else reader.beginning_offsets)(places)
        return found
    finally:
        await stop_consumer(reader)


async def _reset_group(hearer: Hearer, speaker: Speaker, *, end: bool) -> None:
    """As kafka-consumer-groups --reset-offsets does."""
    offsets = await _ends(hearer, speaker, end=end)
    reader = consumer(hearer.kafka, group_id=f"baton.{hearer.service.name}")
    await reader.start()
    try:
        reader.assign(list(offsets))
        await reader.commit(offsets)
    finally:
        await stop_consumer(reader)


async def _move_offsets(hearer: Hearer, speaker: Speaker, *, end: bool) -> None:
    database = await asyncpg.connect(hearer.database.owner_url)
    for place, offset in (await _ends(hearer, speaker, end=end)).items():
        await database.execute(
            "update journal.offsets set next_offset = $3 where topic = $1 and partition = $2", *place, offset
        )
    await database.close()


async def _copy_heard(source: Database, target: Database) -> None:
    """The journal of one that only hears, as it stands, into an empty database."""
    reading, writing = await asyncpg.connect(source.owner_url), await asyncpg.connect(target.owner_url)
    await writing.execute("alter table journal.entries disable trigger append_only")
    for table in ("entries", "offsets", "subscriptions"):
        rows = [tuple(row) for row in await reading.fetch(f"select * from journal.{table}")]
        await writing.copy_records_to_table(table, schema_name="journal", records=rows)
    await writing.execute("alter table journal.entries enable trigger append_only")
    await reading.close()
    await writing.close()
