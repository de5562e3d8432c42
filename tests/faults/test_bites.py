"""A fault that did no harm is found out."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.local.parts import Part
from infra.local.processes import Running
from tests.faults import kills
from tests.faults.ground import Disk
from tests.faults.kills import JUMP, DidNotBite

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


class Sleeper(Part):
    """A process that does nothing, and is ready at once."""

    def start(self) -> Running:
        return self.spawn(SLEEP, env={}, cwd=Path.cwd())

    def ready(self) -> bool:
        return self.running is not None


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    part = Sleeper("sleeper", tmp_path, 0)
    part.start()
    yield part
    part.kill()


async def test_a_part_that_was_killed_and_started_anew_was_harmed(sleeper: Sleeper) -> None:
    before = sleeper.pid
    _, killed = await kills.kill(sleeper)
    assert killed == before != sleeper.pid


async def test_a_part_that_lives_on_was_not_killed(sleeper: Sleeper) -> None:
    assert sleeper.pid is not None
    with pytest.raises(DidNotBite, match="sleeper lives on"):
        await kills._another(sleeper, sleeper.pid)


async def test_a_part_that_was_not_started_anew_is_named(sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = sleeper.kill()
    assert killed is not None
    monkeypatch.setattr(sleeper, "start", lambda: None)
    monkeypatch.setattr(sleeper, "wait_ready", lambda: None)
    with pytest.raises(DidNotBite, match="sleeper was not started anew"):
        await kills._another(sleeper, killed)


async def test_a_part_that_stands_still_was_paused_and_one_that_runs_on_was_not(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "OUTAGE_SECONDS", 0.1)
    assert await kills._pause(sleeper) == ("sleeper", sleeper.pid)
    monkeypatch.setattr(kills, "STOPPED_WITHIN_S", 0.1)
    monkeypatch.setattr(signal, "SIGSTOP", signal.SIGCONT)
    with pytest.raises(DidNotBite, match="sleeper runs on"):
        await kills._pause(sleeper)


@pytest.mark.parametrize("by", [JUMP, -JUMP])
def test_a_clock_has_jumped_when_it_is_where_it_was_put_and_no_minute_elsewhere(by: int) -> None:
    there = datetime.now(UTC) + timedelta(seconds=by)
    assert kills._off(there, by)
    for seen in (None, datetime.now(UTC), there - timedelta(minutes=1), there + timedelta(minutes=1)):
        assert not kills._off(seen, by)


def test_a_disk_on_which_something_can_be_written_is_not_full(tmp_path: Path) -> None:
    disk = object.__new__(Disk)
    disk.place = tmp_path
    with pytest.raises(AssertionError, match="is not full"):
        disk._expect_full()
    assert os.listdir(tmp_path) == []
