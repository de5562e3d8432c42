"""audit's door on a real journal: story 1 by id and by reference, as of any moment, for those who may read it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec
import pytest

from infra.local.databases import Database
from libs.events.appends import Heard
from libs.events.contracts import directory, gateway, tasks
from libs.events.contracts.directory import PersonJoined
from libs.events.contracts.gateway import RequestReceived
from libs.events.contracts.tasks import CaseOpened, CaseRouted, HandoffAccepted, HandoffOffered, HandoffRejected
from libs.events.entries import Fact, derived_id, entity_id, stream_id
from libs.events.heads import Watermark
from services.audit.api import router
from services.audit.domain.history import Asked, tell
from services.audit.main import SERVICE
from services.audit.views.ledger import row_of
from tests.integration.doors import Standing, doors
from tests.integration.said import heard as record

pytestmark = pytest.mark.platform
CASE = entity_id("main", "case", "crm/STORY1")
PEOPLE_KEY = entity_id("main", "organisation", "all")
CONTRACTS = (directory.CONTRACT, gateway.CONTRACT, tasks.CONTRACT)
FORM = {"product": "cabinet"}


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{clock}:00+08:00")


def _opened(source: str) -> CaseOpened:
    case_id = entity_id("main", "case", f"{source}/STORY1")
    return CaseOpened(case_id, source, "STORY1", "complaint", 1, "quality", "normal", "blisters", FORM, "service")


STORY: tuple[tuple[str, str, Fact], ...] = (
    ("09:00", "crm-1", RequestReceived("crm", "STORY1", "complaint", "quality", "blisters", FORM)),
    ("09:00", "tasks/open-case", _opened("crm")),
    ("09:40", "svc-1", CaseRouted("production", "quality")),
    ("09:40", "svc-1", HandoffOffered(1, "service", "production")),
    ("10:10", "prod-1", HandoffRejected(1, "production", "raw material", 1)),
    ("10:10", "prod-1", HandoffOffered(2, "service", "purchasing")),
    ("10:30", "purch-1", HandoffAccepted(2, "purchasing")),
)


def heard(number: int, fact: Fact, clock: str, actor: str, subject: UUID = CASE, tenant: str = "main") -> Heard:
    """A record as a listener brings it, recorded microseconds after it occurred, as under a held clock."""
    contract = next(c for c in CONTRACTS if type(fact) in {kind.fact for kind in c.kinds.values()})
    return record(
        *contract.encode(fact),
        at(clock) + timedelta(microseconds=number),
        id=derived_id(UUID(int=number), "0"),
        stream=stream_id(tenant, contract.owner, "case", subject),
        version=number,
        tenant=tenant,
        subject=subject,
        actor=actor,
        command_id=UUID(int=number),
        occurred_at=at(clock),
    )


@pytest.fixture
async def audit(database: Database, tmp_path: Path) -> AsyncIterator[Standing]:
    async with doors(database, SERVICE, router, tmp_path / "keys") as standing:
        joined = PersonJoined("prod-1", "李工", "production", "engineer")
        records = [heard(100, joined, "08:00", "ops-1", subject=PEOPLE_KEY)]
        records += [heard(number, fact, clock, actor) for number, (clock, actor, fact) in enumerate(STORY, start=1)]
        await standing.parts.journal.hear(records)
        await _everybody_announced(standing, "12:00")
        yield standing


async def _everybody_announced(standing: Standing, clock: str, parked: int = 0) -> None:
    """What the listener says once every owner has announced that nothing of it up to then is still to come."""
    position = await standing.parts.journal.position()
    for owner in ("directory", "gateway", "tasks"):
        standing.marks[owner] = Watermark(owner, at(clock), position, time.monotonic(), parked)


async def _history(audit: Standing, case: str = "STORY1", **query: str) -> httpx.Response:
    return await audit.client.get(
        f"/v1/cases/{quote(case, safe='')}/history", params=query, headers=audit.bearer("auditor")
    )


async def test_a_case_is_told_by_its_id_and_by_its_reference(audit: Standing) -> None:
    by_reference, by_id = (await _history(audit)).json(), (await _history(audit, str(CASE))).json()
    told = by_reference
    assert {**by_id, "legs": None, "legs_minutes": None} == {**told, "legs": None, "legs_minutes": None}
    assert (told["case_id"], told["source"], told["reference"]) == (str(CASE), "crm", "STORY1")
    assert (told["holder"], told["state"]) == ("purchasing", "open")
    assert told["legs_minutes"][:2] == [30, 20]
    rejected = told["entries"][4]
    assert rejected["who"] == {"actor": "prod-1", "name": "李工"}
    assert rejected["why"]["reasons"] == {"reason": "raw material"}
    assert rejected["what"]["data"]["bounces"] == 1


async def test_before_anything_was_on_record_nothing_is_told_of_the_case(audit: Standing) -> None:
    told = (await _history(audit, as_of=at("08:59").isoformat())).json()
    assert (told["entries"], told["source"], told["reference"], told["title"]) == ([], None, None, None)


async def test_a_reference_that_looks_like_an_id_is_found(audit: Standing) -> None:
    reference, subject = str(UUID(int=77)), UUID(int=78)
    request = RequestReceived("crm", reference, "complaint", "quality", "stains", FORM)
    await audit.parts.journal.hear([heard(60, request, "11:00", "crm-1", subject=subject)])
    await _everybody_announced(audit, "12:00")
    assert (await _history(audit, reference)).json()["case_id"] == str(subject)


@pytest.mark.parametrize("reference", ["RE/2024/0012", "RE/2024/history", "12?", "#12 %2F"])
async def test_a_reference_is_found_whatever_characters_it_has(audit: Standing, reference: str) -> None:
    subject = UUID(int=78)
    request = RequestReceived("erp", reference, "complaint", "quality", "stains", FORM)
    await audit.parts.journal.hear([heard(60, request, "11:00", "crm-1", subject=subject)])
    await _everybody_announced(audit, "12:00")
    assert (await _history(audit, reference)).json()["case_id"] == str(subject)
    unknown = (await _history(audit, f"{reference}/x")).json()
    assert unknown["rule"] == "unknown-case"


async def test_each_handoff_is_told_a_second_after_and_not_a_second_before(audit: Standing) -> None:
    for clock, type_, holder in (
        ("10:10", "tasks.HandoffRejected", "service"),
        ("10:30", "tasks.HandoffAccepted", "purchasing"),
    ):
        before = (await _history(audit, as_of=(at(clock) - timedelta(seconds=1)).isoformat())).json()
        after = (await _history(audit, as_of=(at(clock) + timedelta(seconds=1)).isoformat())).json()
        assert type_ not in [entry["what"]["type"] for entry in before["entries"]]
        assert type_ in [entry["what"]["type"] for entry in after["entries"]]
        assert (before["holder"], after["holder"]) == ("service", holder)


async def test_as_of_is_final_once_every_owner_has_announced_more_and_nothing_is_parked(audit: Standing) -> None:
    assert (await _history(audit, as_of=at("11:00").isoformat())).json()["final"] is True
    assert (await _history(audit, as_of=at("13:00").isoformat())).json()["final"] is False
    assert (await _history(audit)).json()["final"] is False
    await _everybody_announced(audit, "12:00", parked=1)
    assert (await _history(audit, as_of=at("11:00").isoformat())).json()["final"] is False


async def test_a_replay_of_the_journal_tells_what_the_door_tells(audit: Standing) -> None:
    told = (await _history(audit, as_of=at("11:00").isoformat())).json()
    entries = await audit.parts.journal.read(0, 100)
    lines = [row_of(entry) for entry in entries if entry.subject == CASE]
    told_again = tell(lines, Asked(at("12:00"), at("11:00"), None, {"prod-1": "李工"}))
    again: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told_again))
    assert {name: told[name] for name in again} == again
    assert told["legs_minutes"] == [30, 20, 30]


async def test_who_acted_is_called_as_they_were_called_then(audit: Standing) -> None:
    then = (await audit.parts.journal.read(0, 100))[-1].noted_at.isoformat()
    married = PersonJoined("prod-1", "王工", "production", "engineer")
    await audit.parts.journal.hear([heard(101, married, "11:00", "ops-1", subject=PEOPLE_KEY)])
    await _everybody_announced(audit, "12:00")
    long_ago = at("11:00").isoformat()  # nobody was registered here by then: facts of an import
    for query, name in (
        ({"as_of": then}, "李工"),
        ({"occurred_until": then}, "李工"),
        ({}, "王工"),
        ({"as_of": long_ago}, "王工"),
    ):
        told = (await _history(audit, **query)).json()
        assert {entry["who"]["name"] for entry in told["entries"] if entry["who"]["actor"] == "prod-1"} == {name}, query


async def test_entries_come_in_pages_and_the_rest_is_about_the_whole_case(audit: Standing) -> None:
    seen: list[str] = []
    query = {"limit": "3"}
    while True:
        told = (await _history(audit, **query)).json()
        assert told["holder"] == "purchasing"
        seen += [entry["id"] for entry in told["entries"]]
        if told["next_cursor"] is None:
            break
        query["cursor"] = told["next_cursor"]
    assert seen == [entry["id"] for entry in (await _history(audit)).json()["entries"]]
    assert len(seen) == len(STORY)
    assert (await _history(audit, cursor=str(UUID(int=1)))).status_code == 422


async def test_a_reference_of_two_sources_asks_for_the_source(audit: Standing) -> None:
    other = _opened("shop")
    await audit.parts.journal.hear([heard(50, other, "11:00", "tasks/open-case", subject=other.case_id)])
    await _everybody_announced(audit, "12:00")
    ambiguous = await _history(audit)
    assert (ambiguous.status_code, ambiguous.json()["rule"]) == (409, "reference-ambiguous")
    assert "say in `source` whose is meant" in ambiguous.json()["detail"], "an option of the command line, too"
    assert (await _history(audit, source="shop")).json()["case_id"] == str(other.case_id)


async def test_what_is_unknown_unreadable_or_not_allowed_is_a_clear_problem(audit: Standing) -> None:
    path = "/v1/cases/STORY1/history"
    assert (await audit.client.get(path)).status_code == 401
    assert (await audit.client.get(path, headers=audit.bearer("frontend"))).status_code == 403
    assert (await audit.client.get(path, headers=audit.bearer("ops"))).status_code == 200
    elsewhere = audit.bearer("auditor", tenant="north")
    for answer in (
        await _history(audit, "NOBODY"),
        await _history(audit, str(UUID(int=1))),
        await audit.client.get(path, headers=elsewhere),
        await audit.client.get(f"/v1/cases/{CASE}/history", headers=elsewhere),
    ):
        assert (answer.status_code, answer.json()["rule"]) == (404, "unknown-case")
    unknown = (await _history(audit, source="other")).json()
    assert unknown["detail"] == "nobody told of a case 'STORY1' of source 'other'; look it up in /v1/cases"
    assert unknown["detail_zh"] == "没有来源 'other' 的工单 'STORY1' 的记录，请在 /v1/cases 中查找"
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    (fault,) = (await _history(audit, as_of=ahead)).json()["faults"]
    assert (fault["field"], fault["value"]) == ("query.as_of", ahead)
    for query in ({"as_of": "yesterday"}, {"as_of": "2026-03-02T11:00:00"}, {"limit": "0"}, {"cursor": "x"}):
        assert (await _history(audit, **query)).status_code == 422


async def test_cases_are_searched_by_reference_state_and_holder(audit: Standing) -> None:
    await _history(audit)  # waits until the views have everything
    for query, found in (
        ({"reference": "STORY1"}, 1),
        ({"holder": "purchasing", "state": "open"}, 1),
        ({"state": "closed"}, 0),
    ):
        answer = await audit.client.get("/v1/cases", params=query, headers=audit.bearer("ops"))
        assert len(answer.json()["rows"]) == found
    described = audit.app.openapi()["paths"]["/v1/cases/{case}/history"]["get"]["responses"]
    assert "legs_minutes" in str(described["200"])
    assert {"401", "403", "404", "422", "503"} <= described.keys()


async def test_whoever_pages_sees_every_case_also_one_of_which_something_earlier_is_heard_meanwhile(
    audit: Standing,
) -> None:
    later = [_opened(source) for source in ("shop", "desk")]
    for number, fact in enumerate(later, start=50):
        await audit.parts.journal.hear([heard(number, fact, "11:00", "tasks/open-case", subject=fact.case_id)])
    first = await _cases(audit)
    assert [row["since"] for row in first["rows"]] == ["2026-03-02T01:00:00Z"]
    request = RequestReceived("desk", "STORY1", "complaint", "quality", "blisters", FORM)
    await audit.parts.journal.hear([heard(60, request, "08:30", "desk-1", subject=later[-1].case_id)])
    second = await _cases(audit, cursor=first["next_cursor"])
    third = await _cases(audit, cursor=second["next_cursor"])
    assert [page["rows"][0]["source"] for page in (first, second, third)] == ["crm", "shop", "desk"]
    assert (third["rows"][0]["since"], third["next_cursor"]) == ("2026-03-02T00:30:00Z", None)


async def _cases(audit: Standing, **query: str) -> Any:
    """A page of one, once the view has all that was heard."""
    asked = {"limit": "1", "after": str(await audit.parts.journal.position()), **query}
    answer = await audit.client.get("/v1/cases", params=asked, headers=audit.bearer("auditor"))
    assert answer.status_code == 200, answer.text
    return answer.json()
