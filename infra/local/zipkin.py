"""Zipkin's page of traces: an optional part, on demand, on the pinned JRE; it keeps the newest spans in memory."""

from __future__ import annotations

import http.client
from pathlib import Path

from infra.local.artifacts import ZIPKIN, jars_of
from infra.local.kafka import java
from infra.local.parts import Part
from infra.local.ports import HOST
from infra.local.processes import Running
from infra.local.progress import Progress

SPANS_MAX = 200_000
"""Older ones are forgotten."""
HEAP = "-Xmx384m"
ASK_SECONDS_MAX = 2.0
JVM_FLAGS = (HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")


class Zipkin(Part):
    def __init__(self, state: Path, port: int, progress: Progress) -> None:
        super().__init__("zipkin", state, port)
        self.progress = progress

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port}/zipkin/"

    @property
    def endpoint(self) -> str:
        """Where spans are sent."""
        return f"http://{HOST}:{self.port}/api/v2/spans"

    def start(self) -> Running:
        (server,) = jars_of(ZIPKIN, self.progress)
        listening = {"ip": HOST, "port": self.port, "protocols[0]": "http"}
        settings = [f"--armeria.ports[0].{name}={value}" for name, value in listening.items()]
        settings += ["--zipkin.storage.type=mem", f"--zipkin.storage.mem.max-spans={SPANS_MAX}"]
        return self.spawn([java(), *JVM_FLAGS, "-jar", str(server), *settings], env={}, cwd=self.state)

    def ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ASK_SECONDS_MAX)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
