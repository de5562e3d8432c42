"""directory's doors on a real journal: operations writes the organisation, everybody reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from demo import rulebook
from infra.local.databases import Database
from libs.organisation.lines import LINE_PEOPLE_MAX
from services.directory.api import router
from services.directory.main import SERVICE
from tests.integration.doors import Standing, doors

pytestmark = pytest.mark.platform


@pytest.fixture
async def directory(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as standing:
        for call in rulebook.organisation():
            answer = await standing.client.post(
                call.path, json=call.body, headers=standing.bearer("ops", person="ops-1")
            )
            assert answer.status_code == 200, answer.text
        yield standing


async def get(directory: Standing, path: str, **params: Any) -> Any:
    position = await directory.parts.journal.position()
    headers = directory.bearer("frontend", person="svc-1")
    answer = await directory.client.get(path, params={"after": position, **params}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_organisation_is_read_back_as_it_was_written(directory: Standing) -> None:
    calls = list(rulebook.organisation())
    written = {path: [call.body for call in calls if call.path == path] for path in {call.path for call in calls}}
    for path, code in (("/v1/departments", "department"), ("/v1/people", "person"), ("/v1/contacts", "department")):
        rows = (await get(directory, path))["rows"]
        assert sorted(row[code] for row in rows) == sorted(body[code] for body in written[path])
    person = (await get(directory, "/v1/people/prod-1"))["row"]
    assert (person["department"], person["reports_to"]) == ("production", "prod-dir")
    assert (await get(directory, "/v1/decision-board"))["row"]["people"] == ["ceo", "cfo"]
    assert [row["person"] for row in (await get(directory, "/v1/people", department="production"))["rows"]] == [
        "prod-1",
        "prod-dir",
    ]


async def test_the_common_superior_is_computed_from_reporting_lines(directory: Standing) -> None:
    answer = await get(directory, "/v1/common-superior", people=["prod-1", "purch-1", "pd-1"])
    assert answer == {"people": ["prod-1", "purch-1", "pd-1"], "superior": "vp-ops"}
    ops = directory.bearer("ops", person="ops-1")
    body = {"reports_to": "ceo"}
    moved = await directory.client.post("/v1/people/prod-dir/reporting-line", json=body, headers=ops)
    assert moved.status_code == 200, moved.text
    assert (await get(directory, "/v1/common-superior", people=["prod-1", "purch-1"]))["superior"] == "ceo"


async def test_who_may_not_write_and_what_cannot_be_is_refused(directory: Standing) -> None:
    frontend, ops = directory.bearer("frontend", person="svc-1"), directory.bearer("ops", person="ops-1")
    body = {"department": "legal", "name_en": "Legal", "name_zh": "法务部"}
    assert (await directory.client.post("/v1/departments", json=body, headers=frontend)).status_code == 403
    cycle = await directory.client.post("/v1/people/ceo/reporting-line", json={"reports_to": "prod-1"}, headers=ops)
    assert (cycle.status_code, cycle.json()["rule"]) == (409, "reporting-cycle")
    nobody = await directory.client.get("/v1/people/nobody", headers=frontend)
    assert (nobody.status_code, nobody.json()["rule"]) == (404, "unknown-person")
    long = {"department": "x" * 65, "name_en": "X", "name_zh": "X"}
    assert (await directory.client.post("/v1/departments", json=long, headers=ops)).status_code == 422


async def test_a_line_that_grew_too_long_from_above_is_not_compared_and_the_description_says_so(
    directory: Standing,
) -> None:
    ops = directory.bearer("ops", person="ops-1")
    for line in ("low", "high"):
        for number in range(LINE_PEOPLE_MAX // 2 + 1):
            above = f"{line}-{number - 1}" if number else None
            body = {"person": f"{line}-{number}", "name": "N", "department": "production", "role": "r"}
            joined = await directory.client.post("/v1/people", json={**body, "reports_to": above}, headers=ops)
            assert joined.status_code == 200, joined.text
    lowest, highest = f"low-{LINE_PEOPLE_MAX // 2}", f"high-{LINE_PEOPLE_MAX // 2}"
    moved = await directory.client.post("/v1/people/low-0/reporting-line", json={"reports_to": highest}, headers=ops)
    asked = {"people": [lowest], "after": moved.json()["position"]}
    answer = await directory.client.get("/v1/common-superior", params=asked, headers=ops)
    assert (answer.status_code, answer.json()["rule"]) == (409, "reporting-line-too-long")
    assert "409" in directory.app.openapi()["paths"]["/v1/common-superior"]["get"]["responses"]
