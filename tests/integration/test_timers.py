"""A timer waits for its sources: a fact from before the deadline may still be on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from infra.local.databases import Database
from libs.events import timekeeper
from libs.events.clock import Reading
from libs.events.entries import Entry, Fact, new_id
from libs.events.heads import Watermark
from libs.events.service import Service
from libs.events.tests.errands import (
    BELLS,
    CONTRACT,
    SERVICE,
    BellRung,
    ErrandForgotten,
    ErrandGiven,
    ErrandPassedOn,
    ForgetErrand,
    GiveErrand,
    PassOn,
    Reminder,
)
from libs.events.timers import Timer
from libs.events.views import View, on
from tests.integration.errands_service import DEADLINE_S, Errands, errands, until
from tests.integration.said import heard

pytestmark = pytest.mark.platform
LIMIT_S = 60
MOMENT = timedelta(microseconds=1)
GRACE_S = 1.0
NEXT_IN_S = 2
LONG_S = 3_600.0


@dataclass
class Ears:
    """What a listener would say of its sources."""

    marks: dict[str, Watermark] = field(default_factory=dict)

    def watermarks(self) -> dict[str, Watermark]:
        return self.marks

    def hear(self, at: datetime | None, position: int) -> None:
        self.marks["bells"] = Watermark("bells", at, position, time.monotonic())


def waiting_for_bells(grace_s: float | None) -> Service:
    (timer,) = SERVICE.timers
    return replace(SERVICE, timers=(replace(timer, sources=("bells",), grace_s=grace_s),))


@asynccontextmanager
async def due(database: Database, ears: Ears, service: Service) -> AsyncIterator[tuple[Errands, datetime]]:
    """An errand whose limit the domain clock has passed, and the instant at which it was due."""
    async with errands(database, service, ears) as running:
        start = (await running.clock.read()).now
        await running.clock.hold(start)
        await running.ask(GiveErrand(errand=new_id(), to="erp", due_in_s=LIMIT_S))
        await running.settle()
        at = start + timedelta(seconds=LIMIT_S)
        await running.clock.hold(at + timedelta(hours=1))
        await running.clock.fire()
        yield running, at


async def forgotten(service: Errands) -> list[Entry]:
    return [e for e in await service.journal.read(0, 100) if e.type == CONTRACT.type_of(ErrandForgotten)]


def confirmed(entry: Entry) -> bool:
    fact = SERVICE.language.decode(entry.type, entry.schema_version, entry.data)
    assert isinstance(fact, ErrandForgotten)
    return fact.confirmed


async def ring(service: Errands, to: str, occurred_at: datetime) -> None:
    """Another owner says something; it is in the journal, and not yet in any view."""
    recorded = (await service.clock.read()).now
    type_, version, data = BELLS.encode(BellRung(to))
    await service.journal.hear([heard(type_, version, data, recorded, occurred_at=occurred_at)])


async def test_a_timer_fires_when_its_source_has_passed_the_instant_and_all_of_it_is_folded(database: Database) -> None:
    ears = Ears()
    async with due(database, ears, waiting_for_bells(grace_s=None)) as (service, at):
        ears.hear(at - MOMENT, await service.journal.position())
        assert not await service.timekeeper.step()
        await ring(service, "ann", at - MOMENT)
        ears.hear(at, await service.journal.position())
        assert not await service.timekeeper.step(), "what the source said up to then is not folded yet"
        assert await forgotten(service) == []
        await service.settle()
        async with service.working():
            await until(lambda: _count(service, 1), "the timer fired")
        (fired,) = await forgotten(service)
        assert fired.occurred_at == at
        assert confirmed(fired)


async def test_a_source_that_was_silent_for_the_grace_is_waited_for_no_longer_and_the_fact_says_so(
    database: Database,
) -> None:
    """The clock is held: grace is machine time."""
    async with due(database, Ears(), waiting_for_bells(LONG_S)) as (service, at):
        assert not await service.timekeeper.step(), "the grace is not over"
    async with errands(database, waiting_for_bells(GRACE_S), Ears()) as service:
        async with service.working():
            await until(lambda: _count(service, 1), "the timer fired")
        (fired,) = await forgotten(service)
        assert fired.occurred_at == at
        assert not confirmed(fired)


async def test_a_source_that_announces_is_waited_for_however_long_it_takes(database: Database) -> None:
    ears = Ears()
    async with due(database, ears, waiting_for_bells(GRACE_S)) as (service, at):
        end = time.monotonic() + 3 * GRACE_S

        async def grace_is_long_over() -> bool:
            ears.hear(at - MOMENT, 0)
            assert not await service.timekeeper.step()
            return time.monotonic() > end

        await until(grace_is_long_over, "three times the grace went by")
        assert await forgotten(service) == []


async def test_without_a_grace_a_silent_source_is_waited_for_for_ever(database: Database) -> None:
    async with due(database, Ears(), waiting_for_bells(grace_s=None)) as (service, _):
        end = time.monotonic() + GRACE_S

        async def some_time_is_over() -> bool:
            assert not await service.timekeeper.step()
            return time.monotonic() > end

        await until(some_time_is_over, "some time went by")


class Passed(Fact, frozen=True):
    source: str
    up_to: datetime
    recorded_at: datetime


def passed(row: Passed | None, fact: BellRung, entry: Entry) -> Passed:
    return Passed(fact.to, entry.occurred_at, entry.recorded_at)


def imported(row: Reminder | None, fact: ErrandGiven, entry: Entry) -> Reminder:
    return Reminder(fact.errand, fact.due_at, entry.version, fact.to)


def gone(row: Reminder | None, fact: Fact, entry: Entry) -> None:
    return None


PASSED: View[Passed] = View("passed", 1, Passed, ("source",), (on(BellRung, passed, lambda f, e: (f.to,)),))
IMPORTED: View[Reminder] = View(
    "imported", 1, Reminder, ("errand",), (on(ErrandGiven, imported), on(ErrandForgotten, gone))
)


def forget_it(row: Reminder) -> ForgetErrand:
    return ForgetErrand(errand=row.errand)


async def test_what_was_imported_is_late_by_the_event_time_of_its_source_and_not_by_the_clock(
    database: Database,
) -> None:
    """The domain clock, and all that was announced, is long past the limit; the import has not got there yet."""
    timer = Timer("imported", IMPORTED, forget_it, sources=("bells",), timelines=PASSED)
    service_ = replace(SERVICE, views=(*SERVICE.views, IMPORTED, PASSED), timers=(timer,))
    ears = Ears()
    async with due(database, ears, service_) as (service, at):

        async def heard_up_to(instant: datetime) -> None:
            await ring(service, "erp", instant)
            await service.settle()
            ears.hear((await service.clock.read()).now + timedelta(hours=1), await service.journal.position())

        await heard_up_to(at - MOMENT)
        assert not await service.timekeeper.step()
        assert await service.timekeeper.waiting() == 0
        await ring(service, "another", at)
        await service.settle()
        assert not await service.timekeeper.step(), "somebody else's event time"
        await heard_up_to(at)
        async with service.working():
            await until(lambda: _count(service, 1), "the timer fired")
        (fired,) = await forgotten(service)
        assert fired.occurred_at == at


async def test_what_falls_due_by_what_fired_waits_until_that_was_reacted_to(database: Database) -> None:
    """After an outage: the second instant is long past when the fold of what fired at the first one makes it known."""

    def rung(row: Reminder | None, fact: ErrandGiven, entry: Entry) -> Reminder:
        return Reminder(fact.errand, entry.occurred_at + timedelta(seconds=30), entry.version, "")

    def end(row: Reminder | None, fact: ErrandPassedOn, entry: Entry) -> Reminder:
        return Reminder(entry.subject, entry.occurred_at + timedelta(seconds=10), entry.version, "")

    rungs = View("rungs", 1, Reminder, ("errand",), (on(ErrandGiven, rung), on(ErrandPassedOn, gone)))
    ends = View("ends", 1, Reminder, ("errand",), (on(ErrandPassedOn, end), on(ErrandForgotten, gone)))
    timers = (
        Timer("rung", rungs, lambda row: PassOn(errand=row.errand, to="bob"), sources=()),
        Timer("end", ends, forget_it, sources=()),
    )
    async with due(database, Ears(), replace(SERVICE, views=(*SERVICE.views, rungs, ends), timers=timers)) as (it, _):
        assert await it.timekeeper.step()
        while await it.projector.step():
            assert not await it.timekeeper.step(), "what fired is not reacted to yet"
        assert not await it.timekeeper.step()
        assert await forgotten(it) == []
        await it.settle()
        assert await it.timekeeper.step()
        assert len(await forgotten(it)) == 1
        await it.settle()
        assert not await it.timekeeper.step()
        assert it.timekeeper.stuck == {}


async def test_more_that_fired_than_may_be_unsettled_holds_the_rest_back_only_until_it_is_settled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timekeeper, "BATCH_ROWS_MAX", 2)
    monkeypatch.setattr(timekeeper, "UNSETTLED_MAX", 1)
    async with errands(database) as service:
        for _ in range(5):
            await service.ask(GiveErrand(errand=new_id(), to="ann", due_in_s=-1))
        await service.settle()
        assert await service.timekeeper.step()
        assert not await service.timekeeper.step(), "what fired is not settled yet"
        assert len(await forgotten(service)) == 2
        async with service.working():
            await until(lambda: _count(service, 5), "all have fired")


async def test_what_fired_and_is_not_yet_folded_does_not_keep_the_timekeeper_awake_until_the_next_one_is_due(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service:
        for due_in_s in (0, NEXT_IN_S):
            await service.ask(GiveErrand(errand=new_id(), to="ann", due_in_s=due_in_s))
        await service.settle()
        due_at, looks, read = service.clock.now() + timedelta(seconds=NEXT_IN_S), list[Reading](), service.clock.read

        async def counted() -> Reading:
            looks.append(await read())
            return looks[-1]

        async def nearly_due() -> bool:
            return await _count(service, 1) and service.clock.now() > due_at

        monkeypatch.setattr(service.clock, "read", counted)
        firing = asyncio.create_task(service.timekeeper.run())
        try:
            await until(nearly_due, "the first has fired, and the second is due")
            seen = len(looks)
            await service.settle()
            await until(lambda: _count(service, 2), "both have fired")
        finally:
            firing.cancel()
            await asyncio.wait([firing])
    assert seen < NEXT_IN_S / timekeeper.POLL_S_MIN / 2


async def test_what_is_due_while_what_fired_is_folded_fires_as_soon_as_that_is_done_not_at_the_next_poll(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timekeeper, "BATCH_ROWS_MAX", 1)
    monkeypatch.setattr(timekeeper, "UNSETTLED_MAX", 0)
    monkeypatch.setattr(timekeeper, "POLL_S_MIN", 2 * DEADLINE_S)
    async with errands(database) as service:
        for _ in range(5):
            await service.ask(GiveErrand(errand=new_id(), to="ann", due_in_s=-1))
        await service.settle()
        async with service.working():
            await until(lambda: _count(service, 5), "all have fired, one by one")


async def _count(service: Errands, count: int) -> bool:
    return len(await forgotten(service)) == count
