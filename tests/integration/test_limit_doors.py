"""The doors of sla, goals and notify on real journals: rules come in, what follows from others' facts is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from demo import rulebook
from infra.local.databases import Database
from libs.events.contracts import sla as sla_says
from libs.events.contracts import tasks as tasks_says
from libs.events.contracts.sla import Leg, SlaBreached
from libs.events.contracts.tasks import CaseOpened, HandoffOffered, StepCompleted, StepStarted, TaskAssigned
from libs.service.auth import Role
from services.goals.api import router as goals_router
from services.goals.main import SERVICE as GOALS
from services.notify.api import router as notify_router
from services.notify.main import SERVICE as NOTIFY
from services.sla.api import router as sla_router
from services.sla.commands import clock_id
from services.sla.main import SERVICE as SLA
from tests.integration.doors import Standing, doors
from tests.integration.errands_service import now, until
from tests.integration.said import organisation, said

pytestmark = pytest.mark.platform
CASE = UUID("5f9f4d1c-7d0e-5b63-9d0c-000000000001")
OPENED = CaseOpened(CASE, "crm", "STORY1", "complaint", 1, "quality", "normal", "veneer blisters", {}, "service")


async def publish(standing: Standing, calls: Iterable[rulebook.Call]) -> None:
    for call in calls:
        answer = await standing.client.post(call.path, json=call.body, headers=standing.bearer("ops", person="ops-1"))
        assert answer.status_code == 200, answer.text


async def get(
    standing: Standing, path: str, role: Role = "ops", person: str = "ops-1", **params: Any
) -> httpx.Response:
    return await standing.client.get(path, params=params, headers=standing.bearer(role, person=person))


async def rows(standing: Standing, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await get(standing, path, **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


async def shown(standing: Standing, path: str, count: int, **params: Any) -> list[dict[str, Any]]:
    """The rows, once there are as many."""

    async def are_there() -> bool:
        return len(await rows(standing, path, **params)) == count

    await until(are_there, f"{path} shows {count} rows for {params}")
    return await rows(standing, path, **params)


@pytest.fixture
async def sla(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SLA, sla_router, tmp_path / "keys") as standing:
        await publish(standing, rulebook.limits())
        yield standing


async def test_a_published_limit_starts_a_clock_and_the_end_of_the_step_stops_it(sla: Standing) -> None:
    start = now() - timedelta(hours=2)
    step = StepStarted("answer", "complaint", "quality", "normal")
    await sla.parts.journal.hear(said(tasks_says.CONTRACT, CASE, [OPENED, step], start))
    (clock,) = await shown(sla, "/v1/clocks", 1, case_id=CASE)
    assert (clock["clock"], clock["policy"], clock["policy_version"]) == (
        str(clock_id(CASE, "answer")),
        "complaint/answer",
        1,
    )
    end = start + timedelta(minutes=119)
    await sla.parts.journal.hear(said(tasks_says.CONTRACT, CASE, [StepCompleted("answer")], end, version=3))
    (clock,) = await shown(sla, "/v1/clocks", 1, state="met")
    assert sla.parts.parked.found == []


async def test_rules_are_ops_alone_and_a_wrong_one_names_its_cure(sla: Standing) -> None:
    body = {"policy": "p", "template": "t", "step": "s", "limit_min": 5, "ladder": "nowhere"}
    turned_away = await sla.client.post("/v1/policies", json=body, headers=sla.bearer("frontend", person="prod-1"))
    assert turned_away.status_code == 403
    ops = sla.bearer("ops", person="ops-1")
    unknown = await sla.client.post("/v1/policies", json=body, headers=ops)
    assert (unknown.status_code, unknown.json()["rule"]) == (409, "unknown-ladder")
    assert unknown.json()["detail_zh"]
    wrong = await sla.client.post("/v1/policies", json={**body, "limit_min": 0}, headers=ops)
    assert wrong.status_code == 422
    assert (await get(sla, "/v1/clocks", state="tired")).status_code == 422
    assert {row["policy"] for row in await rows(sla, "/v1/policies", template="complaint")} == {
        "complaint/form",
        "complaint/answer",
        "complaint/solution",
    }


async def test_a_kpi_counts_a_breach_once_and_shows_the_event_behind_it(database: Database, tmp_path: Path) -> None:
    async with doors(database, GOALS, goals_router, tmp_path / "keys") as goals:
        await publish(goals, rulebook.goals())
        breach = SlaBreached(clock_id(CASE, "answer"), "answer", "complaint/answer", now(), (), template="complaint")
        (heard,) = said(sla_says.CONTRACT, CASE, [breach], now())
        await goals.parts.journal.hear([heard])
        await goals.parts.journal.hear([heard])
        (sample,) = await shown(goals, "/v1/kpis/complaint-response/samples", 1)
        assert (sample["evidence"], sample["case_id"], sample["hit"]) == (str(heard.id), str(CASE), False)
        kpi = (await get(goals, "/v1/kpis/complaint-response", role="frontend")).json()["row"]
        assert (kpi["hits"], kpi["misses"], kpi["met"]) == (0, 1, False)
        assert (await get(goals, "/v1/kpis/mood")).status_code == 404
        assert goals.parts.parked.found == []


@pytest.fixture
async def notify(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, NOTIFY, notify_router, tmp_path / "keys") as standing:
        await publish(standing, rulebook.texts())
        await standing.parts.journal.hear(organisation(now()))
        facts = [
            OPENED,
            TaskAssigned("answer", ("dept:production",), "person:prod-dir", (), ("dept:service",)),
            HandoffOffered(1, "service", "production", "please"),
        ]
        await standing.parts.journal.hear(said(tasks_says.CONTRACT, CASE, facts, now()))
        await shown(standing, "/v1/messages", 4, case_id=CASE)
        yield standing


async def test_everybody_reads_their_own_inbox_in_both_languages(notify: Standing) -> None:
    inbox = (await get(notify, "/v1/inbox", role="frontend", person="prod-1")).json()["rows"]
    offer = next(letter for letter in inbox if letter["template"] == "handoff-offered")
    assert offer["zh"].startswith("客服部将“veneer blisters”（STORY1）移交生产部（第 1 次移交）")
    assert offer["en"].startswith("Customer service hands “veneer blisters” (STORY1) to Production")
    assert offer["because"] == "contact of production: is offered handoff 1"
    assert len(inbox) == 2


async def test_somebody_elses_inbox_is_closed_and_so_is_the_log_of_messages(notify: Standing) -> None:
    headers = notify.bearer("frontend", person="pd-1")
    closed = await notify.client.get("/v1/inbox", params={"person": "prod-1"}, headers=headers)
    assert (closed.status_code, closed.json()["rule"]) == (403, "own-inbox-only")
    assert (await get(notify, "/v1/messages", role="frontend")).status_code == 403
    assert (await get(notify, "/v1/messages", role="auditor", case_id=CASE)).status_code == 200
    assert (await get(notify, "/v1/inbox", role="frontend", zone="Mars/Olympus")).status_code == 422


async def test_a_message_is_acknowledged_by_its_reader_once(notify: Standing) -> None:
    letter = (await rows(notify, "/v1/messages", to="prod-dir"))[0]["message"]

    async def acknowledge(person: str, message: str) -> httpx.Response:
        headers = notify.bearer("frontend", person=person)
        return await notify.client.post(f"/v1/inbox/{message}/acknowledgement", headers=headers)

    assert (await acknowledge("prod-1", letter)).json()["rule"] == "not-your-message"
    assert (await acknowledge("prod-dir", letter)).json()["facts"] == ["notify.MessageAcknowledged"]
    assert (await acknowledge("prod-dir", letter)).json()["facts"] == []
    assert (await acknowledge("prod-dir", str(UUID(int=5)))).status_code == 404


async def test_a_breach_shows_its_legs_in_the_readers_time(notify: Standing) -> None:
    due = now().replace(hour=3, minute=40, second=0, microsecond=0)
    legs = (Leg("offered", "production", due - timedelta(minutes=30), due),)
    breach = SlaBreached(clock_id(CASE, "answer"), "answer", "complaint/answer", due, legs, template="complaint")
    await notify.parts.journal.hear(said(sla_says.CONTRACT, CASE, [breach], now()))
    (letter,) = await shown(notify, "/v1/messages", 1, template="sla-breached", zone="Asia/Shanghai")
    assert letter["to"] == "prod-dir"
    assert f"应于 {due:%Y-%m-%d} 11:40 完成，现已超时。各环节用时：生产部 30 分钟" in letter["zh"]
