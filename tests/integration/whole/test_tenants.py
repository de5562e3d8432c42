"""A second tenant on the same platform sees nothing of the first, whatever it asks, and keeps its own beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from demo import rulebook
from demo.stage import Stage
from demo.stories.complaint import REFERENCE
from infra.local import Platform
from infra.local.doors import Doors, open_doors
from infra.local.rest import wait_rest
from libs.events.contracts.tasks import case_id
from libs.events.entries import entity_id
from libs.service.auth import ROLES
from libs.service.issuer import token
from tests.integration.whole.addresses import Operation, operations

pytestmark = pytest.mark.platform
STRANGER = "stranger"
OTHER = "other"
KNOWN = {"person": "prod-1", "kpi": "complaint-response", "case": REFERENCE, "channel": "webhook"}
OWN_QUESTION = {"/v1/common-superior": {"people": "prod-1"}}
EMPTY_TO_ALL = {"/v1/work-items", "/v1/reconciliations", "/v1/deliveries/webhook"}
"""What nothing in the story puts a row into."""


def knocking(platform: Platform, tenant: str) -> Callable[..., httpx.Response]:
    """Asks in the name of somebody of this tenant who has every role."""
    bearer = token(platform.secrets.keys, person="prod-1", roles=ROLES, tenant=tenant)

    def ask(operation: Operation, path: str, **more: Any) -> httpx.Response:
        url = platform.services[operation.service].url + path
        return httpx.request(operation.method, url, headers={"Authorization": f"Bearer {bearer}"}, timeout=30, **more)

    return ask


@pytest.fixture
def questions(platform_told: Platform, stage: Stage, case: str) -> Iterator[list[tuple[Operation, str]]]:
    """Every list and every row that can be asked for, about what the first tenant has."""
    known, reader = KNOWN | {"case_id": case}, stage.person("prod-1")
    reader.post("notify", "/v1/channels/webhook", {"address": "https://example.com/hook"})
    wait_rest(stage.doors)
    yield [
        (asked, asked.path.format(**known))
        for asked in operations(platform_told)
        if asked.method == "GET" and not asked.of_the_platform
    ]
    reader.post("notify", "/v1/channels/webhook/removal", {})
    wait_rest(stage.doors)


def rows(answer: httpx.Response) -> list[Any]:
    """What an answer shows: its rows, its one row unless that is an empty one, its entries."""
    told = answer.json()
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    assert answer.status_code == httpx.codes.OK, answer.text
    if "row" in told:
        return [told["row"]] if told["row"].get("people", True) else []
    return list(told["rows"] if "rows" in told else told.get("entries", [told]))


def test_the_first_tenant_sees_what_the_second_is_asked_about(
    platform_told: Platform, questions: list[tuple[Operation, str]]
) -> None:
    ask = knocking(platform_told, "main")
    blank = [path for asked, path in questions if not rows(ask(asked, path, params=OWN_QUESTION.get(asked.path)))]
    assert set(blank) <= EMPTY_TO_ALL


def test_a_stranger_sees_nothing_at_any_door(platform_told: Platform, questions: list[tuple[Operation, str]]) -> None:
    ask = knocking(platform_told, STRANGER)
    assert len(questions) >= 25
    for asked, path in questions:
        answer = ask(asked, path, params=OWN_QUESTION.get(asked.path))
        assert rows(answer) == [], f"{asked.service} {path}: {answer.text[:300]}"
        assert REFERENCE not in answer.text or answer.status_code == httpx.codes.NOT_FOUND


def test_a_stranger_finds_no_history_by_reference_or_id(platform_told: Platform, case: str) -> None:
    with open_doors(platform_told, STRANGER) as doors:
        for name in (REFERENCE, case):
            visitor = doors.as_("auditor", "auditor-1")
            answer = visitor.send("GET", "audit", f"/v1/cases/{name}/history")
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:baton:problem:not-found")


def test_a_stranger_can_do_nothing_to_a_case_of_the_first(platform_told: Platform, stage: Stage, case: str) -> None:
    before = stage.auditor().get("audit", f"/v1/cases/{case}/history")["entries"]
    with open_doors(platform_told, STRANGER) as doors:
        for path, body in (
            ("form", {"form": {}}),
            ("handoffs/4/acceptance", {}),
            ("customer-told", {}),
            ("call-back", {"satisfied": True, "note": "x"}),
        ):
            answer = doors.as_("frontend", "prod-1").send("POST", "tasks", f"/v1/cases/{case}/{path}", json=body)
            assert answer.status_code in (403, 404, 409), answer.text
    wait_rest(stage.doors)
    assert stage.auditor().get("audit", f"/v1/cases/{case}/history")["entries"] == before


def test_operators_of_one_tenant_neither_see_what_is_parked_nor_move_the_clock(platform_told: Platform) -> None:
    ask = knocking(platform_told, STRANGER)
    of_the_platform = [asked for asked in operations(platform_told) if asked.of_the_platform]
    assert {asked.service for asked in of_the_platform} == set(platform_told.services)
    for asked in of_the_platform:
        path = asked.path.format(parked_id=entity_id(STRANGER, "any", "thing"))
        body = {"run_on": True} if asked.path == "/v1/clock" else {}
        answer = ask(asked, path, **({} if asked.method == "GET" else {"json": body}))
        assert (answer.status_code, answer.json()["rule"]) == (403, "platform-operators-only"), asked


async def test_the_database_itself_shows_a_tenant_only_its_own_rows(platform_told: Platform, case: str) -> None:
    """Row-level security, for the role that queries run as; without a tenant it fails closed."""
    seen = 0
    for name in platform_told.services:
        connection = await asyncpg.connect(platform_told.database(name).reader_url)
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'views' and tablename <> all($1) order by 1",
            OF_NO_TENANT,
        )
        with pytest.raises(asyncpg.UndefinedObjectError):
            await connection.fetchval(f'select count(*) from views."{tables[0][0]}"')
        for (table,) in tables:
            counts = {}
            for tenant in ("main", STRANGER):
                await connection.execute("select set_config('baton.tenant', $1, false)", tenant)
                counts[tenant] = await connection.fetchval(f'select count(*) from views."{table}"')
            assert counts[STRANGER] == 0, f"{name}.{table}"
            seen += counts["main"]
        await connection.close()
    assert seen > 100


OF_NO_TENANT = ["checkpoint", "reaction", "unreadable"]
"""How far the machinery is; queries do not see it."""
COMPLAINT = {
    "specversion": "1.0",
    "id": "complaint-1",
    "source": "web-shop",
    "type": "baton.request.received.v1",
    "data": {"reference": REFERENCE, "template": "complaint", "category": "quality", "title": "scratches"},
}
"""By source, id and reference the same as the first tenant's, and yet another."""


@dataclass(frozen=True)
class Neighbours:
    doors: Doors
    taken: Any
    untouched: Any
    """What the first tenant's history told before they came."""


@pytest.fixture(scope="module")
def neighbours(platform_told: Platform, stage: Stage, case: str) -> Iterator[Neighbours]:
    """A tenant that works by the same rules, for itself, and gets a complaint of the same name."""
    with open_doors(platform_told, OTHER) as doors:
        untouched = stage.auditor().get("audit", f"/v1/cases/{REFERENCE}/history")["entries"]
        ops = doors.as_("ops", "ops-9")
        for calls in (rulebook.organisation(), rulebook.templates()):
            for call in calls:
                ops.post(call.service, call.path, call.body)
            wait_rest(stage.doors)
        shop = doors.as_("integration", "web-shop")
        taken = shop.post("gateway", "/events", COMPLAINT, content_type="application/cloudevents+json")
        wait_rest(stage.doors)
        yield Neighbours(doors, taken, untouched)


def test_the_same_reference_in_another_tenant_is_another_case(neighbours: Neighbours, stage: Stage, case: str) -> None:
    taken = neighbours.taken
    assert taken["result"] == "accepted"
    assert taken["subject"] == str(case_id(OTHER, "web-shop", REFERENCE)) != case
    (theirs,) = neighbours.doors.as_("frontend", "svc-1").rows("tasks", "/v1/cases", reference=REFERENCE)
    (ours,) = stage.person("svc-1").rows("tasks", "/v1/cases", reference=REFERENCE)
    assert (theirs["case_id"], theirs["title"], theirs["state"]) == (taken["subject"], "scratches", "opened")
    assert (ours["case_id"], ours["title"], ours["state"]) == (case, "veneer blisters", "closed")


def test_each_tenant_has_a_history_of_its_own(neighbours: Neighbours, stage: Stage, case: str) -> None:
    history = neighbours.doors.as_("auditor", "auditor-9").get("audit", f"/v1/cases/{REFERENCE}/history")
    assert {entry["what"]["type"] for entry in history["entries"]} >= {"gateway.RequestReceived", "tasks.CaseOpened"}
    assert (history["case_id"], history["legs"]) == (neighbours.taken["subject"], [])
    assert stage.auditor().get("audit", f"/v1/cases/{REFERENCE}/history")["entries"] == neighbours.untouched


def test_letters_stay_within_their_tenant(neighbours: Neighbours, stage: Stage, case: str) -> None:
    theirs = {row["case_id"] for row in neighbours.doors.as_("frontend", "svc-1").rows("notify", "/v1/inbox")}
    ours = {row["case_id"] for row in stage.person("svc-1").rows("notify", "/v1/inbox")}
    assert theirs == {neighbours.taken["subject"]}
    assert case in ours
    assert not theirs & ours
