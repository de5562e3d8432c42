"""Records that cannot be taken: their key waits, others flow, and people decide what becomes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from libs.events import desk, wire
from libs.events.appends import DATA_BYTES_MAX
from libs.events.desk import DRAFT_BYTES_MAX
from libs.events.entries import Entry, new_id
from libs.events.errors import CommandReused, NotFound, Refusal, Unavailable, Undecodable
from libs.events.inbound import Inbound
from libs.events.parked import Parked
from libs.events.parking import ROWS_MAX, Listed
from tests.integration.speakers import Hearer, Said, Speaker, World, running, until

pytestmark = pytest.mark.platform
GOOD = b'{"number":%d,"text":""}'


class Forged:
    """Writes records of an owner by hand, in the chain of each partition."""

    def __init__(self, world: World, speaker: Speaker) -> None:
        self.pen, self.speaker = world.pen, speaker
        self.sequence = 0
        self.chain: dict[int, int] = {}

    async def say(self, subject: UUID, value: bytes, **headers: bytes) -> Any:
        self.sequence += 1
        now = datetime.now(UTC)
        entry = Entry(
            position=self.sequence,
            sequence=self.sequence,
            id=new_id(),
            type=f"{self.speaker.owner}.Said",
            schema_version=1,
            stream=subject,
            version=self.sequence,
            tenant="main",
            subject=subject,
            actor="prod-1",
            command_id=new_id(),
            causation_id=None,
            correlation_id=subject,
            traceparent="",
            basis=None,
            epoch=1,
            occurred_at=now,
            recorded_at=now,
            noted_at=now,
            backfilled=False,
            data=value,
        )
        partition = self.speaker.partition(subject)
        record = wire.outgoing(entry, previous=self.chain.get(partition, 0), epoch=1)
        self.chain[partition] = self.sequence
        sent = _Sent(self.speaker.contract.topic, partition, record)
        await self.pen.write(sent, **headers)
        return sent


class _Sent:
    """A record in the shape that `produce` writes."""

    def __init__(self, topic: str, partition: int, record: wire.Outgoing) -> None:
        self.topic, self.partition = topic, partition
        self.key, self.value, self.headers = record


async def forged(world: World) -> tuple[Forged, Hearer]:
    speaker = await world.speaker()
    return Forged(world, speaker), await world.hearer(speaker)


def heard_by(hearer: Hearer, *, count: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return len(await hearer.heard()) >= count

    return enough


def rows(hearer: Hearer, *, count: int) -> Callable[[], Awaitable[list[Listed]]]:
    async def enough() -> list[Listed]:
        found = await hearer.parking.page()
        return found if len(found) == count else []

    return enough


async def numbers(hearer: Hearer, subject: UUID) -> list[bytes]:
    return [entry.data for entry in await hearer.heard() if entry.subject == subject]


async def read_again(hearer: Hearer) -> None:
    """Makes the next listener read everything from the start."""
    database = await asyncpg.connect(hearer.database.owner_url)
    await database.execute("update journal.offsets set next_offset = 0")
    await database.close()


async def facts(hearer: Hearer) -> list[str]:
    return [entry.type.partition(".")[2] for entry in await hearer.journal.read_decided(0, 100)]


async def poisoned(world: World) -> tuple[Forged, Hearer, UUID]:
    """1, poison, 3, 4 on one key; four more on keys of the same partition."""
    forge, hearer = await forged(world)
    subject = uuid4()
    await forge.say(subject, GOOD % 1)
    await forge.say(subject, b'{"number":"two"}')
    others = [uuid4() for _ in range(200)]
    same = [each for each in others if forge.speaker.partition(each) == forge.speaker.partition(subject)][:4]
    for number, each in enumerate([subject, subject, *same], start=3):
        await forge.say(each, GOOD % number)
    return forge, hearer, subject


async def test_behind_a_poison_record_its_key_waits_and_others_flow(world: World) -> None:
    _, hearer, subject = await poisoned(world)
    async with running(hearer.listener):
        await until(heard_by(hearer, count=5))
        parked, *waiting = await until(rows(hearer, count=3))
    assert await numbers(hearer, subject) == [GOOD % 1]
    assert (parked.kind, parked.state, parked.key) == ("unreadable", "parked", f"main:{subject}")
    assert "number" in parked.reason
    assert [row.state for row in waiting] == ["waiting", "waiting"]
    assert await facts(hearer) == ["RecordParked"]
    assert await hearer.parking.page(limit=ROWS_MAX) == [parked, *waiting]
    assert await hearer.parking.page(after=parked.number, limit=1) == waiting[:1]


async def test_a_mended_record_is_taken_and_the_order_of_its_key_is_kept(world: World) -> None:
    _, hearer, subject = await poisoned(world)
    async with running(hearer.listener):
        parked, *_ = await until(rows(hearer, count=3))
        still = await hearer.parking.retry(parked.id, "ops-1")
        assert (still.state, still.tries) == ("parked", 1)
        done = await hearer.parking.retry(parked.id, "ops-1", GOOD % 2)
        assert (done.state, done.ended_by) == ("released", "ops-1")
        await until(heard_by(hearer, count=8))
        assert await hearer.parking.page() == []
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 2, 3, 4)]
    assert await facts(hearer) == ["RecordParked", "ParkedRecordReleased"]
    (released,) = await hearer.journal.read_decided(1, 1)
    assert (released.actor, released.subject) == ("ops-1", subject)


async def test_a_dropped_record_lets_its_key_flow_and_stays_dropped(world: World) -> None:
    forge, hearer, subject = await poisoned(world)
    async with running(hearer.listener):
        parked, *_ = await until(rows(hearer, count=3))
        assert (await hearer.parking.drop(parked.id, "ops-1")).state == "dropped"
        await until(heard_by(hearer, count=7))
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 3, 4)]
    assert await facts(hearer) == ["RecordParked", "ParkedRecordDropped"]
    await read_again(hearer)
    hearer.listener = hearer.new_listener()
    async with running(hearer.listener):
        await forge.say(subject, GOOD % 9)
        await until(heard_by(hearer, count=8))
        assert await hearer.parking.page() == []


async def test_large_records_that_waited_are_let_flow_a_few_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge, hearer = await forged(world)
    subject, text = uuid4(), b"x" * 400_000
    await forge.say(subject, b"no json")
    large = [b'{"number":%d,"text":"%b"}' % (number, text) for number in range(2, 32)]
    for value in large:
        await forge.say(subject, value)
    sizes, hear = list[int](), hearer.journal.hear

    async def measured(heard: Any, offsets: Any, parked: Sequence[Parked], *args: Any, **more: Any) -> Any:
        sizes.append(sum(len(row.value) for row in parked))
        return await hear(heard, offsets, parked, *args, **more)

    monkeypatch.setattr(hearer.journal, "hear", measured)
    async with running(hearer.listener):
        first, *_ = await until(rows(hearer, count=31))
        await hearer.parking.drop(first.id, "ops-1")
        await until(heard_by(hearer, count=30))
    assert max(sizes) < DRAFT_BYTES_MAX + DATA_BYTES_MAX
    assert await numbers(hearer, subject) == large


async def test_a_second_poison_record_of_the_key_is_parked_when_its_turn_comes(world: World) -> None:
    forge, hearer, subject = await poisoned(world)
    await forge.say(subject, b"no json")
    await forge.say(subject, GOOD % 10)
    async with running(hearer.listener):
        first, *_ = await until(rows(hearer, count=5))
        await hearer.parking.retry(first.id, "ops-1", GOOD % 2)
        second, behind = await until(rows(hearer, count=2))
        assert (second.state, second.kind, behind.state) == ("parked", "unreadable", "waiting")
        await hearer.parking.drop(second.id, "ops-1")
        await until(heard_by(hearer, count=9))
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 2, 3, 4, 10)]


async def test_parked_records_survive_a_restart_and_are_acted_on_while_nobody_listens(world: World) -> None:
    forge, hearer, subject = await poisoned(world)
    async with running(hearer.listener):
        parked, *_ = await until(rows(hearer, count=3))
    database = await asyncpg.connect(hearer.database.url)
    await database.execute(
        "update journal.parked set act = 'retry', act_by = 'ops-1', act_at = now(), act_mended = $2 where id = $1",
        parked.id,
        GOOD % 2,
    )
    await database.close()
    await forge.say(subject, GOOD % 9)
    hearer.listener = hearer.new_listener()
    async with running(hearer.listener):
        await until(heard_by(hearer, count=9))
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 2, 3, 4, 9)]


async def test_only_the_first_of_a_key_can_be_acted_on(world: World) -> None:
    _, hearer, _ = await poisoned(world)
    async with running(hearer.listener):
        parked, waiting, _ = await until(rows(hearer, count=3))
        with pytest.raises(Refusal, match="waits behind"):
            await hearer.parking.retry(waiting.id, "ops-1")
        with pytest.raises(NotFound):
            await hearer.parking.drop(uuid4(), "ops-1")
        await hearer.parking.drop(parked.id, "ops-1")
        with pytest.raises(Refusal, match="dropped"):
            await hearer.parking.drop(parked.id, "ops-1")
        assert (await hearer.parking.record(parked.id)).value == b'{"number":"two"}'


async def test_an_altered_duplicate_is_parked_and_the_first_one_stands(world: World) -> None:
    forge, hearer = await forged(world)
    subject = uuid4()
    first = await forge.say(subject, GOOD % 1)
    async with running(hearer.listener):
        await until(heard_by(hearer, count=1))
        await world.pen.write(first)  # the same again is nothing
        await world.pen.write(first, value=GOOD % 666)
        await forge.say(subject, GOOD % 2)
        await until(heard_by(hearer, count=2))
        (row,) = await until(rows(hearer, count=1))
        assert (row.kind, row.state) == ("altered", "parked")
        assert (await hearer.parking.drop(row.id, "ops-1")).state == "dropped"
    assert await numbers(hearer, subject) == [GOOD % 1, GOOD % 2]


async def test_a_record_that_slips_in_at_a_place_long_passed_is_parked(world: World) -> None:
    forge, hearer = await forged(world)
    subject = uuid4()
    first, second = [await forge.say(subject, GOOD % number) for number in (1, 2)]
    async with running(hearer.listener):
        await until(heard_by(hearer, count=2))
        await world.pen.write(first)  # sent again by its owner: nothing
        await world.pen.write(second, value=GOOD % 666, ce_id=str(uuid4()).encode())
        (row,) = await until(rows(hearer, count=1))
        assert (row.kind, row.state) == ("foreign", "parked")
        assert "was passed without the id" in row.reason
        await forge.say(subject, GOOD % 3)
        await until(heard_by(hearer, count=3))
        await hearer.parking.retry(row.id, "ops-1")  # a person may know better
        await until(heard_by(hearer, count=4))
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 2, 3, 666)]


async def test_a_record_that_claims_an_instant_up_to_which_all_was_said_is_parked(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(subject, Said(1))
        await speaker.published()
        (record,) = await speaker.records()

        async def fulfilled() -> bool:
            at = hearer.listener.watermarks()[speaker.contract.owner].at
            return at is not None and bool(await hearer.heard()) and at > (await hearer.heard())[0].recorded_at

        await until(fulfilled)
        await world.pen.write(
            record, ce_id=str(uuid4()).encode(), ce_sequence=b"2", ce_previous=b"1", ce_streamversion=b"2"
        )
        (row,) = await until(rows(hearer, count=1))
        assert row.kind == "foreign"
        assert "nothing up to" in row.reason
        await speaker.say(subject, Said(2))  # the owner's own record of that sequence is heard all the same
        await until(heard_by(hearer, count=2))
    assert await numbers(hearer, subject) == [GOOD % 1, GOOD % 2]


async def test_a_record_from_the_future_waits_until_a_person_decides(world: World) -> None:
    forge, hearer = await forged(world)
    subject = uuid4()
    ahead = wire.instant_text(datetime.now(UTC) + timedelta(hours=1)).encode()
    await forge.say(subject, GOOD % 1, ce_recordedat=ahead)
    await forge.say(subject, GOOD % 2)
    async with running(hearer.listener):
        parked, _ = await until(rows(hearer, count=2))
        assert (parked.kind, parked.state) == ("future", "parked")
        assert "ahead of" in parked.reason
        await hearer.parking.drop(parked.id, "ops-1")
        await until(heard_by(hearer, count=1))
    assert await numbers(hearer, subject) == [GOOD % 2]


@pytest.mark.parametrize(
    ("headers", "kind", "says"),
    [
        ({"ce_id": b"\xff"}, "unreadable", "ce_id"),
        ({"ce_time": b"yesterday"}, "unreadable", "ce_time"),
        ({"ce_schemaversion": b"99"}, "unreadable", "schemaversion"),
        ({"ce_source": b"/baton/somebody"}, "foreign", "somebody"),
        ({"content-type": b"text/plain"}, "unreadable", "content-type"),
    ],
)
async def test_a_record_with_a_wrong_header_is_parked_with_its_reason(
    world: World, headers: dict[str, bytes], kind: str, says: str
) -> None:
    forge, hearer = await forged(world)
    subject = uuid4()
    await forge.say(subject, GOOD % 1, **headers)
    async with running(hearer.listener):
        (row,) = await until(rows(hearer, count=1))
        assert row.kind == kind
        assert says in row.reason
        assert (await hearer.parking.drop(row.id, "ops-1")).state == "dropped"


async def test_when_too_much_waits_the_partition_stops_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WAITING_MAX", 3)
    forge, hearer, subject = await poisoned(world)
    for number in (9, 10, 11):
        await forge.say(subject, GOOD % number)
    async with running(hearer.listener):

        async def stopped() -> bool:
            return bool(hearer.listener.state().stopped)

        await until(stopped)
        (why,) = hearer.listener.state().stopped.values()
        assert f"main:{subject}" in why
        parked, *_ = await until(rows(hearer, count=3))
        await hearer.parking.retry(parked.id, "ops-1", GOOD % 2)
        await until(heard_by(hearer, count=11))
        assert not await stopped()
    assert await numbers(hearer, subject) == [GOOD % number for number in (1, 2, 3, 4, 9, 10, 11)]


async def test_what_was_heard_does_not_wait_when_its_topic_is_read_again_behind_a_parked_record_of_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WAITING_MAX", 3)
    forge, hearer = await forged(world)
    subject = uuid4()
    first, *_ = [await forge.say(subject, GOOD % number) for number in range(1, 6)]
    await forge.say(subject, b"no json")
    async with running(hearer.listener):
        await until(rows(hearer, count=1))
    await read_again(hearer)
    hearer.listener = hearer.new_listener()
    await world.pen.write(first, value=GOOD % 666)
    await forge.say(subject, GOOD % 7)
    async with running(hearer.listener):
        found = await until(rows(hearer, count=3))
    assert {(row.kind, row.state) for row in found} == {
        ("unreadable", "parked"), ("altered", "parked"), ("waiting", "waiting"),
    }  # fmt: skip
    assert await numbers(hearer, subject) == [GOOD % number for number in range(1, 6)]


async def test_a_refused_reaction_is_parked_and_run_again(world: World) -> None:
    forge, hearer = await forged(world)
    await forge.say(uuid4(), GOOD % 1)
    async with running(hearer.listener):
        await until(heard_by(hearer, count=1))
    (entry,) = await hearer.heard()
    for _ in range(2):
        await hearer.parking.park_reaction("assign", entry, "Refusal: nobody is responsible")
    (row,) = await hearer.parking.page()
    assert (row.kind, row.key, row.record_offset) == ("reaction", "assign", entry.position)
    tried: list[tuple[str, int]] = []

    async def again(name: str, position: int) -> None:
        tried.append((name, position))
        if len(tried) == 1:
            raise Refusal("nobody", "still nobody", "仍无人负责")

    hearer.parking.retry_reaction = again
    with pytest.raises(Refusal, match="put right what its reason names, then retry it without data"):
        await hearer.parking.retry(row.id, "ops-1", GOOD % 2)
    assert tried == [], "what would be ignored is refused"
    assert (await hearer.parking.retry(row.id, "ops-1")).state == "parked"
    assert (await hearer.parking.retry(row.id, "ops-1")).state == "released"
    assert tried == [("assign", entry.position)] * 2
    assert await facts(hearer) == ["RecordParked", "ParkedRecordReleased"]


async def test_without_a_listener_what_was_asked_stands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.events.parking.ANSWER_WITHIN_S", 0.3)
    _, hearer, _ = await poisoned(world)
    async with running(hearer.listener):
        parked, *_ = await until(rows(hearer, count=3))
    with pytest.raises(Unavailable, match="will be done"):
        await hearer.parking.drop(parked.id, "ops-1")
    with pytest.raises(Refusal, match="already"):
        await hearer.parking.drop(parked.id, "ops-1")
    hearer.listener = hearer.new_listener()
    async with running(hearer.listener):
        await until(heard_by(hearer, count=7))


async def test_events_of_other_systems_are_handed_on_once_and_refused_ones_are_parked(world: World) -> None:
    hearer = await world.hearer(facts=())
    topic = f"baton.{(await world.speaker()).owner}"
    taken: list[str] = []
    calls: dict[str, int] = {}

    async def take(event: wire.ForeignEvent) -> None:
        calls[event.id] = calls.get(event.id, 0) + 1
        match event.id:
            case "unknown":
                raise Undecodable("type", event.type, "send one of the supported types")
            case "refused":
                raise Refusal("no-such-template", "no such template", "没有该模板")
            case "reused":
                raise CommandReused(event.id)
            case "later" if calls[event.id] == 1:
                raise Unavailable("the journal is away")
        taken.append(event.id)

    producer = AIOKafkaProducer(bootstrap_servers=world.kafka)
    await producer.start()
    for key, event_id in [
        (b"a", "one"), (b"a", "refused"), (b"a", "behind"), (b"b", "two"), (b"b", "unknown"), (None, "later"),
        (b"c", "reused"), (b"c", "three"),
    ]:  # fmt: skip
        headers = [("ce_specversion", b"1.0"), ("ce_id", event_id.encode()), ("ce_source", b"erp"), ("ce_type", b"t")]
        await producer.send_and_wait(topic, b"{}", key=key, partition=0, headers=headers)
    await producer.send_and_wait(
        topic, b"\xff", partition=0, headers=[("content-type", b"application/cloudevents+json")]
    )
    await producer.stop()

    inbound = Inbound(
        hearer.service.contract,
        hearer.journal,
        take,
        dsn=hearer.database.url,
        kafka=world.kafka,
        parking=hearer.parking,
        topic=topic,
    )
    async with running(inbound):
        parked = await until(rows(hearer, count=5))
        assert [(row.kind, row.state) for row in parked] == [
            ("refused", "parked"),
            ("waiting", "waiting"),
            ("unreadable", "parked"),
            ("altered", "parked"),
            ("unreadable", "parked"),
        ]
        assert {"one", "two", "later", "three"} <= set(taken)
        await hearer.parking.drop(parked[0].id, "ops-1")

        async def behind() -> bool:
            return "behind" in taken

        await until(behind)
        assert inbound.positions()[0] == 9
