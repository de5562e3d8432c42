"""Each service as its own process, told where everything is by its environment."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local.parts import Part
from infra.local.ports import HOST
from infra.local.processes import Running

ORDER = ("directory", "goals", "tasks", "sla", "notify", "audit", "gateway")
ASK_SECONDS_MAX = 2.0


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
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ASK_SECONDS_MAX)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
