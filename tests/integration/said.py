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
from libs.events.entries import Fact, derived_id, new_id, stream_id
from libs.events.testing import MemoryService
from services.directory.commands import JoinPerson, NameContact, NameDecisionBoard, RegisterDepartment
from services.directory.main import SERVICE as DIRECTORY

COMMANDS: dict[str, type[Command]] = {
    "/v1/departments": RegisterDepartment,
    "/v1/people": JoinPerson,
    "/v1/contacts": NameContact,
    "/v1/decision-board": NameDecisionBoard,
}


def said(contract: Contract, subject: UUID, facts: Iterable[Fact], at: datetime, version: int = 1) -> list[Heard]:
    """These facts of one stream, the first of them in this version."""
    found = []
    for number, fact in enumerate(facts, start=version):
        type_, schema_version, data = contract.encode(fact)
        command_id = new_id()
        circumstances: dict[str, Any] = {
            "stream": stream_id("main", contract.owner, "said", subject),
            "tenant": "main",
            "subject": subject,
            "actor": "somebody",
            "command_id": command_id,
            "causation_id": None,
            "correlation_id": subject,
            "traceparent": "",
            "basis": None,
            "epoch": 1,
            "occurred_at": at,
            "recorded_at": at,
            "backfilled": False,
        }
        found.append(
            Heard(
                id=derived_id(command_id, "0"),
                type=type_,
                schema_version=schema_version,
                version=number,
                data=data,
                **circumstances,
            )
        )
    return found


def organisation(at: datetime) -> list[Heard]:
    """What directory says of the demo's company."""
    directory = MemoryService(DIRECTORY)
    for call in rulebook.organisation():
        directory.ask(COMMANDS[call.path].model_validate(call.body), by="ops-1", at=at)
    return said(DIRECTORY.contract, directory.entries[0].subject, directory.facts, at)
