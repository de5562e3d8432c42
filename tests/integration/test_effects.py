"""Effects into the real world, a server of its own process: at most once, and what came of it is on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from infra.local.databases import Database
from infra.local.rest import unrest
from libs.events import courier as courier_module
from libs.events import rebuilding
from libs.events.appends import Heard
from libs.events.courier import SENDING_SHARE
from libs.events.entries import Entry, Fact, derived_id, new_id
from libs.events.service import Service
from libs.events.tests.errands import SERVICE, BellRung
from libs.events.tests.postcards import (
    ATTEMPTS_MAX,
    BACKOFF_S,
    POSTCARDS,
    PostcardArrived,
    PostcardLost,
    PostcardReturned,
    PostcardRow,
    PostcardTaken,
    RecallPostcard,
    WritePostcard,
    with_postcards,
)
from libs.events.views import View, on
from libs.service.machinery import assemble
from libs.service.settings import Settings
from libs.service.standing import lags, positions
from tests.integration.errands_service import Errands, now, until
from tests.integration.postcards_service import DEADLINE_S, courier_of, postcards, posted, process, sending
from tests.integration.said import heard

pytestmark = pytest.mark.platform


class Sink:
    """The world outside, which remembers what came."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def received(self) -> list[list[str]]:
        """[idempotency key, path] of everything that came."""
        async with httpx.AsyncClient() as client:
            found: list[list[str]] = (await client.get(self.url)).json()
            return found


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with process("tests.integration.sink") as started:
        assert started.stdout is not None
        yield Sink(f"http://127.0.0.1:{int(await started.stdout.readline())}")


async def written(running: Errands, to: str) -> UUID:
    postcard = new_id()
    await running.ask(WritePostcard(postcard=postcard, to=to))
    return postcard


async def facts(running: Errands, service: Service, postcard: UUID) -> list[tuple[Entry, Fact]]:
    """What is on record about one postcard."""
    entries = [entry for entry in await running.journal.read(0, 1_000) if entry.subject == postcard]
    decode = service.language.decode
    return [(entry, decode(entry.type, entry.schema_version, entry.data)) for entry in entries]


async def until_state(running: Errands, postcard: UUID, state: str) -> PostcardRow:
    found: list[PostcardRow] = []

    async def reached() -> bool:
        row: PostcardRow | None = await running.reader.row(POSTCARDS, postcard, tenant="main")
        found[:] = [row] if row is not None and row.state == state else []
        return bool(found)

    await until(reached, f"the postcard is {state}")
    return found[0]


async def test_of_two_couriers_that_race_exactly_one_sends(database: Database, sink: Sink) -> None:
    service, count = postcards(sink.url, at_once_max=20), 20
    async with posted(database, service) as (one, first), posted(database, service) as (two, second):
        cards = [await written(one, "ok") for _ in range(count)]
        await one.settle()
        async with one.working():
            begun = await asyncio.gather(first.step(), second.step())
            assert tuple(begun) == (count, count)  # both begin every one
            for postcard in cards:
                await until_state(two, postcard, "arrived")
        for postcard in cards:
            kinds = [type(fact) for _, fact in await facts(one, service, postcard)]
            assert kinds[1:] == [PostcardTaken, PostcardArrived]
    received = await sink.received()
    assert len(received) == len({key for key, _ in received}) == count


async def test_every_outcome_says_who_made_it_and_what_it_follows_from(database: Database, sink: Sink) -> None:
    service = postcards(sink.url)
    async with posted(database, service) as (running, courier), running.working(), sending(courier):
        postcard = await written(running, "ok")
        assert (await until_state(running, postcard, "arrived")).said == "receipt 1"
        (wrote, _), (took, taken), (arrived, _) = await facts(running, service, postcard)
        assert (wrote.actor, took.actor, arrived.actor) == ("ann", "errands/post", "errands/post")
        assert (took.causation_id, arrived.causation_id) == (wrote.id, took.id)
        assert wrote.correlation_id == took.correlation_id == arrived.correlation_id
        assert arrived.command_id == derived_id(took.command_id, "outcome")
        assert isinstance(taken, PostcardTaken)
        assert 0 < (taken.deadline - took.recorded_at).total_seconds() <= service.effects[0].deadline_s


async def test_a_killed_courier_leaves_an_unknown_that_nobody_sends_again(database: Database, sink: Sink) -> None:
    service = postcards(sink.url)
    environment = {
        "ERRANDS_URL": database.url,
        "ERRANDS_READER_URL": database.reader_url,
        "ERRANDS_SINK": sink.url,
    }
    async with posted(database, service) as (running, courier):
        await running.projector.prepare()
        async with process("tests.integration.postcards_service", **environment) as other:
            postcard = await written(running, "mute")

            async def came() -> bool:
                return bool(await sink.received())

            await until(came, "the postcard has left")
            other.kill()
            await other.wait()
        async with running.working():
            taken = await until_state(running, postcard, "taken")
            assert taken.deadline is not None
            assert now() < taken.deadline, f"not seen within {DEADLINE_S} s"
            assert await courier.step() == 0
            assert (await courier.waiting(), await courier.under_way()) == (0, 1)
            async with sending(courier):
                lost = await until_state(running, postcard, "lost")
                assert lost.said == f"no outcome was recorded by {taken.deadline.isoformat()}"
                _, (took, _), (unknown, fact) = await facts(running, service, postcard)
                assert isinstance(fact, PostcardLost)
                assert (unknown.actor, unknown.causation_id) == ("errands/post", took.id)
                assert unknown.recorded_at >= taken.deadline
                assert (await courier.waiting(), await courier.under_way(), await courier.next_due()) == (0, 0, None)
                assert await courier.unknown() == 1, "it waits for a person"
                sentinel = await written(running, "ok")  # all that was there before it has been looked at by then
                await until_state(running, sentinel, "arrived")
    assert [path for _, path in await sink.received()] == ["/mute", "/ok"]


async def test_a_failing_sink_gets_as_many_attempts_and_as_late_as_the_facts_say(
    database: Database, sink: Sink
) -> None:
    service = postcards(sink.url)
    async with posted(database, service) as (running, courier), running.working(), sending(courier):
        busy, gone = await written(running, "busy"), await written(running, "gone")
        assert (await until_state(running, busy, "returned")).said == "answered 503"
        await until_state(running, gone, "returned")
        told = await facts(running, service, busy)
        attempts = [entry for entry, fact in told if isinstance(fact, PostcardTaken)]
        nexts = [fact.next_at for _, fact in told if isinstance(fact, PostcardReturned)]
        assert len(attempts) == ATTEMPTS_MAX
        assert nexts[-1] is None
        for after, next_at, before in zip(attempts[1:], nexts, attempts, strict=False):
            assert next_at is not None
            assert after.recorded_at >= next_at
            assert (after.recorded_at - before.recorded_at).total_seconds() >= BACKOFF_S
        keys = [key for key, path in await sink.received() if path == "/busy"]
        assert len(set(keys)) == len(keys) == ATTEMPTS_MAX
        assert len([key for key, path in await sink.received() if path == "/gone"]) == 1


async def test_what_failed_counts_while_it_waits_for_another_attempt_and_no_longer_once_it_is_given_up(
    database: Database, sink: Sink
) -> None:
    async with posted(database, postcards(sink.url)) as (running, courier), running.working():

        async def counted() -> bool:
            return await courier.retrying() == 1

        busy = await written(running, "busy")
        await running.projector.wait(await running.journal.position(), DEADLINE_S)
        assert await courier.retrying() == 0, "it was not tried yet"
        await courier.step()
        await until(counted, "it failed, and waits for the next attempt")
        async with sending(courier):
            await until_state(running, busy, "returned")
        assert await courier.retrying() == 0


async def test_nobody_at_the_address_is_a_failure_and_no_answer_in_time_is_unknown(
    database: Database, sink: Sink
) -> None:
    service, deadline_s = postcards(sink.url, deadline_s=4.0), 4.0
    async with posted(database, service) as (running, courier), running.working():
        mute = await written(running, "mute")
        async with sending(courier):
            assert (await until_state(running, mute, "lost")).said.startswith("no answer within")
            (_, _), (took, _), (unknown, _) = await facts(running, service, mute)
            assert (unknown.recorded_at - took.recorded_at).total_seconds() >= deadline_s * SENDING_SHARE / 2
    assert len(await sink.received()) == 1
    closed = postcards("http://127.0.0.1:9")
    async with posted(database, closed) as (running, courier), running.working():
        nowhere = await written(running, "ok")
        async with sending(courier):
            assert (await until_state(running, nowhere, "returned")).said.startswith("nobody answers")


async def test_an_attempt_over_which_the_machine_fell_asleep_is_not_sent_after_its_deadline(
    database: Database, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = postcards(sink.url, deadline_s=DEADLINE_S)
    async with posted(database, service) as (running, courier), running.working():
        entry = running.journal.entry

        async def asleep(position: int) -> Entry:
            """The attempt is on record; before it is read again the machine sleeps."""
            found = await entry(position)
            if found.type.endswith("Taken"):
                monkeypatch.setattr(courier_module, "machine_s", lambda: time.monotonic() + DEADLINE_S)
            return found

        monkeypatch.setattr(courier_module, "machine_s", time.monotonic)
        monkeypatch.setattr(running.journal, "entry", asleep)
        postcard = await written(running, "ok")
        await until_state(running, postcard, "waiting")
        await courier.step()

        async def ended() -> bool:
            return len(await facts(running, service, postcard)) == 3

        await until(ended, "what came of the attempt is on record")
        _, _, (_, outcome) = await facts(running, service, postcard)
    assert isinstance(outcome, PostcardReturned)
    assert "no time left" in outcome.reason
    assert await sink.received() == []


async def test_a_postcard_recalled_after_its_attempt_began_is_not_sent(database: Database, sink: Sink) -> None:
    service = postcards(sink.url)
    async with posted(database, service) as (running, courier):
        postcard = await written(running, "ok")
        await running.settle()
        assert await courier.step() == 1

        async def taken() -> bool:
            return len(await facts(running, service, postcard)) == 2

        await until(taken, "the attempt is on record")
        await running.ask(RecallPostcard(postcard=postcard))  # nothing is folded yet
        async with running.working():
            assert (await until_state(running, postcard, "returned")).said == "it is no longer wanted"
    assert await sink.received() == []


async def test_rebuilding_a_view_sends_nothing(database: Database, sink: Sink) -> None:
    service = postcards(sink.url)
    async with posted(database, service) as (running, courier):
        async with running.working():
            arrived, lost = await written(running, "ok"), await written(running, "mute")
            async with sending(courier):
                await until_state(running, arrived, "arrived")
                await until_state(running, lost, "taken")
        rebuilt = await rebuilding.replace(service, POSTCARDS, running.journal, running.pool)
        assert (rebuilt.rows, rebuilt.differing) == (2, ())
        assert await courier.step() == 0
    assert len(await sink.received()) == 2


class Echo(Fact, frozen=True):
    to: str
    due_at: datetime | None
    deadline: datetime | None
    attempt: int
    stream_version: int
    postcard: UUID


ECHOES: View[Echo] = View(
    "echoes",
    1,
    Echo,
    ("to",),
    (
        on(
            BellRung,
            lambda row, fact, entry: Echo(fact.to, entry.recorded_at, None, 1, 0, entry.subject),
            lambda fact, entry: (fact.to,),
        ),
    ),
)


def rung(to: str, *, backfilled: bool) -> Heard:
    return heard("bells.BellRung", 1, b'{"to": "%s"}' % to.encode(), now(), backfilled=backfilled)


async def test_backfilled_entries_wake_no_effect_and_what_is_not_due_by_its_stream_is_set_aside(
    database: Database, sink: Sink
) -> None:
    post = postcards(sink.url).effects[0]
    plain = with_postcards(post)
    service = replace(plain, views=(*plain.views, ECHOES), effects=(replace(post, view=ECHOES, unknown_state=None),))
    async with posted(database, service) as (running, courier):
        await running.journal.hear((rung("old", backfilled=True),))
        await running.settle()
        assert (await courier.step(), await courier.waiting(), courier.stuck) == (0, 0, {})
        await running.journal.hear((rung("new", backfilled=False),))
        await running.settle()
        assert await courier.step() == 1

        async def set_aside() -> bool:
            return bool(courier.stuck)

        await until(set_aside, "the echo is set aside")
        assert list(courier.stuck.values()) == ["post new: no attempt at it was decided: by its stream it is not due"]
        assert (await courier.step(), await courier.waiting()) == (0, 0)
    assert await sink.received() == []


async def test_the_role_is_there_when_effects_are_and_rest_waits_for_them(
    database: Database, sink: Sink, tmp_path: Path
) -> None:
    settings = Settings(database_url=database.url, reader_url=database.reader_url, kafka="127.0.0.1:9", keys=tmp_path)
    service = postcards(sink.url)
    async with posted(database, service) as (running, courier):
        parts = assemble(service, settings, running.journal, running.pool, running.pool)
        assert "courier" in {role.name for role in parts.roles}
        plain = assemble(SERVICE, settings, running.journal, running.pool, running.pool)
        assert "courier" not in {role.name for role in plain.roles}
        with pytest.raises(ValueError, match="give each a view of its own"):
            courier_of(replace(service, effects=service.effects * 2), running, database)

        async def standing() -> dict[str, Any]:
            at = (await positions(parts)).model_dump(mode="json")
            return {**at, "published": at["sequence"], "reacted": at["position"], "folded": at["position"]}

        assert unrest({"errands": await standing()}) == []
        postcard = await written(running, "mute")
        await running.settle()
        assert unrest({"errands": await standing()}) == ["errands has 1 to send and 0 on the way"]
        assert (await lags(parts))["send_overdue"] > 0
        await courier.step()
        async with running.working():
            await until_state(running, postcard, "taken")
        assert unrest({"errands": await standing()}) == ["errands has 0 to send and 1 on the way"]
        told = await lags(parts)
        assert (told["send_overdue"], told["send_unknown"]) == (0, 0)
