"""A service that is told to stop ends within five seconds, whatever its collector does, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import select
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from libs.events.entries import new_id
from libs.service.telemetry import OTLP_ENDPOINT, ZIPKIN_ENDPOINT
from tests.integration.running import END_WITHIN_S, WITHIN_S, Program

pytestmark = pytest.mark.platform
ASKING_AT_ONCE = 8
ANSWERED_MIN = 100
BACKLOG = 128


@pytest.fixture(params=["none", "one that refuses", "one that is silent"])
def collector(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where spans are sent to: nowhere, to nobody, to somebody who takes everything and never answers."""
    if request.param == "none":
        yield {}
    elif request.param == "one that refuses":
        with socket.socket() as bound:  # bound and not listening: nobody else takes the port
            bound.bind(("127.0.0.1", 0))
            yield _endpoints(bound.getsockname()[1])
    else:
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as silent:
            yield _endpoints(silent.getsockname()[1])
            connected, _, _ = select.select([silent], [], [], 0)
            assert connected, "nobody sent it anything"


def _endpoints(port: int) -> dict[str, str]:
    return {
        OTLP_ENDPOINT: f"http://127.0.0.1:{port}",
        ZIPKIN_ENDPOINT: f"http://127.0.0.1:{port}/api/v2/spans",
    }


async def test_it_ends_in_five_seconds_while_it_works_and_keeps_what_it_answered_and_its_spans(
    program: Program, collector: dict[str, str], tmp_path: Path
) -> None:
    asked: dict[UUID, int | None] = {}
    with program.running(**collector) as process:
        await program.ready()
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as people:
            for _ in range(ASKING_AT_ONCE):
                people.create_task(_ask(program, asked, enough))
            await asyncio.wait_for(enough.wait(), WITHIN_S)
            took_s = await asyncio.to_thread(_end, process)
    assert took_s < END_WITHIN_S
    _expect_spans(tmp_path / "traces")
    with program.running(**collector):
        await program.ready()
        async with program.client() as client:
            for errand, position in asked.items():
                answer = await client.post(f"/v1/errands/{errand}", json={"to": "ann"}, headers=_keyed(errand))
                assert answer.status_code == 200
                if position is not None:
                    assert (answer.json()["known"], answer.json()["position"]) == (True, position)
            row = await client.get(f"/v1/errands/{errand}", params={"after": answer.headers["baton-position"]})
            assert row.status_code == 200
    print(f"ended after {took_s:.2f} s", Counter(position is not None for position in asked.values()))


async def _ask(program: Program, asked: dict[UUID, int | None], enough: asyncio.Event) -> None:
    """Ask until the service is gone; None: without an answer."""
    async with program.client() as client:
        while True:
            errand = new_id()
            asked[errand] = None
            try:
                answer = await client.post(f"/v1/errands/{errand}", json={"to": "ann"}, headers=_keyed(errand))
            except httpx.TransportError:
                return
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return
            assert answer.status_code == 200, answer.text
            asked[errand] = answer.json()["position"]
            if len(asked) >= ANSWERED_MIN:
                enough.set()


def _keyed(errand: UUID) -> dict[str, str]:
    return {"Idempotency-Key": str(errand)}


def _end(process: subprocess.Popen[bytes]) -> float:
    started_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(END_WITHIN_S)
    return time.monotonic() - started_s


def _expect_spans(traces: Path) -> None:
    spans = [json.loads(line) for path in traces.glob("*.jsonl") for line in path.read_text().splitlines()]
    doors = {span["span_id"]: span for span in spans if span["name"].startswith("POST /v1/errands")}
    decided = [span for span in spans if span["name"] == "decide GiveErrand"]
    assert len(decided) >= ANSWERED_MIN
    assert [span for span in decided if span["parent"] not in doors] == []
    assert not [span for span in spans if "healthz" in span["name"] or "readyz" in span["name"]]
