from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import processes
from infra.local.errors import PartFailed
from infra.local.ports import HOST
from infra.local.services import Service

ANSWERING = """
import http.server, os, socket, sys
class Shared(http.server.HTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
class Pid(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"ready": true, "pid": %d}' % os.getpid())
Shared(("127.0.0.1", int(sys.argv[1])), Pid).serve_forever()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One that is ready and tells its process id."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    found = Service("answering", tmp_path, port, tmp_path, {})
    found.argv = [sys.executable, "-c", ANSWERING, str(port)]
    found.start()
    found.wait_ready(10)
    yield found
    found.finish_stopping()
    found.stop()


def test_a_successor_answers_before_the_former_process_ends(service: Service) -> None:
    former = service.running
    done = service.hand_over()
    assert former is not None
    assert (done.former, done.gently) == (former.pid, True)
    assert not processes.alive(former)
    assert done.successor == service.pid == answering(service)
    assert records(service) == ["answering.json"]


def test_a_successor_that_does_not_come_up_leaves_the_former_process_as_it_was(service: Service) -> None:
    former = service.pid
    service.argv = [sys.executable, "-c", "raise SystemExit('broken')"]
    with pytest.raises(PartFailed, match=r"the former process goes on(.|\n)*broken"):
        service.hand_over()
    assert service.pid == former == answering(service)
    assert records(service) == ["answering.json"]


def test_nobody_takes_over_from_a_service_that_does_not_run(service: Service) -> None:
    service.stop()
    with pytest.raises(PartFailed, match="baton start answering"):
        service.hand_over()


def test_what_an_interrupted_handover_left_is_ended_with_the_service(service: Service, tmp_path: Path) -> None:
    coming = processes.spawn(
        service.argv,
        record=service.record.with_suffix(".coming"),
        log=service.log,
        env=os.environ,
        cwd=tmp_path,
    )
    service.finish_stopping()
    assert not processes.alive(coming)
    assert service.pid == answering(service)
    assert records(service) == ["answering.json"]


def answering(service: Service) -> int:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=5)
    connection.request("GET", "/")
    found: int = json.loads(connection.getresponse().read())["pid"]
    return found


def records(service: Service) -> list[str]:
    return sorted(path.name for path in service.record.parent.iterdir())
