"""The shipped data files: they are accepted by the doors' own rules, and each changes what happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from demo import rulebook
from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.deciding import Command
from libs.events.entries import entity_id
from libs.events.errors import Refusal
from libs.events.testing import MemoryService, instant
from libs.organisation import common_superior
from services.directory import commands as directory_commands
from services.directory.main import SERVICE as DIRECTORY
from services.tasks.commands import AcceptHandoff, CompleteForm, GiveSolution, PublishTemplate, RejectHandoff, Rule
from services.tasks.main import SERVICE as TASKS
from services.tasks.views.assignments import ASSIGNMENTS
from services.tasks.views.cases import CASES

NOW = instant("2026-11-02T09:00+08:00")
CASE_ID = entity_id("main", "case", "desk/STORY1")
FORM = {"customer": "Hotel Lotus", "order": "A-17", "product": "cabinet", "defect": "veneer blisters"}
BODIES: dict[str, type[Command]] = {
    "/v1/departments": directory_commands.RegisterDepartment,
    "/v1/people": directory_commands.JoinPerson,
    "/v1/contacts": directory_commands.NameContact,
    "/v1/decision-board": directory_commands.NameDecisionBoard,
    "/v1/templates": PublishTemplate,
}


def company(data: Path = rulebook.DATA) -> MemoryService:
    """tasks after everything was published, and after it heard the organisation."""
    directory, tasks = MemoryService(DIRECTORY), MemoryService(TASKS)
    for call in rulebook.organisation(data):
        directory.ask(BODIES[call.path].model_validate(call.body), by="ops-1", at=NOW)
    for entry, fact in zip(directory.entries, directory.facts, strict=True):
        tasks.hear(fact, subject=entry.subject, at=NOW)
    for call in rulebook.templates(data):
        tasks.ask(BODIES[call.path].model_validate(call.body), by="ops-1", at=NOW)
    return tasks


def complained(tasks: MemoryService) -> MemoryService:
    request = RequestReceived("desk", "STORY1", "complaint", "quality", "veneer blisters", {})
    tasks.hear(request, subject=CASE_ID, at=NOW)
    tasks.ask(CompleteForm(case_id=CASE_ID, form=FORM), by="svc-1", at=NOW)
    return tasks


def rejected(tasks: MemoryService, *rejections: tuple[str, str | None]) -> MemoryService:
    for number, (person, following) in enumerate(rejections, start=1):
        reject = RejectHandoff(case_id=CASE_ID, number=number, reason="not ours", next_department=following)
        tasks.ask(reject, by=person, at=NOW)
    return tasks


NOBODY_WANTS_IT = (("prod-1", "purchasing"), ("purch-1", "product"), ("pd-1", None))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the data files, to be changed."""
    for file in rulebook.DATA.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def change(data: Path, name: str, old: str, new: str) -> Path:
    file = data / name
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{name}: {old!r} is there {text.count(old)} times"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return data


def test_the_three_departments_meet_in_the_operations_vice_president() -> None:
    tasks = company()
    assert common_superior(tasks, "prod-1", "purch-1", "pd-1") == "vp-ops"
    assert common_superior(tasks, "svc-1", "prod-1") == "ceo"


def test_the_shipped_complaint_comes_to_a_ruling_and_a_solution() -> None:
    tasks = rejected(complained(company()), *NOBODY_WANTS_IT)
    tasks.ask(Rule(case_id=CASE_ID, responsible="production", reason="glue"), by="vp-ops", at=NOW)
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=4), by="prod-1", at=NOW)
    tasks.ask(GiveSolution(case_id=CASE_ID, solution="new doors"), by="prod-1", at=NOW)
    row = tasks.row(CASES, CASE_ID)
    assert (row.holder, row.state) == ("production", "solved")


def test_changed_organisation_changes_who_may_rule(data: Path) -> None:
    change(
        data,
        "organisation.yaml",
        "person: prod-dir, name: 王强 Wang Qiang, department: production, role: director, reports_to: vp-ops",
        "person: prod-dir, name: 王强 Wang Qiang, department: production, role: director, reports_to: ceo",
    )
    tasks = rejected(complained(company(data)), *NOBODY_WANTS_IT)
    with pytest.raises(Refusal, match="not-above-the-conflict"):
        tasks.ask(Rule(case_id=CASE_ID, responsible="production", reason="glue"), by="vp-ops", at=NOW)
    assert tasks.ask(Rule(case_id=CASE_ID, responsible="production", reason="glue"), by="ceo", at=NOW)


def test_changed_routing_changes_who_is_asked(data: Path) -> None:
    change(data, "routing.yaml", "quality: production", "quality: product")
    assert complained(company(data)).row(CASES, CASE_ID).offered_to == "product"


def test_changed_raci_changes_who_is_accountable(data: Path) -> None:
    old = "solution:\n      responsible: [responsible-department]\n      accountable: [lead-of-responsible]"
    change(data, "raci.yaml", old, old.replace("[lead-of-responsible]", "['person:vp-ops']"))
    assert complained(company()).row(ASSIGNMENTS, (CASE_ID, "solution")).accountable == "person:prod-dir"
    assert complained(company(data)).row(ASSIGNMENTS, (CASE_ID, "solution")).accountable == "person:vp-ops"


def test_changed_template_changes_when_a_conflict_opens(data: Path) -> None:
    change(data, "templates.yaml", "bounce_limit: 3", "bounce_limit: 1")
    assert rejected(complained(company(data)), ("prod-1", "purchasing")).row(CASES, CASE_ID).state == "unruled"


def test_requests_and_orders_go_to_their_departments_and_are_closed_by_their_sources() -> None:
    tasks = company()
    for number, (template, department, holder) in enumerate(
        (("citizen-request", "PWDx", "PWDx"), ("citizen-request", None, "operations"), ("order", None, "production"))
    ):
        case_id: Any = UUID(int=number)
        request = RequestReceived("far", str(number), template, "any", "t", {}, department=department, timeline="far")
        tasks.hear(request, subject=case_id, at=NOW)
        assert tasks.row(CASES, case_id).holder == holder
        tasks.hear(RequestClosed("far", str(number), "done", "far"), subject=case_id, at=NOW)
        assert tasks.row(CASES, case_id).state == "closed"
