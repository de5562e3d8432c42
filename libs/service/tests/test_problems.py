from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import msgspec
import pytest

from libs.events.errors import BatonError, Refusal, Undecodable
from libs.service.bodies import BODY_BYTES_MAX
from libs.service.errors import FAULTS_MAX, FIELD_SHOWN_MAX, VALUE_SHOWN_MAX, Fault, WrongShape
from libs.service.metrics import Metrics
from libs.service.problems import TABLE, problem_of
from libs.service.storable import COMMAND_BYTES_MAX
from libs.service.tests.conftest import REFUSALS, STREAM, Ledger

LINES = f"/v1/sheets/{STREAM}/lines"
PROBLEM = "application/problem+json"


@pytest.mark.parametrize(("error", "status", "name"), REFUSALS, ids=lambda value: type(value).__name__)
async def test_every_error_has_its_status_and_stable_type(
    client: httpx.AsyncClient, ledger: Ledger, error: BaseException, status: int, name: str
) -> None:
    ledger.raises = error
    answer = await client.post(LINES, json={"text": "a"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert (body["type"], body["status"]) == (f"urn:baton:problem:{name}", status)
    assert body["title"]
    assert body["title_zh"]
    assert ("retry-after" in answer.headers) == (status == 503)
    if isinstance(error, Refusal):
        assert (body["rule"], body["detail"], body["detail_zh"]) == (error.rule, error.en, error.zh)


def test_every_error_of_the_kernel_is_in_the_table() -> None:
    def below(error: type[BatonError]) -> set[type[BatonError]]:
        return {error}.union(*(below(child) for child in error.__subclasses__()))

    kernel = {error for error in below(BatonError) if error.__module__ == "libs.events.errors"} - {BatonError}
    covered = {row.error for row in TABLE}
    assert [error for error in kernel if not covered & set(error.__mro__)] == []


async def test_what_is_not_json_is_400(client: httpx.AsyncClient, ledger: Ledger) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"{", b"", b'{"text": "\xff\xfe"}', b"[" * 100_000, b'{"count": ' + b"9" * 5_000 + b"}", b"\x00"):
        answer = await client.post(LINES, content=body, headers=headers)
        assert answer.status_code == (400 if body else 422), body[:20]
        assert answer.headers["content-type"] == PROBLEM
    assert ledger.requests == []


async def test_a_wrong_shape_is_422_with_every_fault(client: httpx.AsyncClient) -> None:
    answer = await client.post(LINES, json={"text": 7, "count": "many" * 100})
    assert answer.status_code == 422
    faults = answer.json()["faults"]
    assert [fault["field"] for fault in faults] == ["body.text", "body.count"]
    assert faults[0]["value"] == 7
    assert len(faults[1]["value"]) == VALUE_SHOWN_MAX
    assert all(fault["cure"] and fault["cure_zh"] for fault in faults)
    for body in ("[]", "null", "7", '"text"', "{}", '{"text": "\\ud800"}'):
        answer = await client.post(LINES, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, body


async def test_a_field_that_is_missing_or_unknown_says_what_to_do(client: httpx.AsyncClient) -> None:
    faults = (await client.post(LINES, json={"count": 1.5})).json()["faults"]
    assert faults == [
        {"field": "body.text", "cure": "is missing; send it", "cure_zh": "缺少此项，请填写"},
        {"field": "body.count", "cure": "must be a whole number", "cure_zh": "必须是整数", "value": 1.5},
    ]


async def test_a_wrong_shape_is_told_in_both_languages(client: httpx.AsyncClient) -> None:
    problem = (await client.post(LINES, json={"text": None})).json()
    assert problem["detail"] == "body.text=null: must be a text"
    assert problem["detail_zh"] == "body.text=null：必须是文本"


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("red", "red"),
        ("", ""),
        (None, None),
        (7, 7),
        ({"a": [1, "b"]}, {"a": [1, "b"]}),
        ("x" * 100, "x" * 79 + "…"),
        (["x" * 100], '["' + "x" * 77 + "…"),
        ("\ud800", "\\ud800"),
        ({"a": "\ud800"}, "{'a': '\\ud800'}"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ],
)
def test_the_value_of_a_fault_is_the_json_that_came_in_a_bounded_size(came: object, shown: object) -> None:
    problem = problem_of(WrongShape([Fault("body.text", "must be a text", "必须是文本", came)]))
    assert msgspec.to_builtins(problem)["faults"][0]["value"] == shown
    assert json.loads(msgspec.json.encode(problem))["faults"][0]["value"] == shown


def test_of_many_faults_the_first_are_told() -> None:
    problem = problem_of(WrongShape(Fault(f"body.{number}", "leave it out", "请删除") for number in range(100_000)))
    assert problem.faults is not None
    assert [fault.field for fault in problem.faults] == [f"body.{number}" for number in range(FAULTS_MAX)]
    assert len(problem.detail) < 1_000


def test_the_name_of_an_unknown_field_is_shown_in_a_bounded_size() -> None:
    assert Fault("x" * 10_000, "leave it out", "请删除").field == "x" * (FIELD_SHOWN_MAX - 1) + "…"


async def test_a_wrong_address_or_method_is_named(client: httpx.AsyncClient) -> None:
    missing = (await client.get("/v1/sheet")).json()["detail"]
    assert missing == "GET '/v1/sheet' is no address here; GET /openapi.json lists them"
    refused = (await client.delete("/v1/sheets")).json()["detail"]
    assert refused == "DELETE '/v1/sheets' is not taken; GET /openapi.json lists what this address takes"


async def test_what_no_view_could_store_is_422(client: httpx.AsyncClient, ledger: Ledger) -> None:
    deep: object = "end"
    for _ in range(60):
        deep = {"a": deep}
    for body in (
        {"text": "a\0b"},
        {"text": "a", "more": {"a\0": 1}},
        {"text": "a", "more": {"a": [{"b": "\0"}]}},
        {"text": "a", "count": 2**63},
        {"text": "a", "more": {"deep": deep}},
        {"text": "a", "more": {"a": "\ud800"}},
    ):
        answer = await client.post(LINES, content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code == 422, body
        assert answer.json()["type"] == "urn:baton:problem:wrong-shape"
    assert ledger.requests == []


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "", "application/json; charset=latin-1", "multipart/form-data", ";"],
)
async def test_another_content_type_is_415(client: httpx.AsyncClient, content_type: str) -> None:
    answer = await client.post(LINES, content=b'{"text": "a"}', headers={"content-type": content_type})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


async def test_a_body_that_stops_in_the_middle_keeps_its_place_no_longer_than_its_bound(
    client: httpx.AsyncClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopping() -> AsyncIterator[bytes]:
        yield b'{"text":'
        await asyncio.Event().wait()

    monkeypatch.setattr("libs.service.bodies.BODY_WITHIN_S", 0.1)
    answer = await client.post(LINES, content=stopping(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (408, "urn:baton:problem:body-too-slow")
    assert ledger.requests == []


async def test_a_body_above_the_limit_is_413_announced_or_streamed(client: httpx.AsyncClient, ledger: Ledger) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"a" * (BODY_BYTES_MAX // 10)

    headers = {"content-type": "application/json"}
    for content in (b"a" * (BODY_BYTES_MAX + 1), chunks()):
        answer = await client.post(LINES, content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:baton:problem:body-too-large"
        assert str(BODY_BYTES_MAX) in answer.json()["detail"]
    for length, status in ((COMMAND_BYTES_MAX - 200, 200), (COMMAND_BYTES_MAX, 413)):
        assert (await client.post(LINES, json={"text": "a" * length})).status_code == status
    assert len(ledger.requests) == 1


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    missing, method = await client.get("/v1/nothing"), await client.delete("/v1/sheets")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:baton:problem:not-found")
    assert (method.status_code, method.json()["type"]) == (405, "urn:baton:problem:method-not-allowed")
    assert method.headers["allow"] == "GET"
    for path in ("/v1/sheets?cursor=a%00", "/v1/%00", "/v1/sheets?" + "a" * 9_000):
        assert (await client.get(path)).status_code == 400


async def test_a_bug_is_500_and_tells_nothing(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/v1/bug")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == PROBLEM
    assert "swordfish" not in answer.text
    assert any(record.exc_info and "swordfish" in str(record.exc_info[1]) for record in caplog.records)


async def test_a_view_that_is_not_there_yet_is_logged_without_a_stack(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await client.get("/v1/sheets?after=9")).status_code == 503
    (record,) = [record for record in caplog.records if record.name == "baton.problems"]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.getMessage() == "request failed: NotYet: position 9 is not there"


def test_an_unreadable_record_names_its_field() -> None:
    problem = problem_of(Undecodable("type", "baton.unknown.v9", "send one of …"))
    assert problem.status == 422
    assert problem.faults
    assert (problem.faults[0].field, problem.faults[0].value) == ("type", "baton.unknown.v9")
    assert problem.faults[0].cure_zh


async def test_requests_are_counted_by_route_and_unknown_paths_as_one(
    client: httpx.AsyncClient, metrics: Metrics
) -> None:
    for path in (f"/v1/sheets/{STREAM}", f"/v1/sheets/{UUID(int=1)}", "/v1/a", "/v1/b"):
        await client.get(path)
    await client.request("BREW", "/v1/c")
    text = metrics.text().decode()
    counted = [line for line in text.splitlines() if line.startswith("baton_http_request_seconds_count")]
    assert sorted(counted) == [
        'baton_http_request_seconds_count{method="GET",route="/v1/sheets/{sheet}",service="lines",status="200"} 1.0',
        'baton_http_request_seconds_count{method="GET",route="/v1/sheets/{sheet}",service="lines",status="404"} 1.0',
        'baton_http_request_seconds_count{method="GET",route="unknown",service="lines",status="404"} 2.0',
        'baton_http_request_seconds_count{method="other",route="unknown",service="lines",status="404"} 1.0',
    ]


async def test_a_crowd_is_told_to_come_back(
    client: httpx.AsyncClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.service.problems.REQUESTS_AT_ONCE_MAX", 0)
    answer = await client.get("/v1/sheets")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await client.get("/openapi.json")).status_code == 200
    monkeypatch.undo()
    assert (await client.get("/v1/sheets")).status_code == 200
