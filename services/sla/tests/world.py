"""The world of sla's tests: an organisation, the demo's limits, and the complaint that nobody wants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from libs.events.contracts.directory import ContactNamed, DecisionBoardNamed, PersonJoined
from libs.events.contracts.tasks import (
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    HandoffOffered,
    HandoffRejected,
    StepCompleted,
    StepStarted,
)
from libs.events.entries import Fact
from libs.events.testing import MemoryService, instant
from services.sla.commands import PublishLadder, PublishPolicy
from services.sla.main import SERVICE

CASE = UUID("5f9f4d1c-7d0e-5b63-9d0c-000000000001")
ORGANISATION = UUID(int=7)
DATA = Path(__file__).resolve().parents[3] / "demo" / "data"
BEFORE = instant("2026-11-01T09:00+08:00")


def at(clock: str) -> datetime:
    return instant(f"2026-11-02T{clock}+08:00")


@cache
def rows(name: str) -> list[dict[str, Any]]:
    """The rows of one of the demo's data files."""
    with (DATA / f"{name}.yaml").open(encoding="utf-8") as file:
        found: dict[str, list[dict[str, Any]]] = yaml.safe_load(file)
    return found[name]


def organisation() -> Iterable[Fact]:
    yield PersonJoined("ceo", "CEO", "board", "ceo")
    yield PersonJoined("vp-ops", "VP operations", "operations", "vice-president", "ceo")
    for department in ("production", "purchasing", "product"):
        yield PersonJoined(f"{department}-dir", department, department, "director", "vp-ops")
        yield PersonJoined(f"{department}-1", department, department, "specialist", f"{department}-dir")
        yield ContactNamed(department, "*", f"{department}-1")
    yield DecisionBoardNamed(("ceo", "chair"))


def sla(*, limits: bool = True) -> MemoryService:
    """sla, with the organisation heard and the demo's ladders and policies published."""
    service = MemoryService(SERVICE)
    for fact in organisation():
        service.hear(fact, subject=ORGANISATION, at=BEFORE)
    if limits:
        for row in rows("ladders"):
            service.ask(PublishLadder(**row), by="ops-1", at=BEFORE)
        for row in rows("policies"):
            service.ask(PublishPolicy(**row), by="ops-1", at=BEFORE)
    return service


def hear(service: MemoryService, clock: str, *facts: Fact) -> None:
    """Fire what is due before `clock`, then hear what tasks said of the case then."""
    service.fire(at(clock))
    for fact in facts:
        service.hear(fact, subject=CASE, at=at(clock))


def complaint(service: MemoryService) -> None:
    """09:00 until the conflict of 11:20."""
    hear(
        service,
        "09:00",
        CaseOpened(CASE, "crm", "STORY1", "complaint", 1, "quality", "normal", "blisters", {}, "service"),
        StepStarted("form", "complaint", "quality", "normal"),
    )
    hear(
        service,
        "09:40",
        StepCompleted("form"),
        CaseRouted("production", "quality"),
        StepStarted("answer", "complaint", "quality", "normal"),
        StepStarted("solution", "complaint", "quality", "normal"),
        HandoffOffered(1, "service", "production"),
    )
    rejected(service, "10:10", 1, "production", "purchasing")
    rejected(service, "10:50", 2, "purchasing", "product")
    hear(
        service,
        "11:20",
        HandoffRejected(3, "product", "not ours", 3),
        ConflictOpened(("production", "purchasing", "product"), 3),
    )


def rejected(service: MemoryService, clock: str, number: int, receiver: str, following: str) -> None:
    hear(
        service,
        clock,
        HandoffRejected(number, receiver, "not ours", number),
        HandoffOffered(number + 1, "service", following),
    )
