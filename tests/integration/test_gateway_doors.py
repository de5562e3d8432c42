"""gateway's doors on a real journal: the shipped input once and twice, and bad input at each door."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.sources import boston, jira, northwind
from infra.local.databases import Database
from libs.service.bodies import BODY_BYTES_MAX
from services.gateway.api import router, webhook_secret
from services.gateway.channels.cloudevents import BATCH_EVENTS_MAX, BATCHED, STRUCTURED
from services.gateway.main import SERVICE
from tests.integration.doors import Standing, doors

pytestmark = pytest.mark.platform
SECRET = "s3cret"
REQUEST = {"reference": "STORY1", "template": "complaint", "category": "quality", "title": "veneer blisters"}


@pytest.fixture
async def gateway(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as standing:
        standing.app.dependency_overrides[webhook_secret] = lambda: SECRET
        yield standing


async def _hook(gateway: Standing, raw: bytes, name: str | None = None, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", "X-Hub-Signature": jira.signature(raw, SECRET)}
    if name is not None:
        sent["X-Atlassian-Webhook-Identifier"] = name
    return await gateway.client.post("/webhooks/jira", content=raw, headers=sent | headers)


async def _send(gateway: Standing, event: Any, content_type: str = STRUCTURED, **more: str) -> httpx.Response:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    headers = gateway.bearer("integration") | {"Content-Type": content_type} | more
    return await gateway.client.post("/events", content=raw, headers=headers)


async def _import(gateway: Standing, events: list[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for start in range(0, len(events), BATCH_EVENTS_MAX):
        answer = await _send(gateway, events[start : start + BATCH_EVENTS_MAX], BATCHED)
        assert answer.status_code == 202, answer.text
        found.update(result["result"] for result in answer.json()["results"])
    return found


async def _rows(gateway: Standing, path: str, **params: str) -> list[dict[str, Any]]:
    """All pages, once the views have what was accepted."""
    rows: list[dict[str, Any]] = []
    query = {"limit": "200", "after": str(await gateway.parts.journal.position()), **params}
    while True:
        answer = await gateway.client.get(path, params=query, headers=gateway.bearer("frontend"))
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        if answer.json()["next_cursor"] is None:
            return rows
        query["cursor"] = answer.json()["next_cursor"]


def _event(**changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": "crm", "type": "baton.request.received.v1", "data": REQUEST}
    return {name: value for name, value in (event | changes).items() if value is not None}


async def test_jira_bodies_posted_twice_are_55_accepted_55_duplicate_14_work_items(gateway: Standing) -> None:
    found: Counter[str] = Counter()
    for _ in range(2):
        for body in jira.bodies():
            answer = await _hook(gateway, body.raw, body.name)
            assert answer.status_code == 202, answer.text
            found[answer.json()["result"]] += 1
    assert found == {"accepted": 55, "duplicate": 55}
    assert len(await _rows(gateway, "/v1/work-items")) == 14
    assert sum(row["accepted"] for row in await _rows(gateway, "/v1/deliveries")) == 55


async def test_a_body_is_known_by_its_hash_without_or_under_another_identifier(gateway: Standing) -> None:
    (body, *_) = jira.bodies()
    answers = [await _hook(gateway, body.raw, name) for name in ("one", "two", None)]
    assert [answer.json()["result"] for answer in answers] == ["accepted", "duplicate", "duplicate"]


async def test_an_identifier_that_comes_with_another_body_is_a_duplicate_on_record(gateway: Standing) -> None:
    first, second, *_ = jira.bodies()
    await _hook(gateway, first.raw, "one")
    for _ in range(2):
        answer = (await _hook(gateway, second.raw, "one")).json()
        assert (answer["result"], answer["altered"]) == ("duplicate", True)
    altered = {row["source"]: row["altered"] for row in await _rows(gateway, "/v1/deliveries")}
    assert altered["jira"] == 1


async def test_bostons_requests_come_in_once_however_often_they_are_sent(gateway: Standing) -> None:
    assert await _import(gateway, boston.events()) == {"accepted": 186}
    assert await _import(gateway, boston.events()) == {"duplicate": 186}
    rows = await _rows(gateway, "/v1/requests", source=boston.SOURCE)
    closed = [row for row in rows if row["state"] == "closed"]
    judged = [row for row in closed if row["target_at"]]
    on_time = [row for row in judged if row["closed_at"] <= row["target_at"]]
    assert (len(rows), len(closed), len(judged), len(on_time)) == (100, 85, 77, 72)


async def test_northwinds_orders_come_in_as_requests_with_the_ends_of_their_days(gateway: Standing) -> None:
    assert await _import(gateway, northwind.events()) == {"accepted": 830 + 809 + 1}
    rows = await _rows(gateway, "/v1/requests", template="order")
    closed = [row for row in rows if row["state"] == "closed"]
    late = [row for row in closed if row["closed_at"] > row["target_at"]]
    assert [len(rows), len(closed), len(late), len(rows) - len(closed)] == [830, 809, 37, 21]
    (mark,) = (row for row in await _rows(gateway, "/v1/deliveries") if row["source"] == northwind.SOURCE)
    assert mark["up_to"] == "2018-05-06T23:59:59.999999Z"


async def test_an_event_is_the_same_in_structured_binary_and_batched_mode(gateway: Standing) -> None:
    attributes = {f"ce-{name}": str(value) for name, value in _event().items() if name != "data"}
    structured = await _send(gateway, _event())
    binary = await _send(gateway, REQUEST, "application/json", **attributes)
    batched = await _send(gateway, [_event()], BATCHED)
    assert (structured.status_code, structured.json()["result"]) == (202, "accepted")
    assert (binary.status_code, binary.json()["result"]) == (202, "duplicate")
    assert [result["result"] for result in batched.json()["results"]] == ["duplicate"]
    assert binary.json()["subject"] == structured.json()["subject"]


async def test_the_same_id_with_other_content_is_422_and_the_same_reference_409(gateway: Standing) -> None:
    await _send(gateway, _event())
    other = REQUEST | {"title": "another"}
    reused = await _send(gateway, _event(data=other))
    contradicted = await _send(gateway, _event(id="2", data=other))
    assert (reused.status_code, reused.json()["type"]) == (422, "urn:baton:problem:event-reused")
    assert "'1'" in reused.json()["detail_zh"]
    assert (contradicted.status_code, contradicted.json()["rule"]) == (409, "request-received-before")


async def test_a_batch_answers_for_each_of_its_events(gateway: Standing) -> None:
    unknown = _event(id="3", type="baton.request.received.v9")
    closing = _event(id="4", type="baton.request.closed.v1", data={"reference": "NOBODY"})
    answer = await _send(gateway, [_event(), 7, unknown, closing], BATCHED)
    results = answer.json()["results"]
    assert answer.status_code == 207
    assert [result["result"] for result in results] == ["accepted", "refused", "refused", "refused"]
    assert [result["problem"]["status"] for result in results[1:]] == [422, 422, 404]


async def test_another_tenants_requests_are_not_seen(gateway: Standing) -> None:
    await _send(gateway, _event())
    headers = gateway.bearer("frontend", tenant="north")
    query = {"after": await gateway.parts.journal.position()}
    answer = await gateway.client.get("/v1/requests", params=query, headers=headers)
    assert answer.json()["rows"] == []


BAD_EVENTS: list[tuple[str, Any, str, int]] = [
    ("malformed", b"{", STRUCTURED, 400),
    ("empty", b"", STRUCTURED, 400),
    ("broken UTF-8", b'{"id": "\xc3\x28"}', STRUCTURED, 400),
    ("half a surrogate pair", b'{"id": "\\ud800"}', STRUCTURED, 400),
    ("deeply nested", b"[" * 100_000, STRUCTURED, 400),
    ("an array", [1], STRUCTURED, 422),
    ("a batch that is none", _event(), BATCHED, 422),
    ("no type", _event(type=None), STRUCTURED, 422),
    ("an unknown type", _event(type="com.example.thing"), STRUCTURED, 422),
    ("an unknown version", _event(type="baton.request.received.v2"), STRUCTURED, 422),
    ("an old specversion", _event(specversion="0.3"), STRUCTURED, 422),
    ("data of the wrong shape", _event(data={"reference": 7}), STRUCTURED, 422),
    ("the character 0", _event(data=REQUEST | {"title": "a\x00"}), STRUCTURED, 422),
    ("no attributes", REQUEST, "application/json", 422),
    ("another content type", _event(), "text/plain", 415),
    ("another charset", _event(), "application/json; charset=gbk", 415),
    ("ten megabytes", b" " * 10_000_000, STRUCTURED, 413),
    ("one byte too many", b" " * (BODY_BYTES_MAX + 1), STRUCTURED, 413),
]


async def test_bad_input_at_events_is_a_clear_problem_and_nothing_is_stored(gateway: Standing) -> None:
    for name, body, content_type, status in BAD_EVENTS:
        _is_problem(await _send(gateway, body, content_type), status, name)
    assert await gateway.parts.journal.position() == 0
    assert (await _send(gateway, _event())).json()["result"] == "accepted"


async def test_events_need_a_token_with_the_role_integration(gateway: Standing) -> None:
    typed = {"Content-Type": STRUCTURED}
    raw = json.dumps(_event())
    nobody = await gateway.client.post("/events", content=raw, headers=typed)
    frontend = await gateway.client.post("/events", content=raw, headers=typed | gateway.bearer("frontend"))
    _is_problem(nobody, 401)
    _is_problem(frontend, 403)
    assert "integration" in frontend.json()["detail"]


BAD_HOOKS: list[tuple[str, bytes, dict[str, str], int]] = [
    ("no signature", b"{}", {"X-Hub-Signature": ""}, 401),
    ("a wrong signature", b"{}", {"X-Hub-Signature": "sha256=" + "0" * 64}, 401),
    ("malformed", b"{", {}, 400),
    ("broken UTF-8", b'{"webhookEvent": "\xc3\x28"}', {}, 400),
    ("an array", b"[]", {}, 422),
    ("no event", b"{}", {}, 422),
    ("an issue without an id", b'{"webhookEvent": "x", "issue": {}}', {}, 422),
    ("another content type", b"{}", {"Content-Type": "text/plain"}, 415),
    ("ten megabytes", b" " * 10_000_000, {}, 413),
]


async def test_bad_input_at_jiras_door_is_a_clear_problem_and_nothing_is_stored(gateway: Standing) -> None:
    for name, raw, headers, status in BAD_HOOKS:
        _is_problem(await _hook(gateway, raw, "one", **headers), status, name)
    assert await gateway.parts.journal.position() == 0
    (body, *_) = jira.bodies()
    assert (await _hook(gateway, body.raw, "one")).json()["result"] == "accepted"


async def test_a_wrong_signature_is_not_told_as_a_token_that_is_missing(gateway: Standing) -> None:
    problem = await _hook(gateway, b"{}", "one", **{"X-Hub-Signature": "sha256=" + "0" * 64})
    assert problem.json()["type"] == "urn:baton:problem:signature-wrong"
    assert problem.json()["title_zh"] == "签名无效"
    assert problem.headers["www-authenticate"].startswith("Signature")


def _is_problem(answer: httpx.Response, status: int, name: str = "") -> None:
    assert answer.status_code == status, f"{name}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:baton:problem:")
    assert answer.json()["detail"]
