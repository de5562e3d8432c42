"""A side's process: what it hands back, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from bench import measuring
from bench.measuring import Ground, SideFailed, end, run

SIDES = "bench.tests.sides"
GROUND = Ground("", "", Path(), Path(), Path())
END_SECONDS_MAX = 10.0


def test_a_side_hands_back_its_sample() -> None:
    assert run("well", SIDES, GROUND).rate == 1.0


def test_a_side_that_raises_has_failed_and_its_last_line_says_why() -> None:
    with pytest.raises(SideFailed) as failed:
        run("broken", SIDES, GROUND)
    assert str(failed.value).splitlines()[-1] == "ImportError: cannot import name 'Peer' from 'peer'"


def test_a_side_that_takes_too_long_has_failed_and_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "SIDE_SECONDS_MAX", 0.1)
    monkeypatch.setattr(measuring, "END_WITHIN_S", 1.0)
    with pytest.raises(SideFailed) as failed:
        run("stuck", SIDES, GROUND)
    assert str(failed.value).splitlines()[-1] == "no result within 0.1 s"
    assert SIDES not in {word for child in psutil.Process().children() for word in child.cmdline()}


@pytest.mark.parametrize("heeds", [True, False])
def test_with_a_side_ends_all_that_it_started_whether_it_heeds_an_interrupt_or_not(
    heeds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.side", SIDES, "stuck"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as side:
        assert side.stdin
        assert side.stdout
        side.stdin.write(msgspec.json.encode(GROUND, enc_hook=str))
        side.stdin.close()
        side.stdin = None
        started = [psutil.Process(int(pid)) for pid in side.stdout.readline().split()]
        if not heeds:
            monkeypatch.setattr(measuring, "END_WITHIN_S", 0.1)
            os.kill(side.pid, signal.SIGSTOP)
        end(side)
    _, living = psutil.wait_procs(started, END_SECONDS_MAX)
    assert len(started) == 2
    assert not living
