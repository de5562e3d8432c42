from __future__ import annotations

import socket
from pathlib import Path

import pytest

from infra.local.errors import PlatformError, PortBusy
from infra.local.ports import BLOCK, HOST, OFFSETS, Ports, choose, random_free, remembered


def listening(port: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left is free
    taken.bind((HOST, port))
    taken.listen()
    return taken


def test_every_part_has_a_port_of_its_own_within_the_block() -> None:
    assert len(set(OFFSETS.values())) == len(OFFSETS)
    assert max(OFFSETS.values()) < BLOCK


def test_a_busy_port_is_named_with_its_part_its_holder_and_the_way_out(tmp_path: Path) -> None:
    ports = random_free()
    with listening(ports.of("kafka")), pytest.raises(PortBusy) as refused:
        choose(tmp_path, ports.base)
    said = str(refused.value)
    assert f"port {ports.of('kafka')} (kafka)" in said
    assert "by process" in said
    assert "--port-base" in said
    assert "BATON_PORT_BASE" in said
    assert remembered(tmp_path) is None


def test_the_block_of_a_checkout_is_remembered(tmp_path: Path) -> None:
    ports = random_free()
    assert choose(tmp_path, ports.base) == (ports, "asked")
    assert choose(tmp_path, None) == (ports, "remembered")


def test_a_remembered_block_never_moves_by_itself(tmp_path: Path) -> None:
    ports = random_free()
    choose(tmp_path, ports.base)
    with listening(ports.of("tasks")), pytest.raises(PortBusy, match="tasks"):
        choose(tmp_path, None)


def test_a_second_checkout_takes_the_next_free_block_and_says_so(tmp_path: Path) -> None:
    first, _ = choose(tmp_path / "one", None)
    with listening(first.of("postgres")):
        second, said = choose(tmp_path / "two", None)
    assert second.base > first.base
    assert "in use" in said


@pytest.mark.parametrize("base", [0, 80, 65530, 70000])
def test_a_base_out_of_range_is_refused_with_the_range(base: int) -> None:
    with pytest.raises(PlatformError, match="1024 to"):
        Ports(base)
