"""What other owners said, as a listener brings it into a journal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from demo import rulebook
from libs.events.appends import Heard
from libs.events.contract import Contract
from libs.events.deciding import Command
from libs.events.entries import Fact, new_id, stream_id
from libs.events.testing import MemoryService
from services.directory.commands import JoinPerson, NameContact, NameDecisionBoard, RegisterDepartment
from services.directory.main import SERVICE as DIRECTORY

COMMANDS: dict[str, type[Command]] = {
    "/v1/departments": RegisterDepartment,
    "/v1/people": JoinPerson,
    "/v1/contacts": NameContact,
    "/v1/decision-board": NameDecisionBoard,
}


def heard(type_: str, schema_version: int, data: bytes, at: datetime, **told: Any) -> Heard:
    """A record as a listener brings it; the fields that are not told are made up."""
    id_ = new_id()
    made_up: dict[str, Any] = {
        "id": id_,
        "stream": id_,
        "version": 1,
        "tenant": "main",
        "subject": id_,
        "actor": "somebody",
        "command_id": id_,
        "causation_id": None,
        "correlation_id": id_,
        "traceparent": "",
        "basis": None,
        "epoch": 1,
        "occurred_at": at,
        "recorded_at": at,
        "backfilled": False,
    }
    return Heard(**{**made_up, **told}, type=type_, schema_version=schema_version, data=data)


def said(contract: Contract, subject: UUID, facts: Iterable[Fact], at: datetime, version: int = 1) -> list[Heard]:
    """These facts of one stream, the first of them in this version."""
    stream = stream_id("main", contract.owner, "said", subject)
    return [
        heard(*contract.encode(fact), at, stream=stream, subject=subject, version=number)
        for number, fact in enumerate(facts, start=version)
    ]


def organisation(at: datetime) -> list[Heard]:
    """What directory says of the demo's company."""
    directory = MemoryService(DIRECTORY)
    for call in rulebook.organisation():
        directory.ask(COMMANDS[call.path].model_validate(call.body), by="ops-1", at=at)
    return said(DIRECTORY.contract, directory.entries[0].subject, directory.facts, at)
