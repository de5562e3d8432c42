"""Peers: event stores that others keep, each used as its documentation does. Absent where it is not installed.

`eventsourcing` (Python), message-db (its own SQL) and Emmett (Node) come from bench/requirements.lock and
bench/node/package-lock.json.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import asyncpg

from bench.appends import by_clients
from bench.events import CONTRACT, POOL, STREAMS_OF_A_CLIENT, TaskFact, empty_database, facts, metadata
from bench.installed import need_package, need_program, node_package
from bench.measuring import SAID_CHARS_MAX, Ground, Sample, SideFailed, latencies
from libs.events.contract import Language

SAVED_AT_ONCE = 100
PAGE = 5_000
MESSAGE_DB = "@eventide/message-db"
MESSAGE_DB_PATH = {"search_path": "message_store,public"}
WRITE = "select write_message($1::varchar, $2::varchar, $3::varchar, $4::jsonb, $5::jsonb, $6::bigint)"


def eventsourcing(ground: Ground) -> Sample:
    """An aggregate per stream, saved with its new events; a thread a client."""
    need_package("eventsourcing")
    address = asyncio.run(empty_database(ground, "es"))
    application, Task = _application(address, ground.clients)
    pool, meta = facts(), [m.decode() for m in metadata()]
    tasks = [[Task() for _ in range(STREAMS_OF_A_CLIENT)] for _ in range(ground.clients)]
    for each in tasks:
        application.save(*each)
    took: list[float] = []
    gate = threading.Barrier(ground.clients + 1)

    def work(client: int) -> None:
        gate.wait()
        end = time.perf_counter() + ground.seconds
        for number in itertools.count():
            began = time.perf_counter()
            if began >= end:
                return
            task = tasks[client][number % STREAMS_OF_A_CLIENT]
            for i in range(ground.facts):
                nth = (number * ground.facts + i) % len(pool)
                task.assign(*_fields(pool[nth]), meta[nth])
            application.save(task)
            took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(client,)) for client in range(ground.clients)]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return Sample(len(took) * ground.facts, time.perf_counter() - began, *latencies(took))


def fill_eventsourcing(ground: Ground) -> Sample:
    """`size` events into the database of that name."""
    need_package("eventsourcing")
    application, Task = _application(ground.stock("eventsourcing"), 1)
    pool, meta = facts(), [m.decode() for m in metadata()]
    began = time.perf_counter()
    for first in range(0, ground.size, SAVED_AT_ONCE):
        task = Task()
        for nth in range(first, first + SAVED_AT_ONCE - 1):  # its creation is an event too
            task.assign(*_fields(pool[nth % POOL]), meta[nth % POOL])
        application.save(task)
    return Sample(ground.size, time.perf_counter() - began)


def read_eventsourcing(ground: Ground) -> Sample:
    """The application's notifications, mapped to its events."""
    need_package("eventsourcing")
    application, _ = _application(ground.stock("eventsourcing"), 1)
    began, position, count = time.perf_counter(), 0, 0
    while page := application.recorder.select_notifications(position, PAGE, inclusive_of_start=False):
        for notification in page:
            application.mapper.to_domain_event(notification)
        position, count = page[-1].id, count + len(page)
    return Sample(count, time.perf_counter() - began)


async def fill_message_db(ground: Ground) -> Sample:
    """`size` events into the database of that name."""
    pool, meta = facts(), [m.decode() for m in metadata()]
    line = await asyncpg.connect(ground.stock("message-db"), server_settings=MESSAGE_DB_PATH)
    write = await line.prepare(WRITE)
    began = time.perf_counter()
    for first in range(0, ground.size, SAVED_AT_ONCE):
        stream = f"task-{uuid4().hex}"
        async with line.transaction():
            rows = []
            for version in range(SAVED_AT_ONCE):
                nth = (first + version) % POOL
                kind, _, data = CONTRACT.encode(pool[nth])
                rows.append((str(uuid4()), stream, kind, data.decode(), meta[nth], version - 1))
            await write.executemany(rows)
    return Sample(ground.size, time.perf_counter() - began)


async def read_message_db(ground: Ground) -> Sample:
    """A category, page after page, decoded to the same facts as ours."""
    node_package(ground, MESSAGE_DB)
    line = await asyncpg.connect(ground.stock("message-db"), server_settings=MESSAGE_DB_PATH)
    read = await line.prepare(f"select * from get_category_messages('task', $1::bigint, {PAGE}::bigint)")
    language = Language((CONTRACT,))
    began, position, count = time.perf_counter(), 1, 0
    while page := await read.fetch(position):
        for row in page:
            language.decode(row["type"], 1, row["data"].encode())
        position, count = page[-1]["global_position"] + 1, count + len(page)
    return Sample(count, time.perf_counter() - began)


async def message_db(ground: Ground) -> Sample:
    """write_message, a connection a client."""
    address = await message_db_database(ground)
    pool, meta = facts(), [m.decode() for m in metadata()]
    lines = [await asyncpg.connect(address, server_settings=MESSAGE_DB_PATH) for _ in range(ground.clients)]
    writes = [await line.prepare(WRITE) for line in lines]

    async def one(client: int, number: int) -> None:
        kind, _, data = CONTRACT.encode(pool[number % len(pool)])
        stream, version = f"task-{client}x{number % STREAMS_OF_A_CLIENT}", number // STREAMS_OF_A_CLIENT - 1
        text, about = data.decode(), meta[number % len(meta)]
        await writes[client].fetchval(str(uuid4()), stream, kind, text, about, version)

    return await by_clients(ground, one)


def emmett(ground: Ground) -> Sample:
    """Emmett's event store for PostgreSQL."""
    need_program("node")
    node_package(ground, "@event-driven-io/emmett-postgresql")
    address = asyncio.run(empty_database(ground, "emmett"))
    events = [
        {"type": type(fact).__name__, "data": json.loads(CONTRACT.encode(fact)[2]), "metadata": json.loads(meta)}
        for fact, meta in zip(facts(), metadata(), strict=True)
    ]
    pool = ground.work / "emmett.json"
    pool.write_text(json.dumps(events))
    numbers = (ground.clients, ground.seconds, ground.facts, STREAMS_OF_A_CLIENT)
    said = subprocess.run(
        ["node", str(ground.node / "emmett.mjs"), *map(str, numbers), str(pool)],
        env={**os.environ, "PGURL": address},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode != 0:
        raise RuntimeError(said.stderr[-1_000:])
    found = json.loads(said.stdout.strip().splitlines()[-1])
    return Sample(found["count"], found["seconds"], found["p50_ms"], found["p99_ms"])


async def message_db_database(ground: Ground) -> str:
    """The address of a fresh database in which message-db's own script was run. Raises SideFailed."""
    package = node_package(ground, MESSAGE_DB)
    need_program("bash")
    address = await empty_database(ground, "mdb")
    scripts = ground.work / "message-db"
    if not scripts.exists():
        shutil.copytree(package / "database", scripts)
        # All it takes from there is gen_random_uuid, which is PostgreSQL's own since 13; the wheel has no pgcrypto.
        (scripts / "extensions" / "pgcrypto.sql").write_text("")
    parts = urlsplit(address)
    told = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": unquote(parts.password or ""),
        "PATH": f"{ground.programs}{os.pathsep}{os.environ['PATH']}",
        "DATABASE_NAME": parts.path.lstrip("/"),
        "CREATE_DATABASE": "off",
    }
    done = await asyncio.create_subprocess_exec(
        "bash",
        str(scripts / "install.sh"),
        env={**os.environ, **told},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await done.communicate()
    if done.returncode != 0:
        raise SideFailed(said.decode()[-SAID_CHARS_MAX:])
    return address


def _application(address: str, clients: int) -> tuple[Any, Any]:
    """The application and its aggregate's class; they read their settings when they are imported."""
    os.environ.update(_eventsourcing_settings(address, clients))
    from bench.eventsourcing_tasks import Task, Tasks

    return Tasks(), Task


def _fields(fact: TaskFact) -> tuple[object, ...]:
    return (
        str(fact.task),
        str(fact.case),
        fact.department,
        fact.assignee,
        fact.raci,
        fact.due_at,
        fact.priority,
        fact.note,
    )


def _eventsourcing_settings(address: str, clients: int) -> dict[str, str]:
    parts = urlsplit(address)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_POOL_SIZE": str(clients),
        "POSTGRES_MAX_OVERFLOW": "4",
        "POSTGRES_LOCK_TIMEOUT": "60",
    }


SIDES = {
    "eventsourcing": eventsourcing,
    "eventsourcing, filled": fill_eventsourcing,
    "eventsourcing, read": read_eventsourcing,
    "message-db": message_db,
    "message-db, filled": fill_message_db,
    "message-db, read": read_message_db,
    "Emmett": emmett,
}
