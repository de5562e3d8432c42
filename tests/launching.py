"""Whole platforms for tests: each on a throw-away state of its own, removed at the end, or by the next run."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from infra.local import Platform, processes
from infra.local.platform import Wishes
from infra.local.ports import choose, random_free

PREFIX = "baton-tests-"
UNMOUNT_SECONDS_MAX = 10
END_SECONDS_MAX = 10.0


@contextmanager
def launching() -> Iterator[Callable[[Wishes], Platform]]:
    """A function that starts a whole platform, services included; what it started ends with the context."""
    with ExitStack() as ended:

        def start(wishes: Wishes) -> Platform:
            folder = open_folder()
            ports, _ = choose(folder / "state", random_free().base)  # kept, so that `Platform.at` finds them
            whole = Platform(folder / "state", ports, wishes=wishes)
            ended.callback(remove, whole, folder)
            whole.start()
            return whole

        yield start


def open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)  # the unprivileged PostgreSQL must be able to enter
    return folder


def remove(stopping: Platform, folder: Path) -> None:
    stopping.stop()
    _unmount_below(folder)
    stopping.postgres.erase()  # may lie elsewhere
    shutil.rmtree(folder)


def _unmount_below(folder: Path) -> None:
    """Small disks that a test has put there."""
    for disk in psutil.disk_partitions(all=True):
        if Path(disk.mountpoint).is_relative_to(folder):
            subprocess.run(["umount", disk.mountpoint], check=True, timeout=UNMOUNT_SECONDS_MAX)


def sweep() -> None:
    """Ends what a test run that was killed left behind. One run at a time: two would remove the same folder at once."""
    found = Path(tempfile.gettempdir())
    with (found / f".{PREFIX}sweep-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in found.glob(PREFIX + "*"):
            runner = int(folder.name.removeprefix(PREFIX).partition("-")[0])
            if folder.stat().st_uid == os.getuid() and not psutil.pid_exists(runner):
                for record in folder.glob("run/*.json"):  # of brokers outside of a platform
                    if (left := processes.recorded(record)) is not None:
                        processes.end(left, signal.SIGTERM, END_SECONDS_MAX)
                remove(Platform.at(folder / "state"), folder)
