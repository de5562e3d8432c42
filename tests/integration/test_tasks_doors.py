"""tasks' doors on a real journal: the complaint from opening to call back by named people, and who is turned away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from demo import rulebook
from infra.local.databases import Database
from libs.events.contracts import gateway
from libs.events.contracts.gateway import RequestReceived
from libs.events.contracts.tasks import case_id
from libs.events.errors import NotFound
from libs.service.auth import Role
from services.tasks.api import router
from services.tasks.main import SERVICE
from tests.integration.doors import Standing, doors
from tests.integration.errands_service import now, until
from tests.integration.said import heard, organisation

pytestmark = pytest.mark.platform
CASE = case_id("main", "desk", "STORY1")
NEW_CASE = {
    "source": "desk",
    "reference": "STORY1",
    "template": "complaint",
    "category": "quality",
    "title": "veneer blisters",
}
FORM = {"customer": "Hotel Lotus", "order": "A-17", "product": "cabinet", "defect": "blisters"}


@pytest.fixture
async def tasks(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as standing:
        await standing.parts.journal.hear(organisation(now()))
        for call in rulebook.templates():
            body = {**call.body, "call_back_after_h": 0}  # the doors' clock runs in real time here
            answer = await post(standing, call.path, body, person="ops-1", role="ops")
            assert answer.status_code == 200, answer.text
        yield standing


async def post(
    tasks: Standing,
    path: str,
    body: Any = None,
    *,
    person: str,
    role: Role = "frontend",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """After every act the views have what was accepted, so that the next one sees it."""
    sent = tasks.bearer(role, person=person) | dict(headers or {})
    answer = await tasks.client.post(path, json={} if body is None else body, headers=sent)
    await tasks.parts.projector.wait(await tasks.parts.journal.position(), 5.0)
    return answer


async def act(tasks: Standing, person: str, path: str, body: Any = None) -> httpx.Response:
    return await post(tasks, f"/v1/cases/{CASE}/{path}", body, person=person)


async def get(tasks: Standing, path: str, **params: Any) -> Any:
    answer = await tasks.client.get(path, params=params, headers=tasks.bearer("auditor", person="auditor-1"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def offered(tasks: Standing) -> None:
    assert (await post(tasks, "/v1/cases", NEW_CASE, person="svc-1")).json()["case_id"] == str(CASE)
    assert (await act(tasks, "svc-1", "form", {"form": FORM})).status_code == 200


async def disputed(tasks: Standing) -> None:
    await offered(tasks)
    for number, (person, following) in enumerate(
        (("prod-1", "purchasing"), ("purch-1", "product"), ("pd-1", None)), start=1
    ):
        body = {"reason": "not ours", "next_department": following}
        answer = await act(tasks, person, f"handoffs/{number}/rejection", body)
        assert answer.status_code == 200, answer.text


def refused(answer: httpx.Response, status: int, rule: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    if rule is not None:
        assert problem["rule"] == rule
        assert problem["detail_zh"]
    return problem


async def test_named_people_bring_a_complaint_from_opening_to_call_back(tasks: Standing) -> None:
    await disputed(tasks)
    board = (await get(tasks, "/v1/cases", state="unruled"))["rows"]
    assert [(row["reference"], row["holder"], row["bounces"], row["red"]) for row in board] == [
        ("STORY1", "service", 3, False)
    ]
    ruling = {"responsible": "production", "consulted": ["purchasing"], "reason": "glued in production"}
    for person, path, body in (
        ("vp-ops", "rulings", ruling),
        ("prod-1", "handoffs/4/acceptance", None),
        ("purch-1", "consultations/purchasing/answer", {"answer": "within the specification"}),
        ("prod-1", "solution", {"solution": "new fronts"}),
        ("svc-1", "customer-told", None),
        ("svc-1", "call-back", {"satisfied": True}),
    ):
        answer = await act(tasks, person, path, body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["facts"]
    row = (await get(tasks, f"/v1/cases/{CASE}"))["row"]
    assert (row["holder"], row["state"], row["responsible"]) == ("production", "closed", "production")
    handoffs = (await get(tasks, f"/v1/cases/{CASE}/handoffs"))["rows"]
    assert [(h["receiver"], h["state"], h["ended_by"]) for h in handoffs] == [
        ("production", "rejected", "prod-1"),
        ("purchasing", "rejected", "purch-1"),
        ("product", "rejected", "pd-1"),
        ("production", "accepted", "prod-1"),
    ]
    seats = {row["step"]: row for row in (await get(tasks, f"/v1/cases/{CASE}/assignments"))["rows"]}
    assert seats["solution"]["accountable"] == "person:prod-dir"
    assert seats["solution"]["consulted"] == ["dept:purchasing"]


@pytest.mark.parametrize("of", ["", "/handoffs", "/assignments", "/consultations"])
async def test_nothing_is_shown_of_a_case_that_never_was(tasks: Standing, of: str) -> None:
    answer = await tasks.client.get(f"/v1/cases/{CASE}{of}", headers=tasks.bearer("auditor", person="auditor-1"))
    refused(answer, 404, "unknown-case")


async def test_each_department_sees_what_waits_for_it(tasks: Standing) -> None:
    await offered(tasks)
    (handoff,) = (await get(tasks, "/v1/handoffs", receiver="production", state="offered"))["rows"]
    assert (handoff["case_id"], handoff["number"]) == (str(CASE), 1)
    assert (await get(tasks, "/v1/handoffs", receiver="purchasing"))["rows"] == []
    assert (await get(tasks, "/v1/consultations", department="purchasing", open=True))["rows"] == []


async def test_the_board_of_a_moment_ago_is_still_there(tasks: Standing) -> None:
    await offered(tasks)
    before = now()
    assert (await act(tasks, "prod-1", "handoffs/1/acceptance")).status_code == 200
    was = (await get(tasks, f"/v1/cases/{CASE}", as_of=before.isoformat()))["row"]
    now_is = (await get(tasks, f"/v1/cases/{CASE}"))["row"]
    assert (was["holder"], was["offered_to"]) == ("service", "production")
    assert (now_is["holder"], now_is["offered_to"]) == ("production", None)


async def test_whoever_may_not_is_told_the_role_or_the_rule(tasks: Standing) -> None:
    await disputed(tasks)
    ruling = {"responsible": "production", "reason": "so"}
    refused(await act(tasks, "prod-1", "rulings", ruling), 403, "not-above-the-conflict")
    as_ops = await post(tasks, f"/v1/cases/{CASE}/rulings", ruling, person="vp-ops", role="ops")
    assert "frontend" in refused(as_ops, 403)["detail"]
    (template, *_) = rulebook.templates()
    assert "ops" in refused(await post(tasks, template.path, template.body, person="svc-1"), 403)["detail"]


async def test_a_state_that_forbids_an_act_is_a_conflict_with_its_rule(tasks: Standing) -> None:
    await post(tasks, "/v1/cases", NEW_CASE, person="svc-1")
    missing = refused(await act(tasks, "svc-1", "form", {"form": {"product": "x"}}), 409, "fields-missing")
    assert "defect" in missing["detail"]
    refused(await act(tasks, "svc-1", "customer-told"), 409, "no-solution")
    refused(await act(tasks, "svc-1", "form", {"form": "none"}), 422)
    refused(await act(tasks, "svc-1", "handoffs/0/acceptance"), 422)


async def test_a_case_that_never_was_is_not_found(tasks: Standing) -> None:
    nowhere = UUID(int=1)
    headers = tasks.bearer("frontend", person="svc-1")
    refused(await tasks.client.get(f"/v1/cases/{nowhere}", headers=headers), 404, "unknown-case")
    told = await tasks.client.post(f"/v1/cases/{nowhere}/customer-told", headers=headers)
    refused(told, 404, "unknown-case")


@pytest.mark.parametrize("of", ["", "/handoffs", "/assignments", "/consultations"])
async def test_who_asks_about_the_time_before_a_case_is_told_that_and_not_that_it_is_none(
    tasks: Standing, of: str
) -> None:
    await offered(tasks)
    headers, before = tasks.bearer("frontend", person="svc-1"), {"as_of": "2020-01-01T00:00:00Z"}
    early = await tasks.client.get(f"/v1/cases/{CASE}{of}", params=before, headers=headers)
    problem = refused(early, 404, "unknown-case")
    assert "was not on record yet at 2020-01-01T00:00:00Z" in problem["detail"]
    assert "2020-01-01T00:00:00Z 时尚无该工单的记录" in problem["detail_zh"]
    nowhere = await tasks.client.get(f"/v1/cases/{UUID(int=1)}{of}", params=before, headers=headers)
    assert "is no case" in refused(nowhere, 404, "unknown-case")["detail"]


async def test_a_screen_that_has_only_read_edits_what_it_has_read_and_reads_again_when_somebody_was_faster(
    tasks: Standing,
) -> None:
    await offered(tasks)
    address, headers = f"/v1/cases/{CASE}", tasks.bearer("auditor", person="auditor-1")
    read = await tasks.client.get(address, headers=headers)
    rejection = {"reason": "not ours", "next_department": "purchasing"}
    assert (await act(tasks, "prod-1", "handoffs/1/rejection", rejection)).status_code == 200
    path, body = f"{address}/handoffs/2/rejection", {"reason": "not ours", "next_department": "product"}
    late = await post(tasks, path, body, person="purch-1", headers={"If-Match": read.headers["etag"]})
    stands = refused(late, 409)["version"]
    again = await tasks.client.get(address, headers=headers)
    assert again.headers["etag"] == f'"{stands}"'
    assert again.json()["row"]["version"] == stands
    sent = await post(tasks, path, body, person="purch-1", headers={"If-Match": again.headers["etag"]})
    assert sent.status_code == 200, sent.text


async def test_the_same_key_is_answered_with_the_first_result_and_an_old_version_is_a_conflict(
    tasks: Standing,
) -> None:
    await offered(tasks)
    path = f"/v1/cases/{CASE}/handoffs/1/rejection"
    body = {"reason": "not ours", "next_department": "product"}
    first = await post(tasks, path, body, person="prod-1", headers={"Idempotency-Key": "k1"})
    again = await post(tasks, path, body, person="prod-1", headers={"Idempotency-Key": "k1"})
    assert (first.json()["known"], again.json()["known"]) == (False, True)
    assert first.json()["position"] == again.json()["position"]
    stale = await post(tasks, f"/v1/cases/{CASE}/handoffs/2/acceptance", person="pd-1", headers={"If-Match": '"1"'})
    refused(stale, 409)


async def test_a_request_that_was_parked_becomes_a_case_when_what_it_lacked_is_there_and_it_is_retried(
    tasks: Standing,
) -> None:
    case = case_id("main", "web", "8")
    request = RequestReceived("web", "8", "return", "any", "send it back", {}, department="production")
    await tasks.parts.journal.hear([heard(*gateway.CONTRACT.encode(request), now(), subject=case)])
    position = await tasks.parts.journal.position()

    async def parked() -> bool:
        return bool(tasks.parts.parked.found)

    await until(parked, "nobody has published the process")
    with pytest.raises(NotFound):  # and it stays so
        await tasks.parts.reactor.retry("open-case", position)
    (template,) = (call for call in rulebook.templates() if call.body["template"] == "citizen-request")
    published = await post(tasks, template.path, {**template.body, "template": "return"}, person="ops-1", role="ops")
    assert published.status_code == 200
    for _ in range(2):  # again, it changes nothing
        await tasks.parts.reactor.retry("open-case", position)
    await tasks.parts.projector.wait(await tasks.parts.journal.position(), 5.0)
    assert [row["holder"] for row in (await get(tasks, "/v1/cases", reference="8"))["rows"]] == ["production"]


async def test_a_request_from_outside_becomes_a_case_by_itself(tasks: Standing) -> None:
    case = case_id("main", "web", "7")
    request = RequestReceived("web", "7", "citizen-request", "Needle Pickup", "needles", {}, department="production")
    then = now() - timedelta(days=1)
    record = heard(*gateway.CONTRACT.encode(request), now(), subject=case, actor="web-shop", occurred_at=then)
    await tasks.parts.journal.hear([record])

    async def opened() -> bool:
        return bool((await get(tasks, "/v1/cases", reference="7"))["rows"])

    await until(opened, "the request becomes a case")
    row = (await get(tasks, f"/v1/cases/{case}"))["row"]
    assert (row["holder"], row["state"]) == ("production", "held")
    assert row["opened_at"].startswith(then.isoformat()[:19])
    assert tasks.parts.parked.found == []
