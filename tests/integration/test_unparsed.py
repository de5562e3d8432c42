"""A record whose header has a name that is no UTF-8: Kafka takes it, and aiokafka can parse nothing from there on."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from tests.integration.speakers import Said, World, running, told, until

pytestmark = pytest.mark.platform


class Name(str):
    """Of a header, as another client may write it."""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return b"\xff\xfe"


@pytest.fixture
def python_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's builder in C takes no other names than UTF-8."""
    for module in ("producer", "message_accumulator"):
        name = f"aiokafka.producer.{module}.DefaultRecordBatchBuilder"
        monkeypatch.setattr(name, _DefaultRecordBatchBuilderPy)


async def delete(kafka: str, tp: TopicPartition, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def send_unparsable(kafka: str, tp: TopicPartition) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(tp.topic, b"{}", partition=tp.partition, headers=[(Name("x"), b"")])


@pytest.mark.usefixtures("python_builder")
async def test_a_record_that_cannot_be_parsed_is_named_and_once_it_is_deleted_the_listener_goes_on(
    world: World,
) -> None:
    speaker = await world.speaker()
    subjects = [uuid4() for _ in range(20)]
    subject = subjects[0]
    tp = TopicPartition(speaker.contract.topic, speaker.partition(subject))
    hearer = await world.hearer(speaker)

    async def say(subject: UUID, *numbers: int) -> None:
        for number in numbers:
            await speaker.say(subject, Said(number))
        await speaker.published()

    async with running(speaker.publisher):
        await say(subject, 1, 2)
        await send_unparsable(world.kafka, tp)
        await say(subject, 3)
        other = next(other for other in subjects if speaker.partition(other) != tp.partition)
        await say(other, 4)

        async with running(hearer.listener):

            async def named() -> bool:
                problem = hearer.listener.state().problem or ""
                return f"offset 2 of {tp.topic}/{tp.partition} cannot be parsed" in problem

            await until(named)
            await hearer.has(3)
            assert [entry.data for entry in await hearer.heard() if entry.subject == subject] == [
                b'{"number":1,"text":""}',
                b'{"number":2,"text":""}',
            ], "what stands before it is heard"
            await delete(world.kafka, tp, 3)
            await hearer.has(4)
            await hearer.caught_up(speaker)
    assert sorted(told(await hearer.heard())) == sorted(told(await speaker.decided()))


async def test_who_listens_for_the_first_time_hears_what_was_deleted_with_it_once_it_is_published_again(
    world: World,
) -> None:
    speaker = await world.speaker()
    subject = uuid4()
    tp = TopicPartition(speaker.contract.topic, speaker.partition(subject))
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher):
        for number in (1, 2, 3):
            await speaker.say(subject, Said(number))
        await speaker.published()
        await delete(world.kafka, tp, 2)
        async with running(hearer.listener):

            async def gap() -> bool:
                return bool(hearer.listener.state().gaps)

            await until(gap)
            await speaker.publisher.publish_from(1)
            await hearer.has(3)


@pytest.mark.usefixtures("python_builder")
async def test_a_publisher_that_begins_before_one_names_it_and_goes_on_once_it_is_deleted(world: World) -> None:
    speaker = await world.speaker()
    subject = uuid4()
    tp = TopicPartition(speaker.contract.topic, speaker.partition(subject))
    async with running(speaker.publisher):
        await speaker.say(subject, Said(1))
        await speaker.published()
    await send_unparsable(world.kafka, tp)
    await speaker.say(subject, Said(2))
    async with running(speaker.publisher):

        async def named() -> bool:
            problem = speaker.publisher.state().problem or ""
            return f"offset 1 of {tp.topic}/{tp.partition} cannot be parsed" in problem

        await until(named)
        await delete(world.kafka, tp, 2)
        await speaker.published()
        assert speaker.publisher.state().problem is None
