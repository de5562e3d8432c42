"""Each service as its own process, told where everything is by its environment."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.local.parts import Part
from infra.local.ports import HOST
from infra.local.processes import Running

ORDER = ("directory", "goals", "tasks", "sla", "notify", "audit", "gateway")
ASK_SECONDS_MAX = 2.0
TOLD = (http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE)


def installed(project: Path) -> list[str]:
    """The services that can be started: those of ORDER whose folder has a `main.py`."""
    return [name for name in ORDER if (project / "services" / name / "main.py").is_file()]


class Service(Part):
    def __init__(self, name: str, state: Path, port: int, project: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name, state, port)
        self.project = project
        self.environment = dict(environment)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> Running:
        argv = [sys.executable, "-m", f"services.{self.name}.main"]
        return self.spawn(argv, env=self.environment, cwd=self.project)

    def ready(self) -> bool:
        found = self.readiness()
        return found is not None and found["ready"] is True

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
