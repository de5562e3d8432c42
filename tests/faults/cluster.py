"""Three brokers on one machine, each also a controller: what is acknowledged stands on two of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from infra.local.kafka import Kafka
from infra.local.ports import HOST
from infra.local.progress import Progress

NODES = 3
SETTINGS = """
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
min.insync.replicas=2
broker.session.timeout.ms=2000
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
"""


class Node(Kafka):
    """`controllers`: the controller ports of all nodes; `number` counts from 1."""

    def __init__(self, state: Path, number: int, port: int, controllers: Sequence[int]) -> None:
        super().__init__(state, port, controllers[number - 1], Progress(quiet=True), name=f"kafka-{number}")
        self.number, self._controllers = number, controllers

    def own_settings(self) -> str:
        voters = ",".join(f"{number}@{HOST}:{port}" for number, port in enumerate(self._controllers, 1))
        return f"{super().own_settings()}{SETTINGS}node.id={self.number}\ncontroller.quorum.voters={voters}\n"

    def quorum(self) -> tuple[int, int]:
        """(epoch, number of the controller that leads), as this node knows it."""
        found = json.loads((self.data / "__cluster_metadata-0" / "quorum-state").read_text())
        return found["leaderEpoch"], found["leaderId"]


class Cluster:
    def __init__(self, state: Path, ports: Sequence[int]) -> None:
        """`ports`: two for each node."""
        controllers = ports[NODES : 2 * NODES]
        self.nodes = [Node(state, number, ports[number - 1], controllers) for number in range(1, NODES + 1)]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    def controller(self) -> tuple[int, Node]:
        """The one that leads, after the epoch since which it does."""
        epoch, leader = max(node.quorum() for node in self.nodes if node.running)
        return epoch, self.nodes[leader - 1]

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(NODES) as pool:
            try:
                for node in self.nodes:
                    node.start()
                list(pool.map(Node.wait_ready, self.nodes))
                yield
            finally:
                list(pool.map(Node.stop, self.nodes))
