"""What Kafka, PostgreSQL and the services have in common: start, readiness, stop, kill."""

from __future__ import annotations

import os
import signal
import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path

from infra.local import processes
from infra.local.errors import PartFailed
from infra.local.ports import HOST
from infra.local.processes import Running

READY_POLL_SECONDS = 0.05
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 8_000


class Part(ABC):
    """One process of the platform, known by its record in `<state>/run`."""

    ready_seconds_max = 180.0
    """After a kill -9 under load Kafka once needed 40 s, and 80 s to start on a machine four times overbooked."""
    stop_seconds_max = 15.0
    gentle_signal = signal.SIGTERM

    def __init__(self, name: str, state: Path, port: int) -> None:
        self.name = name
        self.state = state
        self.port = port
        self.record = state / "run" / f"{name}.json"
        self.log = state / "logs" / f"{name}.log"

    @abstractmethod
    def start(self) -> Running:
        """Starts the process and returns at once; readiness comes later."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it serves, asked of the process itself; bounded by a second or so."""

    def hindrance(self) -> str:
        """Why it is not ready, as far as it tells: `: …`."""
        return ""

    @property
    def running(self) -> Running | None:
        found = processes.recorded(self.record)
        return found if processes.alive(found) else None

    @property
    def pid(self) -> int | None:
        return self.running.pid if self.running else None

    @property
    def wanted(self) -> bool:
        """Started and not stopped since; a wanted part that is not alive has died."""
        return self.record.exists()

    def spawn(self, argv: list[str], *, env: dict[str, str], cwd: Path, user: int | None = None) -> Running:
        if (found := self.running) is not None:
            return found
        self.finish_stopping()
        return processes.spawn(argv, record=self.record, log=self.log, env={**os.environ, **env}, cwd=cwd, user=user)

    def wait_ready(self, seconds_max: float | None = None) -> None:
        limit = self.ready_seconds_max if seconds_max is None else seconds_max
        deadline = time.monotonic() + limit
        while not self.ready():
            if self.running is None:
                raise PartFailed(f"{self.name} ended while it was starting. The end of {self.log}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise PartFailed(
                    f"{self.name} is not ready after {limit:.0f} s{self.hindrance()}. The end of {self.log}:\n"
                    f"{self.log_tail()}"
                )
            time.sleep(READY_POLL_SECONDS)

    def stop(self) -> bool:
        """Ends it in order, killing it when that takes too long; says whether asking was enough."""
        found = processes.recorded(self.record)
        if found is None:
            return True
        # From here on nobody restarts it; the id is kept until it is gone.
        stopping = self.record.replace(self._stopping)
        gently = processes.end(found, self.gentle_signal, self.stop_seconds_max)
        stopping.unlink(missing_ok=True)
        return gently

    def kill(self) -> int | None:
        """kill -9, as a fault; the part stays wanted. Returns once the process is gone."""
        found = self.running
        if found is None:
            return None
        processes.send(found, signal.SIGKILL)
        processes.wait_gone(found, processes.KILL_SECONDS_MAX)
        return found.pid

    def finish_stopping(self) -> None:
        """Ends what an interrupted stop left behind."""
        self._end_left(self._stopping)

    @property
    def _stopping(self) -> Path:
        return self.record.with_suffix(".stopping")

    def _end_left(self, record: Path) -> None:
        found = processes.recorded(record)
        if found is not None:
            processes.end(found, self.gentle_signal, self.stop_seconds_max)
            record.unlink(missing_ok=True)

    def log_tail(self) -> str:
        if not self.log.exists():
            return "    (no log)"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])


def accepts(port: int) -> bool:
    """Whether somebody listens on the local port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
