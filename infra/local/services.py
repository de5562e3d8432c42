"""Each service as its own process, told where everything is by its environment."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.local import processes
from infra.local.errors import PartFailed
from infra.local.parts import READY_POLL_SECONDS, Part
from infra.local.ports import HOST
from infra.local.processes import Running

ORDER = ("directory", "goals", "tasks", "sla", "notify", "audit", "gateway")
ASK_SECONDS_MAX = 4.0
"""A service whose database does not answer says so after LAGS_WITHIN_S of libs/service/health.py, which is less."""
TOLD = (http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE)


def installed(project: Path) -> list[str]:
    """The services that can be started: those of ORDER whose folder has a `main.py`."""
    return [name for name in ORDER if (project / "services" / name / "main.py").is_file()]


@dataclass(frozen=True)
class Handover:
    """One process of a service gave way to another. `seconds`: all of it; `ended_seconds`: from when the former was
    told to stop; `gently`: asking was enough.
    """

    service: str
    former: int
    successor: int
    seconds: float
    ended_seconds: float
    gently: bool


class Service(Part):
    def __init__(self, name: str, state: Path, port: int, project: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name, state, port)
        self.project = project
        self.environment = dict(environment)
        self.argv = [sys.executable, "-m", f"services.{name}.main"]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> Running:
        return self.spawn(self.argv, env=self.environment, cwd=self.project)

    def ready(self) -> bool:
        found = self.readiness()
        return found is not None and found["ready"] is True

    def hindrance(self) -> str:
        told = self.readiness()
        return ": it does not answer" if told is None else f": {json.dumps(told)}"

    def readiness(self) -> dict[str, Any] | None:
        """What it tells of itself, ready or not (`lags`, `down`, `attention` …); None when it does not answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ASK_SECONDS_MAX)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            told: dict[str, Any] | None = json.loads(answer.read()) if answer.status in TOLD else None
            return told
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def hand_over(self) -> Handover:
        """A successor starts beside the running process, and once it answers at the same port, the former one ends.

        Raises PartFailed when the successor does not come to answer; then the former one goes on.
        """
        began, former = time.monotonic(), self.running
        if former is None:
            raise PartFailed(f"{self.name} does not run, so nobody can take over: `baton start {self.name}`")
        self.finish_stopping()
        env = {**os.environ, **self.environment}
        successor = processes.spawn(self.argv, record=self._coming, log=self.log, env=env, cwd=self.project)
        self._wait_listening(successor)
        # In this order: whoever finds an interrupted handover ends both, and the supervisor starts a new one.
        processes.remember(self._stopping, former)
        self._coming.replace(self.record)
        told = time.monotonic()
        gently = processes.end(former, self.gentle_signal, self.stop_seconds_max)
        self._stopping.unlink(missing_ok=True)
        ended = time.monotonic()
        return Handover(self.name, former.pid, successor.pid, ended - began, ended - told, gently)

    def finish_stopping(self) -> None:
        super().finish_stopping()
        self._end_left(self._coming)

    @property
    def _coming(self) -> Path:
        return self.record.with_suffix(".coming")

    def _wait_listening(self, successor: Running) -> None:
        deadline = time.monotonic() + self.ready_seconds_max
        while not _listens(successor, self.port):
            ended = not processes.alive(successor)
            if ended or time.monotonic() > deadline:
                self._end_left(self._coming)
                what = "ended while it was starting" if ended else f"did not answer in {self.ready_seconds_max:.0f} s"
                raise PartFailed(
                    f"{self.name}: the successor {what}; the former process goes on. The end of {self.log}:"
                    f"\n{self.log_tail()}"
                )
            time.sleep(READY_POLL_SECONDS)


def _listens(running: Running, port: int) -> bool:
    """Whether this very process takes connections at the port."""
    try:
        at = psutil.Process(running.pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in at)
