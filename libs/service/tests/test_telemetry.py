from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError
from opentelemetry import trace

from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Verifier
from libs.service.logging import JsonLines, Seldom, soften
from libs.service.metrics import Metrics
from libs.service.telemetry import FLUSH_TIMEOUT_S, OTLP_ENDPOINT, Telemetry
from libs.service.tests.conftest import Ledger, router_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans_in(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.fixture
def telemetry(tmp_path: Path) -> Telemetry:
    return Telemetry("lines", tmp_path / "traces")


@pytest.fixture
async def traced(
    keys: Path, telemetry: Telemetry, bearer: Callable[..., dict[str, str]]
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        "lines",
        [router_of(Ledger())],
        verifier=Verifier(keys, LOCAL_ISSUER, AUDIENCE),
        metrics=Metrics("lines"),
        tracer_provider=telemetry.provider,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lines", headers=bearer("ops")) as client:
        yield client


async def test_a_request_continues_the_callers_trace_and_its_span_is_read_back(
    traced: httpx.AsyncClient, telemetry: Telemetry, tmp_path: Path
) -> None:
    await traced.get("/v1/secrets", headers={"traceparent": PARENT})
    await traced.get("/healthz")
    telemetry.stop()
    (span,) = spans_in(tmp_path / "traces")
    assert span["trace_id"] == PARENT.split("-")[1]
    assert span["parent"] == PARENT.split("-")[2]
    assert (span["name"], span["kind"], span["service"]) == ("GET /v1/secrets", "server", "lines")
    assert span["attributes"]["http.response.status_code"] == 200  # type: ignore[index]  # read from JSON


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/bug", 500),
        ("GET", "/v1/nowhere", 404),
        ("DELETE", "/v1/sheets", 405),
        ("GET", "/v1/secrets?colour=red", 422),
        ("GET", "/v1/sheets", 503),
    ],
)
async def test_every_problem_tells_the_trace_that_operators_find_it_under(
    traced: httpx.AsyncClient, telemetry: Telemetry, method: str, path: str, status: int
) -> None:
    answer = await traced.request(method, path, headers={"traceparent": PARENT})
    telemetry.stop()
    assert answer.status_code == status
    assert answer.json()["trace_id"] == PARENT.split("-")[1]


def test_links_are_written(telemetry: Telemetry, tmp_path: Path) -> None:
    tracer = telemetry.provider.get_tracer("baton")
    with tracer.start_as_current_span("one") as one:
        linked = one.get_span_context()
    with tracer.start_as_current_span("batch", links=[trace.Link(linked)]):
        pass
    telemetry.stop()
    batch = next(span for span in spans_in(tmp_path / "traces") if span["name"] == "batch")
    assert batch["links"] == [{"trace_id": f"{linked.trace_id:032x}", "span_id": f"{linked.span_id:016x}"}]


def test_a_dead_collector_does_not_hold_up_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OTLP_ENDPOINT, "http://127.0.0.1:9")
    telemetry = Telemetry("lines", None)
    with telemetry.provider.get_tracer("baton").start_as_current_span("lost"):
        pass
    started_s = time.monotonic()
    telemetry.stop()
    assert time.monotonic() - started_s < FLUSH_TIMEOUT_S + 1


def test_a_log_line_is_json_with_its_trace(telemetry: Telemetry) -> None:
    record = logging.makeLogRecord(
        {"name": "baton", "levelname": "INFO", "msg": "heard %s", "args": (3,), "part": "listener"}
    )
    with telemetry.provider.get_tracer("baton").start_as_current_span("hear") as span:
        line = json.loads(JsonLines("lines").format(record))
        assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert (line["service"], line["message"], line["part"]) == ("lines", "heard 3", "listener")
    telemetry.stop()


def test_the_same_words_of_a_client_without_its_broker_are_logged_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    seldom = Seldom()
    lost, other = (logging.makeLogRecord({"name": "aiokafka", "msg": words}) for words in ("no broker", "a broker"))
    assert [seldom.filter(record) for record in (lost, lost, other, lost)] == [True, False, True, False]
    monkeypatch.setattr("libs.service.logging.REPEAT_INTERVAL_S", 0.0)
    assert seldom.filter(lost)


def test_a_broker_whose_coordinator_is_not_there_yet_is_no_error_and_everything_else_stays_one() -> None:
    def level_of(logger: str, words: object) -> str:
        record = logging.LogRecord(logger, logging.ERROR, "", 0, "Group Coordinator Request failed: %s", (words,), None)
        assert soften(record)
        return record.levelname

    passing = GroupCoordinatorNotAvailableError()
    assert level_of("aiokafka.consumer.group_coordinator", passing) == "WARNING"
    assert level_of("aiokafka.consumer.group_coordinator", GroupAuthorizationFailedError()) == "ERROR"
    assert level_of("baton.roles", passing) == "ERROR"
