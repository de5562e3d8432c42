"""Which facts a service listens to: types that come later, pause, or were passed over by an older process."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from libs.events import heads, listener
from libs.events.entries import Fact
from libs.events.fetching import Fetching, Partition
from libs.events.judging import Raw
from tests.integration.speakers import Hearer, Said, Speaker, Whispered, World, hearing_service, running, until

pytestmark = pytest.mark.platform


async def test_a_subscription_added_later_hears_what_is_past_as_backfilled(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    subject = uuid4()
    async with running(speaker.publisher):
        async with running(hearer.listener):
            await speaker.say(subject, Said(1), Whispered(2))
            await hearer.caught_up(speaker)
        more = another(hearer, speaker, Said, Whispered)
        async with running(more.listener):
            await more.caught_up(speaker)
            await more.has(2)
            await speaker.say(subject, Said(3), Whispered(4))
            await more.caught_up(speaker)
    heard = [(entry.type.partition(".")[2], entry.backfilled) for entry in await more.heard()]
    assert heard == [("Said", False), ("Whispered", True), ("Said", False), ("Whispered", False)]


async def test_what_an_older_process_passed_over_while_it_led_is_heard_as_if_it_had_not(world: World) -> None:
    speaker = await world.speaker()
    newer = await world.hearer(speaker, facts=(Said, Whispered))
    older = another(newer, speaker, Said)
    subject = uuid4()
    async with running(speaker.publisher):
        for number, process in enumerate((newer, older), start=1):
            async with running(process.listener):
                await speaker.say(subject, Whispered(number))
                await process.caught_up(speaker)
        assert await whispers(newer) == [(1, False)]
        async with running(another(newer, speaker, Said, Whispered).listener):
            await speaker.say(subject, Whispered(3))
            await newer.has(3)
    assert await whispers(newer) == [(1, False), (2, False), (3, False)]


async def test_the_watermark_stands_still_until_what_an_older_process_passed_over_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = await world.speaker()
    newer = await world.hearer(speaker, facts=(Said, Whispered))
    subject, withheld = uuid4(), Withheld(monkeypatch, speaker.owner)
    async with running(speaker.publisher):
        for number, process in enumerate((newer, another(newer, speaker, Said)), start=1):
            async with running(process.listener):
                await speaker.say(subject, Whispered(number))
                await process.caught_up(speaker)
        instant = (await speaker.journal.head()).instant
        with withheld:
            for _ in range(2):  # begun anew, it still knows
                again = another(newer, speaker, Said, Whispered)
                async with running(again.listener):
                    await withheld.told(instant)
                    at = again.listener.watermarks()[speaker.owner].at
                    assert at is None or at < instant  # what the older one had told stands
        async with running(again.listener):
            await again.caught_up(speaker)
            assert again.listener.watermarks()[speaker.owner].position >= (await again.heard())[-1].position
    assert await whispers(newer) == [(1, False), (2, False)]


async def test_the_watermark_does_not_wait_for_a_topic_that_is_no_more(world: World) -> None:
    speaker = await world.speaker()
    hearer = await world.hearer(speaker)
    async with running(speaker.publisher), running(hearer.listener):
        await speaker.say(uuid4(), Said(1))
        await hearer.caught_up(speaker)
    database = await asyncpg.connect(hearer.database.owner_url)
    await database.execute("update journal.offsets set next_offset = 0, reread_until = 1000")
    await database.close()
    await speaker.rewrite_topic(lambda record: True)  # while it was being read again
    speaker.publisher = speaker.new_publisher()
    async with running(speaker.publisher):
        for _ in range(2):
            hearer.listener = hearer.new_listener()
            async with running(hearer.listener):
                await hearer.caught_up(speaker)


async def test_a_type_that_nobody_listened_to_for_long_is_new(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PAUSE_DAYS_MAX", 0)
    speaker = await world.speaker()
    newer = await world.hearer(speaker, facts=(Said, Whispered))
    subject = uuid4()
    async with running(speaker.publisher):
        for number, process in enumerate((newer, another(newer, speaker, Said)), start=1):
            async with running(process.listener):
                await speaker.say(subject, Whispered(number))
                await process.caught_up(speaker)
        async with running(another(newer, speaker, Said, Whispered).listener):
            await newer.has(2)
            await speaker.say(subject, Whispered(3))
            await newer.has(3)
    assert await whispers(newer) == [(1, False), (2, True), (3, False)]


async def test_an_owner_whose_clock_is_ahead_loses_nothing_when_another_type_of_its_is_listened_to(
    world: World,
) -> None:
    speaker = await world.speaker()
    before = await world.hearer(speaker)
    after, subject = another(before, speaker, Said, Whispered), uuid4()
    owner = await asyncpg.connect(speaker.database.owner_url)
    await owner.execute("""update journal.clock set "offset" = interval '30 s'""")
    await owner.close()
    async with running(speaker.publisher):
        async with running(before.listener):
            await speaker.say(subject, Said(1), Whispered(2))
            await before.caught_up(speaker)
        async with running(after.listener):
            await after.has(2)
    assert [parked.reason for parked in await after.parking.page()] == []


class Withheld:
    """While it is entered, listeners get heads, but no records of this owner."""

    _came: datetime
    _told: datetime

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: str) -> None:
        self._monkeypatch, self._owner = monkeypatch, owner

    def __enter__(self) -> None:
        take = Fetching.take

        async def only_heads(fetching: Fetching) -> dict[Partition, list[Raw]]:
            self._told = self._came  # whoever fetches has dealt with what came before
            taken = await take(fetching)
            said = [heads.decode(raw.value) for place in taken if place[0] == heads.TOPIC for raw in taken[place]]
            self._came = max([self._came, *(head.at for head in said if head.owner == self._owner)])
            return {place: taken[place] for place in taken if place[0] == heads.TOPIC}

        self._monkeypatch.setattr(Fetching, "take", only_heads)

    def __exit__(self, *_: object) -> None:
        self._monkeypatch.undo()

    async def told(self, instant: datetime) -> None:
        """Waits until a listener that has just begun has dealt with a head from then or later."""
        self._came = self._told = datetime.min.replace(tzinfo=UTC)

        async def passed() -> bool:
            return self._told >= instant

        await until(passed)


def another(hearer: Hearer, speaker: Speaker, *facts: type[Fact]) -> Hearer:
    """Another process of the same service, of a version that needs these facts."""
    service = hearing_service(hearer.service.name, [speaker.owner], facts)
    return Hearer(service, hearer.database, hearer.kafka, hearer.journal, hearer.pool)


async def whispers(hearer: Hearer) -> list[tuple[int, bool]]:
    """Number, and whether it was heard as backfilled."""
    return [(json.loads(entry.data)["number"], entry.backfilled) for entry in await hearer.heard()]
