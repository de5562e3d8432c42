"""One block of ports per checkout, chosen once and remembered in the state directory."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.errors import PlatformError, PortBusy

HOST = "127.0.0.1"
DEFAULT_BASE = 17400
BLOCK = 20
"""Ports per platform: base is the gateway, then PostgreSQL, Kafka, Kafka's controller and Zipkin; from base + 10 on the
services."""
AUTOMATIC_BLOCKS_MAX = 25
"""How many blocks above the default are tried when nothing was asked for."""
LOWEST, HIGHEST = 1024, 65535 - BLOCK

OFFSETS = {
    "gateway": 0,
    "postgres": 1,
    "kafka": 2,
    "controller": 3,
    "zipkin": 4,
    "directory": 10,
    "goals": 11,
    "tasks": 12,
    "sla": 13,
    "notify": 14,
    "audit": 15,
    "trust": 16,
}


@dataclass(frozen=True)
class Ports:
    base: int

    def __post_init__(self) -> None:
        if not LOWEST <= self.base <= HIGHEST:
            raise PlatformError(
                f"port base {self.base} is out of range: choose one from {LOWEST} to {HIGHEST}"
                " (`baton up --port-base N` or BATON_PORT_BASE)"
            )

    def of(self, part: str) -> int:
        return self.base + OFFSETS[part]

    def busy(self) -> dict[str, int]:
        """Parts whose port cannot be bound now, with the port."""
        return {part: self.of(part) for part in OFFSETS if not can_bind(self.of(part))}


def can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as refused:
            if refused.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def choose(state: Path, asked: int | None) -> tuple[Ports, str]:
    """The block to use and how it came about: `asked`, `remembered`, `default`, or a sentence on what was in the way.

    Only a first start moves on by itself; a remembered or asked-for block that is busy is an error that names
    the port, since addresses that people wrote down must not change behind their backs.
    """
    memory = state / "ports.json"
    if asked is not None:
        ports, origin = Ports(asked), "asked"
        refuse_busy(ports)
    elif memory.exists():
        ports, origin = Ports(json.loads(memory.read_text())["base"]), "remembered"
        refuse_busy(ports)
    else:
        ports, origin = _first_free()
    state.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps({"base": ports.base}))
    return ports, origin


def remembered(state: Path) -> Ports | None:
    try:
        return Ports(json.loads((state / "ports.json").read_text())["base"])
    except FileNotFoundError:
        return None


def refuse_busy(ports: Ports) -> None:
    for part, port in ports.busy().items():
        raise PortBusy(
            f"port {port} ({part}) is in use{_holder(port)}. Stop what listens there, or take another block of ports:"
            f" `baton up --port-base {_suggestion(ports.base)}` (or BATON_PORT_BASE={_suggestion(ports.base)})"
        )


def random_free() -> Ports:
    """A block for a throw-away platform (tests), outside the blocks that people use."""
    for _ in range(AUTOMATIC_BLOCKS_MAX):
        ports = Ports(random.randrange(20000, 31000, BLOCK))
        if not ports.busy():
            return ports
    raise PortBusy(f"no free block of {BLOCK} ports found between 20000 and 31000 in {AUTOMATIC_BLOCKS_MAX} tries")


def _first_free() -> tuple[Ports, str]:
    in_the_way = ""
    for number in range(AUTOMATIC_BLOCKS_MAX):
        ports = Ports(DEFAULT_BASE + number * BLOCK)
        busy = ports.busy()
        if not busy:
            return ports, in_the_way or "default"
        part, port = next(iter(busy.items()))
        in_the_way = in_the_way or f"port {port} ({part}) of the default block is in use{_holder(port)}"
    raise PortBusy(
        f"{in_the_way}, and so are the next {AUTOMATIC_BLOCKS_MAX - 1} blocks; name one with `baton up --port-base N`"
    )


def _suggestion(base: int) -> int:
    for number in range(1, AUTOMATIC_BLOCKS_MAX):
        candidate = base + number * BLOCK
        if candidate <= HIGHEST and not Ports(candidate).busy():
            return candidate
    return DEFAULT_BASE


def _holder(port: int) -> str:
    """Who listens there, as far as we may see."""
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    whose = "this user" if process.uids().real == os.getuid() else process.username()
                    return f" by process {process.pid} ({process.name()}, {whose})"
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # of another user, or gone meanwhile: the message then names the port only
    return ""
