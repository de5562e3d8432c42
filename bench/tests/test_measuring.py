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
from bench.installed import need_program, node_package
from bench.measuring import UNMADE, Absent, Ground, SideFailed, end, run

SIDES = "bench.tests.sides"
GROUND = Ground("", "", Path(), Path(), Path())
END_SECONDS_MAX = 10.0


def test_a_side_hands_back_its_sample() -> None:
    assert run("well", SIDES, GROUND).rate == 1.0


def test_a_side_that_raises_has_failed_and_its_last_line_says_why() -> None:
    with pytest.raises(SideFailed) as failed:
        run("broken", SIDES, GROUND)
    assert str(failed.value).splitlines()[-1] == "ImportError: cannot import name 'Peer' from 'peer'"


def test_a_peer_is_absent_where_its_package_is_not_installed_and_only_there() -> None:
    with pytest.raises(Absent, match=r"^no package a_peer_that_nobody_has: make bench installs it$"):
        run("absent", SIDES, GROUND)
    with pytest.raises(SideFailed) as broken:
        run("broken", SIDES, GROUND)
    assert not isinstance(broken.value, Absent)


def test_a_package_of_node_and_a_program_are_looked_for(tmp_path: Path) -> None:
    ground = msgspec.structs.replace(GROUND, node=tmp_path)
    with pytest.raises(Absent, match="no package @its/peer for Node"):
        node_package(ground, "@its/peer")
    (tmp_path / "node_modules/@its/peer").mkdir(parents=True)
    assert node_package(ground, "@its/peer").is_dir()
    with pytest.raises(Absent, match="no program that-nobody-has"):
        need_program("that-nobody-has")


def test_a_side_whose_stock_could_not_be_made_has_failed_for_that_reason() -> None:
    with pytest.raises(SideFailed) as failed:
        run("unmade", SIDES, msgspec.structs.replace(GROUND, made={"database": f"{UNMADE}exit 1\nno space left"}))
    assert not isinstance(failed.value, Absent)
    assert str(failed.value).splitlines()[-1] == "no space left"


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
