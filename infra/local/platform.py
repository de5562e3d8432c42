"""The whole platform of one checkout as one object; the command line and the tests use the same one.

`start` is for people (everything, watched afterwards by the supervisor), `start_foundation` for tests (Kafka and
PostgreSQL only). Blocking by design: call it from a thread when a loop is running.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_ZIPKIN_ENDPOINT

from infra.local import ports as port_blocks
from infra.local.databases import ROLES, Database, described, drop_database, prepare
from infra.local.errors import AlreadyUp
from infra.local.kafka import Kafka, create_topics
from infra.local.parts import Part
from infra.local.ports import HOST, Ports
from infra.local.postgres import Postgres
from infra.local.progress import Progress
from infra.local.secrets import Secrets
from infra.local.services import ORDER, Service, installed
from infra.local.zipkin import Zipkin
from libs.service.issuer import create_keys

REAL_CLOCK = "real"
STARTS_AT_ONCE = 8


def project_root() -> Path:
    return Path(__file__).parents[2]


def state_dir() -> Path:
    """`$BATON_STATE`, or `.baton` in the checkout."""
    return Path(os.environ.get("BATON_STATE") or project_root() / ".baton").absolute()


@dataclass(frozen=True)
class Wishes:
    """What a platform was started with; remembered, so that a part restarted later starts the same way."""

    clock: str = REAL_CLOCK
    services: tuple[str, ...] | None = None
    """All that are installed unless told."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables for the services."""
    traces: bool = False
    """Whether Zipkin's page runs beside them."""

    @classmethod
    def of(cls, told: dict[str, Any]) -> Wishes:
        services = told["services"]
        return cls(
            told["clock"], None if services is None else tuple(services), told["environment"], told.get("traces", False)
        )


class Platform:
    def __init__(
        self,
        state: Path,
        ports: Ports,
        *,
        wishes: Wishes | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.state = state
        self.ports = ports
        self.wishes = wishes or Wishes()
        self.progress = progress or Progress(quiet=True)
        self.secrets = Secrets(state)
        self.kafka = Kafka(state, ports.of("kafka"), ports.of("controller"), self.progress)
        self.postgres = Postgres(state, ports.of("postgres"), self.secrets.password("admin"))
        self.zipkin = Zipkin(state, ports.of("zipkin"), self.progress)
        project = project_root()
        names = installed(project) if self.wishes.services is None else self.wishes.services
        self.databases = {name: self.database(name) for name in names}
        self.services = {
            name: Service(name, state, ports.of(name), project, self.environment_of(name)) for name in names
        }

    @classmethod
    def at(cls, state: Path, progress: Progress | None = None) -> Platform:
        """The platform whose state this is, running or not."""
        remembered = state / "run" / "wishes.json"
        wishes = Wishes.of(json.loads(remembered.read_text())) if remembered.exists() else Wishes()
        return cls(
            state, port_blocks.remembered(state) or Ports(port_blocks.DEFAULT_BASE), wishes=wishes, progress=progress
        )

    @property
    def parts(self) -> dict[str, Part]:
        """In the order in which they start."""
        return {**self._foundation, **self.services}

    @property
    def _foundation(self) -> dict[str, Part]:
        found: dict[str, Part] = {"postgres": self.postgres, "kafka": self.kafka}
        return {**found, "zipkin": self.zipkin} if self.wishes.traces else found

    def running(self) -> dict[str, Part]:
        return {name: part for name, part in self.parts.items() if part.running is not None}

    # addresses

    def database(self, service: str) -> Database:
        return described(service, self.secrets.passwords(service, ROLES), self.postgres.address)

    def environment_of(self, service: str) -> dict[str, str]:
        database = self.database(service)
        return {
            "PYTHONUNBUFFERED": "1",
            "BATON_DATABASE_URL": database.url,
            "BATON_READER_URL": database.reader_url,
            "BATON_KAFKA": self.kafka.bootstrap,
            "BATON_HTTP_HOST": HOST,
            "BATON_HTTP_PORT": str(self.ports.of(service)),
            "BATON_HTTP_SHARED": "true",  # with its successor, for as long as both run
            "BATON_STATE": str(self.state),
            "BATON_CLOCK": self.wishes.clock,
            "BATON_KEYS": str(self.secrets.keys),
            "BATON_TRACES": str(self.state / "traces"),
            **({OTEL_EXPORTER_ZIPKIN_ENDPOINT: self.zipkin.endpoint} if self.wishes.traces else {}),
            **self.wishes.environment,
        }

    # starting

    def start(self) -> None:
        """Everything, in the order of need; whatever was started is stopped again when a part fails."""
        if self.running():
            raise AlreadyUp(f"{', '.join(self.running())} already run with state {self.state}: `baton down` first")
        self._remember_wishes()
        try:
            self.start_foundation()
            self._start_services()
        except BaseException:
            self.stop()
            raise

    def start_foundation(self) -> None:
        """Kafka and PostgreSQL side by side, with topics and, per service, a migrated database."""
        self._lay_out()
        self.secrets.prepare()
        create_keys(self.secrets.keys)
        starts = [self._start_postgres, self._start_kafka]
        if self.wishes.traces:
            starts.append(self._start_zipkin)
        with ThreadPoolExecutor(len(starts), thread_name_prefix="foundation") as pool:
            _all([pool.submit(start) for start in starts])

    def _lay_out(self) -> None:
        """Facts and logs are this user's business; root's PostgreSQL only passes through, as another user."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for name in ("run", "logs", "traces", "kafka"):
            (self.state / name).mkdir(exist_ok=True)
            (self.state / name).chmod(0o700)
        for path in self.state.iterdir():
            if path.is_file():
                path.chmod(0o600)

    def _start_postgres(self) -> None:
        with self.progress.step("PostgreSQL: starting"):
            self.postgres.start()
            self.postgres.wait_ready()
        if self.services:
            with self.progress.step(f"PostgreSQL: {len(self.services)} databases"):
                asyncio.run(self.create_databases(self.services))

    def _start_kafka(self) -> None:
        with self.progress.step("Kafka: starting"):
            self.kafka.start()
            self.kafka.wait_ready()
        with self.progress.step("Kafka: topics"):
            asyncio.run(self.create_topics(ORDER))

    def _start_zipkin(self) -> None:
        with self.progress.step("Zipkin: starting"):
            self.zipkin.start()
            self.zipkin.wait_ready()

    def _start_services(self) -> None:
        names = list(self.services)
        if not names:
            return
        with (
            self.progress.step(f"services: {', '.join(names)}") as advance,
            ThreadPoolExecutor(STARTS_AT_ONCE, thread_name_prefix="services") as pool,
        ):
            for part in self.services.values():
                part.start()
            ready = 0

            def wait(part: Service) -> None:
                nonlocal ready
                part.wait_ready()
                ready += 1
                advance(ready, len(names))

            _all([pool.submit(wait, part) for part in self.services.values()])

    async def create_databases(self, services: Iterable[str]) -> dict[str, Database]:
        """A database with roles and the journal's schema for each; may be repeated."""
        passwords = {name: self.secrets.passwords(name, ROLES) for name in services}
        return await prepare(self.postgres.admin_url, passwords)

    async def drop_database(self, service: str) -> None:
        await drop_database(self.postgres.admin_url, service)

    async def create_topics(self, owners: Iterable[str]) -> list[str]:
        return await create_topics(self.kafka.bootstrap, owners)

    # ending

    def stop(self) -> list[str]:
        """Services first, then what they stand on; returns the names of those that had to be killed."""
        killed: list[str] = []

        def stop(part: Part) -> None:
            part.finish_stopping()
            if not part.stop():
                killed.append(part.name)

        for group in (self.services.values(), self._foundation.values()):
            with ThreadPoolExecutor(STARTS_AT_ONCE, thread_name_prefix="stop") as pool:
                _all([pool.submit(stop, part) for part in group])
        return killed

    def reset(self) -> None:
        """Forgets every fact, log and trace; keeps ports, passwords and keys. Only while nothing runs."""
        if self.running():
            raise AlreadyUp(f"{', '.join(self.running())} still run with state {self.state}: `baton down` first")
        self.postgres.erase()
        self.kafka.erase()
        for folder in ("logs", "traces", "run"):
            shutil.rmtree(self.state / folder, ignore_errors=True)

    def _remember_wishes(self) -> None:
        memory = self.state / "run" / "wishes.json"
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(asdict(self.wishes)))


def _all(futures: Iterable[Future[None]]) -> None:
    """Waits for all, then raises what the first failed one raised."""
    waiting = list(futures)
    for future in waiting:
        future.exception()
    for future in waiting:
        future.result()
