from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from libs.events.errors import Diverged
from libs.events.leading import heed_cancellation
from libs.service import health, roles
from libs.service.health import LAG_ENTRIES_MAX, readiness
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
    gate, starts = asyncio.Event(), 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts <= 2:
            await gate.wait()
            raise OSError("no broker")
        await for_ever()

    metrics = Metrics("lines")
    kept = Roles([Role("publisher", run), Role("projector", for_ever)], metrics)
    kept.start()
    try:
        await until(lambda: starts == 1)
        assert (await readiness(kept, caught_up)).ready
        gate.set()
        await until(lambda: bool(kept.roles[0].failure))
        found = await readiness(kept, caught_up)
        assert not found.ready
        assert found.down == {"publisher": "OSError: no broker"}
        await until(lambda: starts == 3)
        found = await readiness(kept, caught_up)
        assert (found.ready, found.restarts) == (True, {"publisher": 2})
        assert b'baton_role_restarts_total{role="publisher",service="lines"} 2.0' in metrics.text()
    finally:
        await kept.stop()


async def test_a_role_that_lost_several_tasks_at_once_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed TaskGroup may leave its task marked as cancelled, and the next run heeds such marks."""
    monkeypatch.setattr(roles, "BACKOFF_S_MIN", 0.01)
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

    kept = Roles([Role("reactor", run)], Metrics("lines"))
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

    kept = Roles([Role("publisher", run)], Metrics("lines"))
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

    kept = Roles([Role("listener", stubborn)], Metrics("lines"))
    kept.start()
    await started.wait()
    async with asyncio.timeout(WITHIN_S):
        await kept.stop()
    release.set()


async def test_readiness_needs_every_lag_within_its_bound_and_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Roles([], Metrics("lines"))

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


async def test_late_timers_are_told_and_keep_nobody_from_being_ready() -> None:
    late = dict.fromkeys(health.IN_SECONDS, LAG_ENTRIES_MAX + 1.0)

    async def lags() -> Mapping[str, float]:
        return late

    found = await readiness(Roles([], Metrics("lines")), lags)
    assert (found.ready, found.lags) == (True, late)


async def test_a_journal_that_takes_nothing_is_not_ready_and_its_lags_are_told_all_the_same() -> None:
    async def diverged() -> str | None:
        return "the topic is ahead"

    found = await readiness(Roles([], Metrics("lines")), caught_up, diverged=diverged)
    assert (found.ready, found.lags) == (False, {"fold": 0})
    assert found.down == {"journal": "takes nothing: the topic is ahead"}
