"""Processes that outlive their starter: started detached, remembered by a record, ended only when they are ours.

A record names a process by its id and by when it was started, so an id that the system gave to somebody else is
never taken for ours. A record without a living process means "died, restart it"; no record means "not wanted".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.02
KILL_SECONDS_MAX = 10.0
LOG_BYTES_MAX = 50_000_000
"""A log larger than this is set aside as `<name>.log.1` (one generation) at the next start of its part."""


@dataclass(frozen=True)
class Running:
    pid: int
    started: str
    """Boot and tick of its start; equal for the same process only."""


def started_at(pid: int) -> str | None:
    """When the living process `pid` was started, as an opaque text, or nothing when there is none (or a zombie)."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                _reap(pid)
                return None
            stat = Path(f"/proc/{pid}/stat")
            if stat.exists():  # ticks since boot do not move when the wall clock is set, unlike create_time()
                ticks = stat.read_text().rpartition(")")[2].split()[19]
                return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
            return f"{process.create_time():.2f}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _reap(pid: int) -> None:
    """Collects a dead child of this very process; somebody else's zombie is theirs to collect."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def spawn(
    argv: Sequence[str],
    *,
    record: Path,
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    user: int | None = None,
) -> Running:
    """Starts `argv` detached, output appended to `log`, and writes its record."""
    log.parent.mkdir(parents=True, exist_ok=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
    # The process is followed by its record, not by this handle, which would warn when it is dropped.
    process.returncode = 0
    running = Running(process.pid, started_at(process.pid) or "ended at once")
    remember(record, running)
    return running


def remember(record: Path, running: Running) -> None:
    draft = record.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(running)))
    draft.replace(record)


def recorded(record: Path) -> Running | None:
    try:
        return Running(**json.loads(record.read_text()))
    except FileNotFoundError:
        return None


def alive(running: Running | None) -> bool:
    return running is not None and started_at(running.pid) == running.started


def send(running: Running, number: signal.Signals) -> bool:
    """Signals the process if it is still the one we started; says whether it was."""
    if not alive(running):
        return False
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        return False
    return True


def end(running: Running, gently: signal.Signals, seconds_max: float) -> bool:
    """Asks, waits, then kills; says whether asking was enough."""
    if not send(running, gently):
        return True
    if wait_gone(running, seconds_max):
        return True
    send(running, signal.SIGKILL)
    wait_gone(running, KILL_SECONDS_MAX)
    return False


def wait_gone(running: Running, seconds_max: float) -> bool:
    deadline = time.monotonic() + seconds_max
    while alive(running):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def living_in(folder: Path) -> list[int]:
    """Ids of processes whose working directory is `folder` (PostgreSQL and all its children live in their data)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # gone meanwhile, or somebody else's: not ours either way
    return found
