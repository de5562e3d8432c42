"""Which facts a service listens to: types that come later, pause, or were passed over by an older process."""

from __future__ import annotations

import json
from uuid import uuid4

import asyncpg
import pytest

from libs.events import listener
from libs.events.entries import Fact
from tests.integration.speakers import Hearer, Said, Speaker, Whispered, World, hearing_service, running

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


def another(hearer: Hearer, speaker: Speaker, *facts: type[Fact]) -> Hearer:
    """Another process of the same service, of a version that needs these facts."""
    service = hearing_service(hearer.service.name, [speaker.owner], facts)
    return Hearer(service, hearer.database, hearer.kafka, hearer.journal, hearer.pool)


async def whispers(hearer: Hearer) -> list[tuple[int, bool]]:
    """Number, and whether it was heard as backfilled."""
    return [(json.loads(entry.data)["number"], entry.backfilled) for entry in await hearer.heard()]
