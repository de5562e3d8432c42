from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import processes
from infra.local.processes import Running

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
PATIENT = "import time; time.sleep(60)"


def start(tmp_path: Path, code: str) -> Running:
    return processes.spawn(
        [sys.executable, "-c", code],
        record=tmp_path / "run" / "part.json",
        log=tmp_path / "logs" / "part.log",
        env=os.environ,
        cwd=tmp_path,
    )


def test_a_process_is_found_again_by_its_record(tmp_path: Path) -> None:
    running = start(tmp_path, PATIENT)
    found = processes.recorded(tmp_path / "run" / "part.json")
    assert found == running
    assert processes.alive(found)
    assert processes.end(running, signal.SIGTERM, 5)
    assert not processes.alive(found)


def test_a_killed_process_is_dead_even_while_it_is_a_zombie(tmp_path: Path) -> None:
    running = start(tmp_path, PATIENT)
    os.kill(running.pid, signal.SIGKILL)
    assert processes.wait_gone(running, 5)


def test_a_process_that_got_the_id_of_ours_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PATIENT]) as stranger:
        mistaken = Running(stranger.pid, "another boot:1")
        assert not processes.alive(mistaken)
        assert not processes.send(mistaken, signal.SIGKILL)
        assert processes.end(mistaken, signal.SIGKILL, 1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_will_not_end_is_killed_and_that_is_told(tmp_path: Path) -> None:
    running = start(tmp_path, STUBBORN)
    log = tmp_path / "logs" / "part.log"
    while "deaf" not in log.read_text():
        assert processes.alive(running)
    assert not processes.end(running, signal.SIGTERM, 0.2)
    assert not processes.alive(running)


def test_a_log_that_grew_too_large_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES_MAX", 10)
    log = tmp_path / "logs" / "part.log"
    log.parent.mkdir()
    log.write_text("a long history")
    processes.wait_gone(start(tmp_path, "print('new')"), 10)
    assert (tmp_path / "logs" / "part.log.1").read_text() == "a long history"
    assert log.read_text() == "new\n"


def test_another_boot_is_another_process(tmp_path: Path) -> None:
    running = start(tmp_path, PATIENT)
    assert not processes.alive(replace(running, started="0" + running.started))
    processes.end(running, signal.SIGKILL, 5)
