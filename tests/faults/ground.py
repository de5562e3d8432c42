"""What some faults need of the machine: disks of their own size, a packet filter, a clock that can be set.

Each says why it is not to be had where it is not: without root, without `iptables`, without `libfaketime`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local import Platform
from infra.local.kafka import Kafka
from infra.local.parts import Part
from infra.local.postgres import Postgres
from infra.local.services import Service

ROOM = "4g"
"""Size of a disk; memory is taken only by what is written."""
TOOL_SECONDS_MAX = 10
LOSS = 0.25
CLOCK_CACHE_SECONDS = 1
SHRINKS_MAX = 20
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP, IFF_RUNNING = 0x1, 0x40
PROBE_BYTES = 1024 * 1024
FAKETIME = "faketime/libfaketimeMT.so.1"


class Disk:
    """The data of Kafka or PostgreSQL on a tmpfs, which can be made as small as what lies on it."""

    lacking = None if os.geteuid() == 0 and shutil.which("mount") else "only root may mount a small disk"

    def __init__(self, part: Kafka | Postgres) -> None:
        """Moves the data; the part is stopped meanwhile."""
        self.place = part.data
        part.stop()
        owner = self.place.stat()
        before = self.place.rename(self.place.with_name(self.place.name + ".before"))
        self.place.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700,uid={owner.st_uid},gid={owner.st_gid}", "none", self)
        _run("cp", "--archive", f"{before}/.", self)
        shutil.rmtree(before)
        part.start()
        part.wait_ready()

    def __fspath__(self) -> str:
        return str(self.place)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte more can be written, which is tried."""
        self._shrink()
        try:
            self._expect_full()
            yield
        finally:
            _run("mount", "-o", f"remount,size={ROOM}", self)

    def _expect_full(self) -> None:
        probe = self.place / "probe"
        try:
            probe.write_bytes(b"0" * PROBE_BYTES)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        else:
            raise AssertionError(f"{self.place} is not full")
        finally:
            probe.unlink(missing_ok=True)

    def _shrink(self) -> None:
        """The part writes on: what was measured may be too small by the time it is to hold."""
        for tries in range(1, SHRINKS_MAX + 1):
            found = os.statvfs(self.place)
            try:
                _run("mount", "-o", f"remount,size={(found.f_blocks - found.f_bfree) * found.f_frsize}", self)
            except OSError:
                if tries == SHRINKS_MAX:
                    raise
            else:
                return


class Network:
    """The way between services and broker, by the broker's port, in a network namespace of their own."""

    lacking = None if os.geteuid() == 0 and shutil.which("iptables") else "needs root and iptables"

    @classmethod
    @contextmanager
    def own(cls) -> Iterator[None]:
        """This thread, and all that it starts, has a network that nobody else is on: a loopback, and rules for it."""
        if cls.lacking is not None:
            yield
            return
        with Path("/proc/thread-self/ns/net").open() as before:
            _call("unshare", CLONE_NEWNET)
            try:
                _bring_up_loopback()
                yield
            finally:
                _call("setns", before.fileno(), CLONE_NEWNET)

    def __init__(self, port: int) -> None:
        self._port = port
        self._rules = [("INPUT", "-i", "lo", "-p", "tcp", way, str(port)) for way in ("--dport", "--sport")]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing arrives, either way, and nobody is told."""
        with self._rule("-j", "DROP"):
            yield

    @contextmanager
    def losing(self) -> Iterator[None]:
        with self._rule("-m", "statistic", "--mode", "random", "--probability", str(LOSS), "-j", "DROP"):
            yield

    @contextmanager
    def _rule(self, *what: str) -> Iterator[None]:
        try:
            for chain, *match in self._rules:
                _run("iptables", "-w", "-I", chain, *match, *what)
            yield
            dropped = self._dropped()
            assert dropped > 0, "no packet met the filter"
        finally:
            for chain, *match in self._rules:
                _run("iptables", "-w", "-D", chain, *match, *what)

    def _dropped(self) -> int:
        """How many packets the rules of this port have dropped so far."""
        told = _run("iptables", "-w", "-L", "INPUT", "-nvx").splitlines()
        rules = [line.split() for line in told if "DROP" in line and f"pt:{self._port}" in line]
        return sum(int(packets) for packets, *_ in rules)


class Clock:
    """The machine's clock as one process sees it, from its next start on. Intervals are measured as ever."""

    library = next(
        (path for path in (Path("/usr/lib") / FAKETIME, *Path("/usr/lib").glob(f"*/{FAKETIME}")) if path.exists()), None
    )
    lacking = None if library else "libfaketime is not installed"

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)
        file.chmod(0o644)  # PostgreSQL is another user

    def set(self, seconds: int) -> None:
        """So far from the truth, within CLOCK_CACHE_SECONDS."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}s\n")
        draft.chmod(0o644)
        draft.replace(self._file)

    def start(self, part: Part) -> None:
        """Starts the part anew under this clock."""
        part.stop()
        theirs = {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(CLOCK_CACHE_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with _environment(part, theirs):
            part.start()
        part.wait_ready()


class Ground:
    """All of it, for one platform."""

    def __init__(self, platform: Platform) -> None:
        self.network = Network(platform.kafka.port)
        self.disks = {part.name: Disk(part) for part in (platform.postgres, platform.kafka) if Disk.lacking is None}
        self.clock = Clock(platform.state / "clock")


@contextmanager
def _environment(part: Part, more: dict[str, str]) -> Iterator[None]:
    """A service has an environment of its own; what else is started inherits this process's."""
    theirs = part.environment if isinstance(part, Service) else os.environ
    theirs.update(more)
    try:
        yield
    finally:
        for name in more:
            del theirs[name]


def _call(name: str, *arguments: int) -> None:
    """A function of the C library, which Python has since 3.12."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _bring_up_loopback() -> None:
    flags = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, SIOCSIFFLAGS, flags)


def _run(*argv: str | os.PathLike[str]) -> str:
    """What it said."""
    words: Sequence[str] = [os.fspath(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TOOL_SECONDS_MAX, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout
