"""One sample: a side run once, as a process of its own, and whether the machine was otherwise quiet meanwhile.

The rule was fixed before any result was looked at and is the same for every side. A sample counts only if
- processes that do not belong to the run used at most FOREIGN_CORES_MAX of one core while it ran, and
- the median of PROBE_WRITES fdatasync calls took at most SYNC_MS_MAX just before it and just after it.
It never looks at the rate. A sample that does not count is kept, shown as such, and taken again, RETRIES_MAX times.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psutil

FOREIGN_CORES_MAX = 0.20
SYNC_MS_MAX = 0.30
PROBE_WRITES = 100
PROBE_BYTES = 8_192
RETRIES_MAX = 2
QUIET_WITHIN_S = 10.0
SIDE_SECONDS_MAX = 300.0
END_WITHIN_S = 30.0
ABSENT_EXIT = os.EX_UNAVAILABLE
UNMADE = "not prepared: "
SAID_CHARS_MAX = 1_500
POLL_S = 0.005


class SideFailed(Exception):
    """A side ended without a result; the end of what it said."""


class Absent(SideFailed):
    """What a peer needs is not installed on this machine. Its process exits with ABSENT_EXIT and says what."""


class Ground(msgspec.Struct, frozen=True):
    """Where a side works. `size`, `clients`, `seconds`: how much; each comparison says which of them it reads.

    `made`: what the comparison's preparation left behind, by name; after UNMADE, why it could not.
    """

    kafka: str
    admin_url: str
    work: Path
    programs: Path
    node: Path
    seconds: float = 0.0
    clients: int = 1
    size: int = 0
    facts: int = 1
    made: dict[str, str] = {}

    def stock(self, name: str) -> str:
        """What was made by that name. Raises SideFailed where that could not be."""
        if self.made[name].startswith(UNMADE):
            raise SideFailed(self.made[name])
        return self.made[name]


class Sample(msgspec.Struct, frozen=True):
    """What a side did: `count` units of work in `seconds`. Latencies in milliseconds, where it measured any."""

    count: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    megabytes: float | None = None
    more: dict[str, float] = {}

    @property
    def rate(self) -> float:
        return self.count / self.seconds


class Taken(msgspec.Struct, frozen=True):
    """A sample and the quiet around it."""

    side: str
    sample: Sample
    foreign_cores: float
    sync_before_ms: float
    sync_after_ms: float
    counts: bool


def latencies(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3


def peak_megabytes() -> float:
    """The most memory that this process ever had resident."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def take(side: str, module: str, ground: Ground, own: list[psutil.Process]) -> Taken:
    """Run a side once. `own`: the stores that work for it. Raises SideFailed."""
    _wait_quiet(ground.work, own)
    before = sync_ms(ground.work)
    busy, ours, began = _busy_s(), _used_s(own), time.monotonic()
    sample = run(side, module, ground)
    seconds = time.monotonic() - began
    foreign = max(0.0, (_busy_s() - busy) - (_used_s(own) - ours)) / seconds
    after = sync_ms(ground.work)
    counts = foreign <= FOREIGN_CORES_MAX and max(before, after) <= SYNC_MS_MAX
    return Taken(side, sample, foreign, before, after, counts)


def sync_ms(work: Path) -> float:
    """The median time of an fdatasync here, in milliseconds."""
    path = work / "probe"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(file, b"\0" * PROBE_BYTES * PROBE_WRITES, 0)
        os.fsync(file)
        found = []
        for number in range(PROBE_WRITES):
            os.pwrite(file, os.urandom(PROBE_BYTES), number * PROBE_BYTES)
            began = time.perf_counter()
            os.fdatasync(file)
            found.append(time.perf_counter() - began)
    finally:
        os.close(file)
    return statistics.median(found) * 1e3


def run(side: str, module: str, ground: Ground) -> Sample:
    """The side in a process of its own, which leads a group. Raises SideFailed."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "bench.side", module, side]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, process_group=0) as process:
        try:
            told, said = process.communicate(msgspec.json.encode(ground, enc_hook=str), SIDE_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise SideFailed(f"{side}: {end(process)}\nno result within {SIDE_SECONDS_MAX:g} s") from error
        finally:
            if process.returncode is None:  # who interrupts the bench does not reach the side's group
                end(process)
    if process.returncode == ABSENT_EXIT:
        raise Absent(said.decode().strip())
    if process.returncode != 0 or not told.strip():
        raise SideFailed(f"{side}: exit {process.returncode}\n{(said or told).decode()[-SAID_CHARS_MAX:]}")
    return msgspec.json.decode(told.strip().splitlines()[-1], type=Sample)


def end(process: subprocess.Popen[bytes]) -> str:
    """End a side and what it started; what it said at last.

    An interrupt first: a side ends what it has started in sessions of their own, given the time. Until it is waited for
    its id stays its own, and so does its group's.
    """
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + END_WITHIN_S
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    os.killpg(process.pid, signal.SIGKILL)
    for each in started:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended with the side, as it should
            each.kill()
    told, said = process.communicate()
    return (said or told).decode()[-SAID_CHARS_MAX:]


async def until(condition: Callable[[], Awaitable[bool]], within_s: float, every_s: float = POLL_S) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - conditions of a store have no event
            await asyncio.sleep(every_s)


def _wait_quiet(work: Path, own: list[psutil.Process]) -> None:
    deadline = time.monotonic() + QUIET_WITHIN_S
    while time.monotonic() < deadline:
        busy, ours = _busy_s(), _used_s(own)
        time.sleep(1.0)
        if _busy_s() - busy - (_used_s(own) - ours) <= FOREIGN_CORES_MAX and sync_ms(work) <= SYNC_MS_MAX:
            return


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _used_s(own: list[psutil.Process]) -> float:
    """CPU seconds of this process, its ended children, and of the stores with theirs, living and ended."""
    me = psutil.Process().cpu_times()
    total = me.user + me.system + me.children_user + me.children_system
    for root in own:
        times = root.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        for child in root.children(recursive=True):
            try:
                used = child.cpu_times()
            except psutil.NoSuchProcess:
                continue  # it has ended meanwhile, and its parent counts it
            total += used.user + used.system
    return float(total)
