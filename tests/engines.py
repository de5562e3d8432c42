"""Kafka and PostgreSQL for tests, wherever they come from."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_urlsafe

from infra.local.databases import ROLES, Database, prepare
from infra.local.kafka import SETTINGS as KAFKA_SETTINGS
from infra.local.ports import random_free
from infra.local.postgres import answers, settings

ENGINE_ANSWER_SECONDS_MAX = 5
KAFKA_IMAGE = "apache/kafka:4.4.0"
POSTGRES_IMAGE = "postgres:18"
POSTGRES_PORT = 5432
CONTAINER_SECONDS_MAX = 120
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Stores:
    """Addresses of a Kafka and a PostgreSQL; the native ones and those in containers give the same."""

    kafka: str
    postgres_admin: str

    async def create_database(self, name: str) -> Database:
        made = await prepare(self.postgres_admin, {name: {role: token_urlsafe(24) for role in ROLES}})
        return made[name]


def engine_answers() -> bool:
    """Whether a Docker engine answers here."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, timeout=ENGINE_ANSWER_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@contextmanager
def containers() -> Iterator[Stores]:
    """Both with the settings that the native platform and the compose file use."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    password, port = token_urlsafe(24), random_free().of("kafka")
    postgres = (
        DockerContainer(POSTGRES_IMAGE)
        .with_env("POSTGRES_PASSWORD", password)
        .with_command([word for setting in settings() for word in ("-c", setting)])
        .with_exposed_ports(POSTGRES_PORT)
    )
    # Clients are told the address to connect to, so the port is the same inside and outside.
    kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    for name, value in broker_environment(port).items():
        kafka.with_env(name, value)
    with kafka, postgres:
        wait_for_logs(kafka, "Kafka Server started", timeout=CONTAINER_SECONDS_MAX)
        address = f"{postgres.get_container_host_ip()}:{postgres.get_exposed_port(POSTGRES_PORT)}"
        admin_url = f"postgresql://postgres:{password}@{address}/postgres"
        _wait(lambda: asyncio.run(answers(admin_url)), "PostgreSQL in its container")
        yield Stores(f"127.0.0.1:{port}", admin_url)


def broker_environment(port: int) -> dict[str, str]:
    """infra/kafka/broker.properties as the image wants it: in the environment."""
    lines = (KAFKA_SETTINGS / "broker.properties").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {
        **{"KAFKA_" + name.replace(".", "_").upper(): value for name, value in pairs},
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:29093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:29093",
    }


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + CONTAINER_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not answer within {CONTAINER_SECONDS_MAX} s")
        time.sleep(POLL_SECONDS)
