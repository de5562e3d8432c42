"""Timers: with a million pending, how many fall due, are claimed and put on record a second; and how late they are.

Ours appends an event per timer at the version that its row was folded from. pgqueuer claims jobs and deletes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from bench.comparing import Comparison, Goal, Limit
from bench.events import (
    CONTRACT,
    OWNER,
    TENANT,
    TaskCreated,
    TaskEscalated,
    appends,
    empty_database,
    facts,
    new_database,
)
from bench.measuring import UNMADE, Ground, Sample, SideFailed, latencies, run, until
from bench.schedulers import DUE
from bench.schedulers import SIDES as PEERS
from infra.local.databases import Database
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.entries import Entry, Fact, new_id, stream_id
from libs.events.service import Service
from libs.events.timers import Timer
from libs.events.views import View, on
from tests.integration.errands_service import Errands, errands

PENDING = 1_000_000
PER_SECOND = 500
APPENDS_AT_ONCE = 256
WITHIN_S = 120.0
AHEAD_S = 2.0
FAR = datetime(2099, 1, 1, tzinfo=UTC)
Due = Callable[[int], datetime]
COMPARISONS = (
    Comparison(
        "timers, a million pending",
        "timers/s",
        "ours, fired",
        (Goal("pgqueuer", at_least=2.5, peer=True), Goal("procrastinate", peer=True), Goal("APScheduler", peer=True)),
        size=PENDING,
    ),
    Comparison(
        "lateness of timers, 500 due a second",
        "timers/s",
        "ours, late",
        limits=(Limit("p99_ms", at_most=25.0),),
        size=PENDING,
        seconds=6.0,
    ),
)


class Reminder(Fact, frozen=True):
    task: UUID
    due_at: datetime | None
    stream_version: int
    timeline: str


class Escalate(Command):
    task: UUID


def remember(row: Reminder | None, fact: TaskCreated, entry: Entry) -> Reminder:
    return Reminder(entry.subject, fact.due_at, entry.version, "")


def forget(row: Reminder | None, fact: TaskEscalated, entry: Entry) -> None:
    return None


def evolve(state: TaskCreated | None, fact: Fact) -> TaskCreated | None:
    return fact if isinstance(fact, TaskCreated) else None


def escalate(state: TaskCreated | None, command: Escalate, asked: Asked) -> list[Fact]:
    return [] if state is None else [TaskEscalated(**msgspec.structs.asdict(state))]


REMINDERS: View[Reminder] = View(
    "reminders", 1, Reminder, ("task",), (on(TaskCreated, remember), on(TaskEscalated, forget)), past=False
)
SERVICE = Service(
    name=OWNER,
    contract=CONTRACT,
    commands=(Handle(Escalate, Decider("task", None, evolve), escalate, lambda command: command.task),),
    views=(REMINDERS,),
    timers=(Timer("remind", REMINDERS, lambda row: Escalate(task=row.task), sources=()),),
)


async def prepare(ground: Ground) -> dict[str, str]:
    """A million reminders for a far day, in each store."""
    database = await new_database(ground, "timers")
    async with errands(database, SERVICE) as service:
        await _remind(service, ground.size, lambda number: FAR + timedelta(seconds=number))
    made = {"database": msgspec.json.encode(database).decode(), "pgqueuer": await empty_database(ground, "pgqueuer")}
    try:
        told = msgspec.structs.replace(ground, made=made)
        await asyncio.to_thread(run, "pgqueuer, filled", "bench.schedulers", told)
    except SideFailed as error:  # the side that claims them says so
        made["pgqueuer"] = f"{UNMADE}{error}"
    return made


async def fired(ground: Ground) -> Sample:
    """From the first claim to the last event on record and folded."""
    database = msgspec.json.decode(ground.made["database"], type=Database)
    async with errands(database, SERVICE) as service:
        await _remind(service, DUE, lambda number: datetime.now(UTC))
        before, began = await service.journal.position(), time.perf_counter()
        async with service.working():
            await until(lambda: _reached(service, before + DUE), WITHIN_S)
            took = time.perf_counter() - began
        return Sample(DUE, took)


async def late(ground: Ground) -> Sample:
    """Due one after the other while the runner runs: from the due instant to the instant on record."""
    database = msgspec.json.decode(ground.made["database"], type=Database)
    count = round(PER_SECOND * ground.seconds)
    async with errands(database, SERVICE) as service:
        start = datetime.now(UTC) + timedelta(seconds=AHEAD_S + count / PER_SECOND / 4)
        await _remind(service, count, lambda number: start + timedelta(seconds=number / PER_SECOND))
        before = await service.journal.position()
        async with service.working():
            await until(lambda: _reached(service, before + count), WITHIN_S)
        entries = await service.journal.read(before, count)
        lateness = [(entry.noted_at - entry.occurred_at).total_seconds() for entry in entries]
        return Sample(count, ground.seconds, *latencies(lateness))


async def _reached(service: Errands, position: int) -> bool:
    return await service.journal.position() >= position


async def _remind(service: Errands, count: int, due: Due) -> None:
    """So many reminders on record, folded and passed by the reactions, as in a service that has been running."""
    chosen, numbers = facts(), iter(range(count))

    async def write() -> None:
        for number in numbers:
            task, fact = new_id(), msgspec.structs.replace(chosen[0], due_at=due(number))
            await service.journal.append(appends([fact], 1)(stream_id(TENANT, OWNER, "task", task), 0, 0, task))

    await asyncio.gather(*(write() for _ in range(APPENDS_AT_ONCE)))
    await service.settle()


SIDES = {"ours, fired": fired, "ours, late": late, **PEERS}
