"""What all sides write and read: a task's facts, some 300 bytes of data and 150 bytes of metadata each."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from bench.measuring import Ground
from infra.local.databases import ROLES, Database, prepare
from libs.events.appends import Append
from libs.events.contract import Contract, Kind
from libs.events.entries import Entry, Fact, derived_id, new_id
from libs.events.service import Service
from libs.events.views import View, on

OWNER = "bench"
TENANT = "main"
DEPARTMENTS = ("underwriting", "claims", "legal", "finance", "operations", "compliance")
NOTE = "please check the attached file and reply"
POOL = 1_000
STREAMS_OF_A_CLIENT = 100
Make = Callable[..., Append]
PASSWORD = "only-for-the-bench"


class TaskFact(Fact, frozen=True):
    task: UUID
    case: UUID
    department: str
    assignee: str
    raci: str
    due_at: datetime
    priority: int
    note: str


class TaskCreated(TaskFact, frozen=True):
    pass


class TaskAssigned(TaskFact, frozen=True):
    pass


class TaskStarted(TaskFact, frozen=True):
    pass


class TaskCompleted(TaskFact, frozen=True):
    pass


class TaskEscalated(TaskFact, frozen=True):
    pass


FACTS: tuple[type[TaskFact], ...] = (TaskCreated, TaskAssigned, TaskStarted, TaskCompleted, TaskEscalated)
CONTRACT = Contract(OWNER, tuple(Kind(fact.__name__, 1, fact) for fact in FACTS))


class TaskRow(Fact, frozen=True):
    task: UUID
    version: int
    department: str
    assignee: str
    due_at: datetime
    case: UUID


def latest(row: TaskRow | None, fact: TaskFact, entry: Entry) -> TaskRow:
    return TaskRow(entry.subject, entry.version, fact.department, fact.assignee, fact.due_at, fact.case)


TASKS: View[TaskRow] = View("tasks", 1, TaskRow, ("task",), tuple(on(fact, latest) for fact in FACTS))
SERVICE = Service(name=OWNER, contract=CONTRACT, views=(TASKS,))


def facts(count: int = POOL) -> list[TaskFact]:
    """The same facts for every side and run."""
    chance = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        FACTS[i % len(FACTS)](
            task=UUID(int=chance.getrandbits(128), version=4),
            case=UUID(int=chance.getrandbits(128), version=4),
            department=DEPARTMENTS[i % len(DEPARTMENTS)],
            assignee=f"user-{i % 500:04d}@example.test",
            raci="RACI"[i % 4],
            due_at=start + timedelta(seconds=i),
            priority=i % 5,
            note=NOTE,
        )
        for i in range(count)
    ]


def metadata(count: int = POOL) -> list[bytes]:
    """What a journal keeps in columns, as JSON for the sides that keep JSON."""
    chance = random.Random(8)
    return [
        msgspec.json.encode(
            {
                "correlation_id": str(UUID(int=chance.getrandbits(128), version=4)),
                "causation_id": str(UUID(int=chance.getrandbits(128), version=4)),
                "actor": f"user-{i % 500:04d}",
                "schema": 1,
                "source": "api",
            }
        )
        for i in range(count)
    ]


def appends(chosen: Sequence[TaskFact], each: int) -> Make:
    """A function (stream, expected version, number[, subject]) → an append of `each` facts, encoded anew each time."""

    def make(stream: UUID, expected: int, number: int, subject: UUID | None = None) -> Append:
        command = new_id()
        encoded = [CONTRACT.encode(chosen[(number * each + i) % len(chosen)]) for i in range(each)]
        return Append(
            stream=stream,
            expected=expected,
            facts=tuple((derived_id(command, str(i)), *one) for i, one in enumerate(encoded)),
            tenant=TENANT,
            subject=subject or stream,
            actor="user-0007",
            command_id=command,
            digest=hashlib.sha256(encoded[0][2]).digest()[:16],
            causation_id=command,
            correlation_id=stream,
            traceparent="",
            basis=None,
            occurred_at=datetime.now(UTC),
        )

    return make


async def new_database(ground: Ground, purpose: str) -> Database:
    """A fresh, migrated database of Baton's."""
    name = f"{purpose}_{new_id().hex[-12:]}"
    return (await prepare(ground.admin_url, {name: dict.fromkeys(ROLES, PASSWORD)}))[name]


async def empty_database(ground: Ground, purpose: str) -> str:
    """The address of a fresh database without anything in it, for a peer; its owner may do everything."""
    name = f"{purpose}_{new_id().hex[-12:]}"
    connection = await asyncpg.connect(ground.admin_url)
    try:
        await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
    return f"{ground.admin_url.rpartition('/')[0]}/{name}"
