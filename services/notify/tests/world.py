"""The world of notify's tests: a company, the demo's words, and a case of customer service."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from libs.events.contracts.directory import ContactNamed, DecisionBoardNamed, DepartmentRegistered, PersonJoined
from libs.events.contracts.notify import MessagePosted
from libs.events.contracts.tasks import CaseOpened, RaciSeats, TemplatePublished, TemplateStep
from libs.events.entries import Fact
from libs.events.testing import MemoryService, instant
from services.notify.commands import PublishText
from services.notify.main import SERVICE

CASE, CLOCK = UUID(int=1), UUID(int=11)
DATA = Path(__file__).resolve().parents[3] / "demo" / "data" / "messages.yaml"


def at(clock: str) -> datetime:
    return instant(f"2026-11-02T{clock}+08:00")


BEFORE = at("08:00")


@cache
def texts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(DATA.read_text(encoding="utf-8"))["messages"]
    return found


def notify(*, timeline: str = "", words: bool = True) -> MemoryService:
    """notify, with a company, the demo's words and a case of customer service."""
    service = MemoryService(SERVICE)
    organisation: list[Fact] = [DecisionBoardNamed(("ceo",))]
    for code, zh in (("service", "客服部"), ("production", "生产部"), ("purchasing", "采购部"), ("product", "产品部")):
        organisation += [
            DepartmentRegistered(code, code.capitalize(), zh),
            PersonJoined(f"{code}-dir", f"{zh} director", code, "director"),
            PersonJoined(f"{code}-1", f"{zh} contact", code, "specialist", f"{code}-dir"),
            ContactNamed(code, "*", f"{code}-1"),
        ]
    for fact in (*organisation, PersonJoined("vp-ops", "钱立", "operations", "vice-president")):
        service.hear(fact, subject=UUID(int=7), at=BEFORE)
    if words:
        for row in texts():
            service.ask(PublishText(**row), by="ops-1", at=BEFORE)
    for version in (1, 2):
        service.hear(template(version), subject=UUID(int=8), at=BEFORE)
    opened = CaseOpened(
        CASE, "crm", "STORY1", "complaint", 1, "quality", "normal", "veneer blisters", {}, "service", timeline
    )
    service.hear(opened, subject=CASE, at=at("09:00"))
    return service


def template(version: int) -> TemplatePublished:
    """The process of the case. Later versions call its steps otherwise."""
    names = {"form": "填写投诉单", "answer": "责任部门响应", "solution": "解决方案", "callback": "回访"}
    later = "" if version == 1 else f" {version}"
    nobody = RaciSeats((), "")
    return TemplatePublished(
        template="complaint",
        version=version,
        name_en="Complaint",
        name_zh="客户投诉",
        intake="after-form",
        opening_department="service",
        form=(),
        steps=tuple(TemplateStep(code, code.title() + later, zh + later, "", "", nobody) for code, zh in names.items()),
        routing_rule="by-category",
        routing={},
        closing_rule="after-call-back",
        who={},
        bounce_limit=3,
        call_back_after_h=24,
    )


def told(service: MemoryService, fact: Fact, clock: str = "12:00") -> dict[str, str]:
    """Person → because, of the messages that this fact made."""
    before = len(service.decided(MessagePosted))
    service.hear(fact, subject=CASE, at=at(clock))
    posted = [message for message in service.decided(MessagePosted)[before:] if isinstance(message, MessagePosted)]
    return {message.to: message.because for message in posted}
