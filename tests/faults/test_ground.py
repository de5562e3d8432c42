"""What the faults need of the machine does what it says, and nothing to anybody else."""

from __future__ import annotations

import os
import socket

import pytest

from tests.faults.ground import Network

NAMESPACE = "/proc/thread-self/ns/net"
ANSWER_WITHIN_S = 0.2
needs_network = pytest.mark.skipif(Network.lacking is not None, reason=str(Network.lacking))


@needs_network
def test_a_cut_network_is_cut_in_a_namespace_of_its_own() -> None:
    before = os.readlink(NAMESPACE)
    with Network.own():
        assert os.readlink(NAMESPACE) != before
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address), Network(address[1]).cut(), pytest.raises(TimeoutError):
                socket.create_connection(address, ANSWER_WITHIN_S)
            socket.create_connection(address, ANSWER_WITHIN_S).close()
    assert os.readlink(NAMESPACE) == before


@needs_network
def test_a_fault_of_the_network_that_nobody_felt_is_no_fault() -> None:
    with Network.own(), pytest.raises(AssertionError, match="no packet"), Network(9).cut():
        pass
