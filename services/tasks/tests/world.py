"""States of the world that the tests start from: a company, its processes, and a case at each of its turns."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from libs.events.contracts.directory import (
    ContactNamed,
    DecisionBoardNamed,
    DepartmentRegistered,
    PersonJoined,
)
from libs.events.contracts.gateway import RequestReceived
from libs.events.entries import entity_id
from libs.events.testing import MemoryService, instant
from services.tasks.commands import (
    AcceptHandoff,
    AnswerConsultation,
    CompleteForm,
    GiveSolution,
    PublishTemplate,
    RecordCallBack,
    RejectHandoff,
    Rule,
    TellCustomer,
)
from services.tasks.main import SERVICE

OPS = "ops-1"
CASE_ID = entity_id("main", "case", "phone/STORY1")
ORGANISATION_ID = UUID(int=7)

DEPARTMENTS = {
    "management": "管理层",
    "service": "客服部",
    "production": "生产部",
    "purchasing": "采购部",
    "product": "产品部",
}
SEATS_OF_OPENING = {"responsible": ["opening-department"], "accountable": ["lead-of-opening"]}
SEATS_OF_RESPONSIBLE = {
    "responsible": ["responsible-department"],
    "accountable": ["lead-of-responsible"],
    "informed": ["opening-department"],
}


def monday(clock: str) -> Any:
    return instant(f"2026-11-02T{clock}+08:00")


def tuesday(clock: str) -> Any:
    return instant(f"2026-11-03T{clock}+08:00")


def step(name: str, starts: str, ends: str, raci: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "name_en": name.title(), "name_zh": "步骤", "starts": starts, "ends": ends, "raci": raci}


def complaint(**changes: Any) -> PublishTemplate:
    body: dict[str, Any] = {
        "template": "complaint",
        "name_en": "Complaint",
        "name_zh": "客户投诉",
        "intake": "after-form",
        "opening_department": "service",
        "form": [
            {"name": "product", "label_en": "Product", "label_zh": "产品"},
            {"name": "defect", "label_en": "Defect", "label_zh": "问题"},
            {"name": "wish", "label_en": "Wish", "label_zh": "诉求", "required": False},
        ],
        "steps": [
            step("form", "opened", "form-completed", SEATS_OF_OPENING),
            step("answer", "routed", "accepted", SEATS_OF_RESPONSIBLE),
            step("solution", "routed", "solution-given", SEATS_OF_RESPONSIBLE),
            step("callback", "customer-told", "called-back", SEATS_OF_OPENING),
        ],
        "routing_rule": "by-category",
        "routing": {"quality": "production", "material": "purchasing"},
        "closing_rule": "after-call-back",
        "who": {
            "open-case": "opening-department",
            "complete-form": "holder",
            "offer-handoff": "holder",
            "answer-handoff": "receiver",
            "rule": "above-the-conflict",
            "give-solution": "responsible",
            "tell-customer": "opening-department",
            "call-back": "opening-department",
        },
    }
    return PublishTemplate.model_validate({**body, **changes})


def request_template(**changes: Any) -> PublishTemplate:
    raci = {"responsible": ["responsible-department"], "accountable": ["responsible-department"]}
    body: dict[str, Any] = {
        "template": "citizen-request",
        "name_en": "Citizen request",
        "name_zh": "市民诉求",
        "intake": "at-once",
        "opening_department": "operations",
        "steps": [step("resolution", "routed", "closed-by-source", raci)],
        "routing_rule": "by-source",
        "routing": {"*": "operations"},
        "closing_rule": "by-source",
        "who": {},
    }
    return PublishTemplate.model_validate({**body, **changes})


def company(parks: bool = False) -> MemoryService:
    """Everybody is there, nothing was published."""
    tasks = MemoryService(SERVICE, parks=parks)
    facts: list[Any] = [DepartmentRegistered(name, name.capitalize(), zh) for name, zh in DEPARTMENTS.items()]
    facts += [
        PersonJoined("ceo", "Zhao", "management", "chief-executive"),
        PersonJoined("vp-ops", "Qian", "management", "vice-president", "ceo"),
        PersonJoined("svc-lead", "Zhou", "service", "director", "ceo"),
        PersonJoined("svc-1", "Wu", "service", "agent", "svc-lead"),
    ]
    for short, department in (("prod", "production"), ("purch", "purchasing"), ("pd", "product")):
        facts.append(PersonJoined(f"{short}-dir", short, department, "director", "vp-ops"))
        facts.append(PersonJoined(f"{short}-1", short, department, "member", f"{short}-dir"))
        facts.append(ContactNamed(department, "*", f"{short}-1"))
    facts.append(DecisionBoardNamed(("ceo",)))
    for fact in facts:
        tasks.hear(fact, subject=ORGANISATION_ID, at=monday("08:00"))
    return tasks


def received(**changes: Any) -> RequestReceived:
    values: dict[str, Any] = {
        "source": "phone",
        "reference": "STORY1",
        "template": "complaint",
        "category": "quality",
        "title": "veneer blisters",
        "form": {"product": "cabinet"},
    }
    return RequestReceived(**{**values, **changes})


def opened(template: PublishTemplate | None = None) -> MemoryService:
    """09:00: the complaint came in from outside; customer service holds it."""
    tasks = company()
    tasks.ask(template or complaint(), by=OPS, at=monday("08:30"))
    tasks.hear(received(), subject=CASE_ID, at=monday("09:00"))
    return tasks


def offered(template: PublishTemplate | None = None) -> MemoryService:
    """09:40: the form is complete, production is asked to take it."""
    tasks = opened(template)
    tasks.ask(CompleteForm(case_id=CASE_ID, form={"defect": "blisters"}), by="svc-1", at=monday("09:40"))
    return tasks


def disputed(template: PublishTemplate | None = None) -> MemoryService:
    """11:20: three departments rejected it."""
    tasks = offered(template)
    for number, (person, reason, following, clock) in enumerate(
        (
            ("prod-1", "raw material", "purchasing", "10:10"),
            ("purch-1", "specification", "product", "10:50"),
            ("pd-1", "not ours", None, "11:20"),
        ),
        start=1,
    ):
        reject = RejectHandoff(case_id=CASE_ID, number=number, reason=reason, next_department=following)
        tasks.ask(reject, by=person, at=monday(clock))
    return tasks


def ruled(template: PublishTemplate | None = None) -> MemoryService:
    """12:25: the common superior decided for production, which consults purchasing."""
    tasks = disputed(template)
    ruling = Rule(
        case_id=CASE_ID, responsible="production", consulted=("purchasing",), reason="the veneer is glued in production"
    )
    tasks.ask(ruling, by="vp-ops", at=monday("12:25"))
    return tasks


def accepted(template: PublishTemplate | None = None) -> MemoryService:
    """12:30: production took it."""
    tasks = ruled(template)
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=4), by="prod-1", at=monday("12:30"))
    return tasks


def solved(template: PublishTemplate | None = None) -> MemoryService:
    """13:30: purchasing was heard, production gave the solution."""
    tasks = accepted(template)
    answer = AnswerConsultation(case_id=CASE_ID, department="purchasing", answer="the glue batch is in order")
    tasks.ask(answer, by="purch-1", at=monday("13:05"))
    tasks.ask(GiveSolution(case_id=CASE_ID, solution="new doors on Friday"), by="prod-1", at=monday("13:30"))
    return tasks


def closed(template: PublishTemplate | None = None) -> MemoryService:
    """Tuesday 13:40: the customer was called back."""
    tasks = solved(template)
    tasks.ask(TellCustomer(case_id=CASE_ID), by="svc-1", at=monday("13:35"))
    tasks.ask(RecordCallBack(case_id=CASE_ID, satisfied=True), by="svc-1", at=tuesday("13:40"))
    return tasks
