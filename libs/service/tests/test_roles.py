from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import httpx
import psutil
import pytest
from fastapi import FastAPI

from libs.events.errors import Diverged
from libs.events.leading import heed_cancellation
from libs.service import health, roles
from libs.service.health import Readiness, health_router, readiness
from libs.service.lags import LAG_ENTRIES_MAX
from libs.service.metrics import Metrics
from libs.service.roles import Role, Roles

WITHIN_S = 5.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110  # the condition belongs to somebody else
            await asyncio.sleep(0.005)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def caught_up() -> Mapping[str, float]:
    return {"fold": 0}


async def test_a_role_that_fails_is_shown_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(roles, "PROVEN_AFTER_S_MIN", 0.01)
    gate, starts = asyncio.Event(), 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts <= 2:
            await gate.wait()
            raise OSError("no broker")
        await for_ever()

    kept = Roles([Role("publisher", run), Role("projector", for_ever)])
    kept.start()
    try:
        await until(lambda: starts == 1)
        assert (await readiness(kept, caught_up)).ready
        gate.set()
        await until(lambda: bool(kept.roles[0].failure))
        found = await readiness(kept, caught_up)
        assert not found.ready
        assert found.down == {"publisher": "OSError: no broker"}
        await until(lambda: starts == 3 and not kept.roles[0].failure)
        found = await readiness(kept, caught_up)
        assert (found.ready, found.restarts) == (True, {"publisher": 2})
    finally:
        await kept.stop()


async def test_a_role_that_fails_again_and_again_is_not_told_as_well_while_its_next_try_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roles, "BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(roles, "PROVEN_AFTER_S_MIN", 0.0)
    clock_s, told = 0.0, list[str]()
    monkeypatch.setattr(roles, "time", SimpleNamespace(monotonic=lambda: clock_s))

    async def run() -> None:
        nonlocal clock_s
        await asyncio.sleep(0.02)
        told.append(kept.roles[0].failure)
        clock_s += 5.0
        raise OSError("no space left")

    kept = Roles([Role("projector", run)])
    kept.start()
    try:
        await until(lambda: len(told) == 4)
        assert told == ["", "", "OSError: no space left", "OSError: no space left"], "one failure may be an outage"
    finally:
        await kept.stop()


async def test_a_part_that_began_anew_by_itself_is_counted_as_one_that_was_started_again() -> None:
    kept, metrics = Roles([Role("publisher", for_ever, itself=lambda: 2)]), Metrics("lines")

    async def ready() -> Readiness:
        return await readiness(kept, caught_up)

    app = FastAPI()
    app.include_router(health_router(ready, metrics))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lines") as client:
        for _ in range(2):
            told = (await client.get("/metrics")).text
    assert 'baton_role_restarts_total{role="publisher",service="lines"} 2.0' in told
    assert (await ready()).restarts == {"publisher": 2}


async def test_a_crowd_that_asks_whether_a_service_is_ready_is_answered_by_a_look_or_two() -> None:
    looks = 0

    async def ready() -> Readiness:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return await readiness(Roles([]), caught_up)

    app = FastAPI()
    app.include_router(health_router(ready, Metrics("lines")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lines") as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert looks <= 2


def test_a_process_tells_since_when_it_runs_so_that_one_that_dies_again_and_again_is_noticed() -> None:
    (began,) = [
        line for line in Metrics("lines").text().splitlines() if line.startswith(b"process_start_time_seconds ")
    ]
    assert float(began.split()[1]) == pytest.approx(psutil.Process().create_time(), abs=1.0)


async def test_a_role_that_lost_several_tasks_at_once_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed TaskGroup may leave its task marked as cancelled, and the next run heeds such marks."""
    monkeypatch.setattr(roles, "BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(roles, "PROVEN_AFTER_S_MIN", 0.01)
    starts = 0

    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("no database")

    async def run() -> None:
        nonlocal starts
        heed_cancellation()
        starts += 1
        if starts == 2:
            raise asyncio.CancelledError
        if starts == 3:
            await for_ever()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(for_ever())

    kept = Roles([Role("reactor", run)])
    kept.start()
    try:
        await until(lambda: starts == 3 and not kept.roles[0].failure)
        assert kept.roles[0].restarts == 2
    finally:
        await kept.stop()


async def test_a_role_whose_stories_diverged_stays_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "BACKOFF_S_MIN", 0.0)

    async def run() -> None:
        raise Diverged("the topic is ahead")

    kept = Roles([Role("publisher", run)])
    kept.start()
    await until(lambda: bool(kept.roles[0].failure))
    assert "the topic is ahead" in (await readiness(kept, caught_up)).down["publisher"]
    await kept.stop()


async def test_a_role_that_does_not_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "STOP_WITHIN_S", 0.05)
    release, started = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        try:
            await for_ever()
        finally:
            await release.wait()

    kept = Roles([Role("listener", stubborn)])
    kept.start()
    await started.wait()
    async with asyncio.timeout(WITHIN_S):
        await kept.stop()
    release.set()


async def test_what_no_request_waits_for_ends_first_and_how_it_ends_is_not_cut_short() -> None:
    release, ended = asyncio.Event(), list[str]()

    async def send() -> None:
        try:
            await for_ever()
        finally:
            await release.wait()
            ended.append("courier")

    async def fold() -> None:
        try:
            await for_ever()
        finally:
            ended.append("projector")

    kept = Roles([Role("projector", fold, awaited=True), Role("courier", send), Role("publisher", for_ever)])
    kept.start("projector", "courier")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    kept.wind_down()
    stopping = asyncio.create_task(kept.stop())
    await until(lambda: ended == ["projector"])
    release.set()
    await stopping
    assert ended == ["projector", "courier"]


async def test_what_requests_wait_for_goes_on_until_the_end() -> None:
    seen = list[str]()

    async def fold() -> None:
        while True:
            seen.append("folded")
            await asyncio.sleep(0.001)

    async def react() -> None:
        try:
            await for_ever()
        finally:
            seen.append("the reactor ended")

    kept = Roles([Role("projector", fold, awaited=True), Role("reactor", react)])
    kept.start()
    await until(lambda: len(seen) > 1)
    kept.wind_down()
    await until(lambda: "the reactor ended" in seen and seen[-1] == "folded")
    await kept.stop()


async def test_readiness_needs_every_lag_within_its_bound_and_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Roles([])

    async def behind() -> Mapping[str, float]:
        return {"fold": LAG_ENTRIES_MAX + 1}

    async def away() -> Mapping[str, float]:
        raise ConnectionRefusedError

    async def slow() -> Mapping[str, float]:
        await for_ever()
        return {}

    monkeypatch.setattr(health, "LAGS_WITHIN_S", 0.05)
    assert (await readiness(kept, caught_up)).ready
    for lags in (behind, away, slow):
        assert not (await readiness(kept, lags)).ready


async def test_late_timers_and_what_waits_for_a_person_are_told_and_keep_nobody_from_being_ready() -> None:
    late = dict.fromkeys(
        ("timer_overdue", "send_overdue", "send_retrying", "send_unknown", "parked"), LAG_ENTRIES_MAX + 1.0
    )

    async def lags() -> Mapping[str, float]:
        return late

    found = await readiness(Roles([]), lags)
    assert (found.ready, found.lags) == (True, late)


async def test_a_journal_that_takes_nothing_is_not_ready_and_its_lags_are_told_all_the_same() -> None:
    async def diverged() -> str | None:
        return "the topic is ahead"

    found = await readiness(Roles([]), caught_up, diverged=diverged)
    assert (found.ready, found.lags) == (False, {"fold": 0})
    assert found.down == {"journal": "takes nothing: the topic is ahead"}


async def test_while_the_database_is_away_it_is_named_first_and_what_is_in_memory_is_told_all_the_same() -> None:
    async def away() -> Mapping[str, float]:
        raise ConnectionRefusedError

    def trouble() -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"publisher": "ConnectionRefusedError: nobody can lead"}, {}

    found = await readiness(Roles([]), away, trouble, in_memory=lambda: {"queued": 300})
    assert list(found.down) == ["lags", "publisher"]
    assert found.down["lags"] == "cannot be read from PostgreSQL: ConnectionRefusedError"
    assert found.lags == {"queued": 300}
