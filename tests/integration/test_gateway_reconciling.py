"""Jira's deliveries get lost on their way to the door; what Jira answers when it is asked puts the work items right."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from demo.sources import jira
from infra.local.databases import Database
from services.gateway.api import router, webhook_secret
from services.gateway.channels.jira_rest import ISSUES_MAX
from services.gateway.main import SERVICE
from services.gateway.tests.tracker import DOUBLED, DROPPED, HOST, Shown, Tracker, answer_of, lossy, shown
from tests.integration.doors import Standing, doors

pytestmark = pytest.mark.platform
SECRET = "s3cret"
SEED, CHANGES = 2026, 300
ORIGIN = "https://jira.example/rest/api/2/search?jql=order+by+updated"
Row = dict[str, Any]


@pytest.fixture
async def gateway(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as standing:
        standing.app.dependency_overrides[webhook_secret] = lambda: SECRET
        yield standing


async def _deliver(gateway: Standing, raws: Iterable[bytes]) -> Counter[str]:
    found: Counter[str] = Counter()
    for raw in raws:
        headers = {"Content-Type": "application/json", "X-Hub-Signature": jira.signature(raw, SECRET)}
        answer = await gateway.client.post("/webhooks/jira", content=raw, headers=headers)
        assert answer.status_code == 202, answer.text
        found[answer.json()["result"]] += 1
    return found


async def _send(gateway: Standing, body: Any, **headers: str) -> httpx.Response:
    return await gateway.client.post(
        "/v1/reconciliations", json=body, headers=gateway.bearer("integration", person="jira-1") | headers
    )


def _page(issues: Sequence[Row], *, host: str = HOST, asked: Sequence[str] = ()) -> Row:
    answer = {"startAt": 0, "maxResults": ISSUES_MAX, "total": len(issues), "issues": list(issues)}
    return {
        "origin": ORIGIN,
        "seen_at": datetime.now(UTC).isoformat(),
        "answer": answer,
        "host": host,
        "asked": list(asked),
    }


async def _reconcile(gateway: Standing, issues: Iterable[Row]) -> Counter[str]:
    """As a script at work would: for each host page after page, each with the ids that are known here."""
    at_hosts: dict[str, dict[str, Row]] = defaultdict(dict)
    for issue in issues:
        at_hosts[urlsplit(issue["self"]).netloc][issue["id"]] = issue
    known: dict[str, set[str]] = defaultdict(set)
    for row in await _rows(gateway, "/v1/work-items"):
        known[row["host"]].add(row["item"])
    found: Counter[str] = Counter()
    for host in at_hosts.keys() | known.keys():
        ids = sorted(at_hosts[host].keys() | known[host])
        for start in range(0, len(ids), ISSUES_MAX):
            part = ids[start : start + ISSUES_MAX]
            body = _page([at_hosts[host][item] for item in part if item in at_hosts[host]], host=host, asked=part)
            answer = await _send(gateway, body)
            assert answer.status_code == 200, answer.text
            found.update(result["result"] for result in answer.json()["results"])
    return found


async def _rows(gateway: Standing, path: str, **params: str) -> list[Row]:
    """All pages, once the views have what was accepted."""
    rows: list[Row] = []
    query = {"limit": "200", "after": str(await gateway.parts.journal.position()), **params}
    while True:
        answer = await gateway.client.get(path, params=query, headers=gateway.bearer("frontend"))
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        if answer.json()["next_cursor"] is None:
            return rows
        query["cursor"] = answer.json()["next_cursor"]


async def _known(gateway: Standing) -> Shown:
    rows = [row for row in await _rows(gateway, "/v1/work-items") if not row["gone"]]
    return {
        (row["host"], row["item"]): tuple(row[name] for name in ("key", "summary", "status", "assignee"))
        for row in rows
    }


async def test_deliveries_lost_doubled_and_shuffled_end_as_the_trackers_own_state_and_each_repair_is_on_record(
    gateway: Standing,
) -> None:
    chance = random.Random(SEED)
    tracker = Tracker(chance)
    for _ in range(CHANGES):
        tracker.change()
    real = [body.raw for body in jira.bodies()]
    truth = [*tracker.answer()["issues"], *answer_of(real)["issues"]]
    arrived = lossy([*tracker.sent, *real], chance, dropped=DROPPED, doubled=DOUBLED)
    late = arrived[-len(arrived) // 10 :]
    await _deliver(gateway, arrived[: -len(late)])
    assert await _known(gateway) != shown({"issues": truth}), "nothing was lost: the case proves nothing"

    first = await _reconcile(gateway, truth)
    assert first["repaired"] > 0
    assert await _known(gateway) == shown({"issues": truth})
    await _deliver(gateway, late)  # what was believed lost was only late
    await _reconcile(gateway, truth)
    assert await _known(gateway) == shown({"issues": truth})
    assert (await _reconcile(gateway, truth))["repaired"] == 0

    repairs = await _rows(gateway, "/v1/reconciliations")
    entries = await gateway.parts.journal.read(0, 10_000)
    assert len(repairs) == sum(entry.type == "gateway.WorkItemReconciled" for entry in entries) >= first["repaired"]
    assert all(row["differed"] and row["origin"] == ORIGIN and row["seen_at"] for row in repairs)
    assert sum(row["repaired"] for row in await _rows(gateway, "/v1/deliveries")) == len(repairs)


async def test_a_page_that_is_sent_again_with_its_key_repairs_once(gateway: Standing) -> None:
    tracker = Tracker(random.Random(7))
    tracker.create()
    body = _page(tracker.answer()["issues"])
    answers = [await _send(gateway, body, **{"Idempotency-Key": "page-1"}) for _ in range(2)]
    assert [answer.json()["results"][0]["result"] for answer in answers] == ["repaired", "repaired"]
    assert len(await _rows(gateway, "/v1/reconciliations", host=HOST, item="1")) == 1
    again = await _send(gateway, body)
    assert again.json()["results"][0]["result"] == "equal"
    assert int(again.headers["Baton-Position"]) == again.json()["results"][0]["position"]
    assert "ETag" not in again.headers


async def test_what_is_no_page_is_refused_by_name_and_nothing_is_stored(gateway: Standing) -> None:
    tracker = Tracker(random.Random(7))
    tracker.create()
    (issue,) = tracker.answer()["issues"]
    undated = {**issue, "fields": {"summary": "no fields=updated was asked for"}}
    cases: list[tuple[Row, str]] = [
        ({**_page([]), "answer": {}}, "body.answer.issues"),
        (_page([issue] * (ISSUES_MAX + 1)), "body.answer.issues"),
        (_page([issue, undated]), "body.answer.issues.1.fields.updated"),
        ({**_page([], asked=["1"]), "host": None}, "body.host"),
        (_page([issue], host="other.example", asked=["1"]), "body.answer.issues.0.self"),
        ({**_page([], asked=["1"]), "answer": {"issues": [], "nextPageToken": "n"}}, "body.answer.nextPageToken"),
        ({**_page([issue]), "seen_at": "yesterday"}, "body.seen_at"),
        ({**_page([issue]), "seen_at": "1000-01-01T00:00:00Z"}, "body.seen_at"),
        (_page([], asked=["1"] * (ISSUES_MAX + 1)), "body.asked"),
    ]
    for body, field in cases:
        answer = await _send(gateway, body)
        assert (answer.status_code, answer.json()["faults"][0]["field"]) == (422, field), answer.text
    frontend = await gateway.client.post("/v1/reconciliations", json=_page([issue]), headers=gateway.bearer("frontend"))
    assert frontend.status_code == 403
    assert await gateway.parts.journal.position() == 0
