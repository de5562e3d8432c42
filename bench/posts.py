"""Commands over HTTP: how many a process takes, and how soon what one said can be read in another service's view."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import asyncpg
import httpx
import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.appends import by_clients
from bench.comparing import Comparison, Goal, Limit
from bench.events import OWNER, TASKS, facts, new_database
from bench.measuring import Ground, Sample, latencies, until
from infra.local.databases import Database
from infra.local.doors import open_doors
from infra.local.kafka import create_topics
from infra.local.platform import Wishes
from infra.local.ports import random_free
from infra.local.rest import wait_rest
from libs.events.entries import new_id
from libs.service import issuer
from tests.faults.checker import check
from tests.faults.evidence import read
from tests.faults.lines import Answer, Lines
from tests.faults.load import told_of
from tests.launching import launching

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
ARRIVE_WITHIN_S = 20.0
POLL_S = 0.002
ASK_SECONDS_MAX = 20.0
PER_SECOND = 200
PERSON = "ann"
IDLE_S = 5.0
CLIENTS = 32
COMPARISONS = (
    Comparison(
        "POST of a command, one process",
        "requests/s",
        "ours, POST",
        (Goal("echo", at_least=0.5), Goal("bare FastAPI")),
        clients=CLIENTS,
        seconds=4.0,
    ),
    Comparison(
        "command accepted → row in another service's view, 200/s",
        "commands/s",
        "ours, to a view",
        (Goal("aiokafka, bare", at_most=8.0, of="p50_ms"), Goal("aiokafka, bare", at_most=4.0, of="p99_ms")),
        seconds=6.0,
    ),
    Comparison("memory of idle services", "processes", "ours, idle", limits=(Limit("megabytes", at_most=120.0),)),
)


class Board:
    """What the first of some programs is posted to, and what it answers. `databases`: by the service's name."""

    def __init__(self, url: str, token: str, databases: dict[str, Database]) -> None:
        self._lines, self._token, self.databases = Lines(url, ASK_SECONDS_MAX), token, databases
        self.answers: list[tuple[str, Answer]] = []

    async def post(self, path: str, body: bytes) -> None:
        headers = f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
        answer = await self._lines.send("POST", path, headers, body)
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer}")
        self.answers.append((path, answer))


async def command(ground: Ground) -> Sample:
    return await _posts(ground, "tasks", "tasks")


async def echo(ground: Ground) -> Sample:
    return await _posts(ground, "tasks", "echo")


async def bare_fastapi(ground: Ground) -> Sample:
    return await _posts(ground, "bare", "bare")


async def to_a_view(ground: Ground) -> Sample:
    """Open loop: counted from the instant at which a command was to be sent. By hop: until it is on record, until its
    record is noted in the other journal, until the row is seen there.
    """
    async with _programs(ground, "tasks", "board") as board:
        connection = await asyncpg.connect(board.databases["board"].url)
        table, due, seen_at = f"views.{TASKS.name}_v{TASKS.version}", dict[UUID, float](), dict[UUID, float]()
        for key in (warm := [new_id() for _ in range(CLIENTS)]):
            await board.post(f"/v1/tasks/{key}", _body())
        await _arrived(connection, table, 0, len(warm))
        last = await connection.fetchval(f"select max(since_position) from {table}")
        count = round(PER_SECOND * ground.seconds)

        async def watch(after: int) -> None:
            while len(seen_at) < count:
                rows = await connection.fetch(
                    f"select task, since_position from {table} where since_position > $1", after
                )
                seen_at.update(dict.fromkeys((row["task"] for row in rows), time.time()))
                after = max((row["since_position"] for row in rows), default=after)
                await asyncio.sleep(POLL_S)

        async with asyncio.timeout(ground.seconds + ARRIVE_WITHIN_S), asyncio.TaskGroup() as work:
            watching = work.create_task(watch(last))
            began = time.perf_counter() + POLL_S
            behind = time.time() - time.perf_counter()
            async for at in _ticks(began, count):
                key = new_id()
                due[key] = at + behind
                work.create_task(board.post(f"/v1/tasks/{key}", _body()))
            await watching
        took = time.perf_counter() - began
        hops = await _hops(connection, due, seen_at)
        await _expect_nothing_lost(board, ground.kafka)
        return Sample(count, took, *latencies([seen_at[key] - at for key, at in due.items()]), more=hops)


async def _hops(
    board: asyncpg.Connection[asyncpg.Record], due: dict[UUID, float], seen_at: dict[UUID, float]
) -> dict[str, float]:
    """Medians in milliseconds, by the instants in the other service's journal."""
    rows = await board.fetch(
        "select subject, recorded_at, noted_at from journal.entries where subject = any($1)", [*due]
    )
    on_record, noted, seen = [], [], []
    for subject, recorded_at, noted_at in rows:
        on_record.append(recorded_at.timestamp() - due[subject])
        noted.append((noted_at - recorded_at).total_seconds())
        seen.append(seen_at[subject] - noted_at.timestamp())
    return {
        f"{hop}, p50 ms": latencies(found)[0]
        for hop, found in (("on record", on_record), ("noted there", noted), ("in the view", seen))
    }


async def _expect_nothing_lost(board: Board, kafka: str) -> None:
    """What was answered is on record, published and heard, once and in order: by the checker that faults have, too."""
    told = [told_of(OWNER, path, PERSON, path, answer) for path, answer in board.answers]
    databases = {OWNER if name == "tasks" else name: database.url for name, database in board.databases.items()}
    verdict = check(await read(databases, kafka, told))
    assert not verdict.violations, str(verdict)
    assert verdict.compared["accepted"] == len(told)
    assert verdict.compared["heard"] == len(told)


async def bare(ground: Ground) -> Sample:
    """The same rate through Kafka alone: produced with acks=all, consumed."""
    topic, took, count = f"o{new_id().hex[-12:]}", list[float](), round(PER_SECOND * ground.seconds)
    await create_topics(ground.kafka, [topic])
    body = _body()
    consumer = AIOKafkaConsumer(bootstrap_servers=ground.kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(f"baton.{topic}", 0)])
    due: dict[bytes, float] = {}

    async def consume() -> None:
        while len(took) < count:
            found = await consumer.getmany(timeout_ms=1_000)
            seen = time.perf_counter()
            took.extend(seen - due[record.key] for records in found.values() for record in records)

    async with AIOKafkaProducer(bootstrap_servers=ground.kafka, acks="all", enable_idempotence=True) as producer:
        await producer.partitions_for(f"baton.{topic}")
        async with asyncio.timeout(ground.seconds + ARRIVE_WITHIN_S), asyncio.TaskGroup() as work:
            consuming = work.create_task(consume())
            began = time.perf_counter() + POLL_S
            async for at in _ticks(began, count):
                key = new_id().bytes
                due[key] = at
                work.create_task(producer.send_and_wait(f"baton.{topic}", body, key=key, partition=0))
            await consuming
    await consumer.stop()
    return Sample(count, time.perf_counter() - began, *latencies(took))


def idle(ground: Ground) -> Sample:
    """The services of a platform of their own, ready and at rest; the largest of them."""
    with launching() as launch:
        whole = launch(Wishes())
        with open_doors(whole) as doors:
            wait_rest(doors, READY_WITHIN_S)
        processes = {name: psutil.Process(part.pid) for name, part in whole.services.items()}
        cpu = sum(sum(process.cpu_times()[:2]) for process in processes.values())
        time.sleep(IDLE_S)
        share = (sum(sum(process.cpu_times()[:2]) for process in processes.values()) - cpu) / IDLE_S / len(processes)
        memory = {name: process.memory_info().rss / 2**20 for name, process in processes.items()}
        more = {"cores_each": share, **{f"MB, {name}": megabytes for name, megabytes in memory.items()}}
    with contextlib.suppress(ChildProcessError):  # what it used counts as ours once its end was waited for
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return Sample(len(processes), IDLE_S, megabytes=max(memory.values()), more=more)


async def _posts(ground: Ground, program: str, route: str) -> Sample:
    async with _programs(ground, program) as board:
        body = _body()

        async def one(client: int, number: int) -> None:
            await board.post(f"/v1/{route}/{new_id()}", body)

        await by_clients(msgspec.structs.replace(ground, seconds=1.0), one)  # warm
        return await by_clients(ground, one)


async def _ticks(began: float, count: int) -> AsyncIterator[float]:
    for number in range(count):
        at = began + number / PER_SECOND
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        yield at


async def _arrived(connection: asyncpg.Connection[asyncpg.Record], table: str, after: int, count: int) -> None:
    async def here() -> bool:
        found: int = await connection.fetchval(f"select count(*) from {table} where since_position > $1", after)
        return found >= count

    await until(here, ARRIVE_WITHIN_S)


@asynccontextmanager
async def _programs(ground: Ground, *names: str) -> AsyncIterator[Board]:
    """These programs, ready; the first is posted to."""
    keys, ports = ground.work / "keys", random_free()
    keys.mkdir(exist_ok=True)
    issuer.create_keys(keys)
    bearer = issuer.token(keys, person=PERSON, roles=["frontend"])
    databases: dict[str, Database] = {}
    await _fresh_topics(ground)
    started: list[subprocess.Popen[bytes]] = []
    urls = [f"http://127.0.0.1:{ports.base + number}" for number in range(len(names))]
    try:
        for name, url in zip(names, urls, strict=True):
            databases[name] = database = await new_database(ground, name)
            told = {
                "BATON_DATABASE_URL": database.url,
                "BATON_READER_URL": database.reader_url,
                "BATON_KAFKA": ground.kafka,
                "BATON_KEYS": str(keys),
                "BATON_HTTP_PORT": url.rpartition(":")[2],
                "BATON_TRACES": str(ground.work / "traces"),
            }
            with (ground.work / f"{name}.log").open("ab") as log:
                program = [sys.executable, "-m", "bench.programs", name]
                started.append(_start(program, {**os.environ, **told}, log))
        for url in urls:
            await _ready(url, ground.work)
        yield Board(urls[0], bearer, databases)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(STOP_WITHIN_S)


def _start(program: list[str], environment: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(program, env=environment, stdout=log, stderr=log)


async def _fresh_topics(ground: Ground) -> None:
    """A fresh journal may not meet the topic of another."""
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.kafka)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        old = sorted(present & {f"baton.{OWNER}", "baton.board", "baton.heads"})
        if old:
            await admin.delete_topics(old)

        async def gone() -> bool:
            return not set(await admin.list_topics()) & set(old)

        await until(gone, READY_WITHIN_S)
    finally:
        await admin.close()
    await create_topics(ground.kafka, [OWNER, "board"])


async def _ready(url: str, work: Path) -> None:
    said = ""

    async def answers() -> bool:
        nonlocal said
        try:
            answer = await client.get(f"{url}/readyz")
        except httpx.TransportError as error:
            said = repr(error)
            return False
        said = answer.text
        return answer.status_code == 200

    async with httpx.AsyncClient() as client:
        try:
            await until(answers, READY_WITHIN_S)
        except TimeoutError as error:
            raise RuntimeError(f"{url} is not ready: {said}; logs: {work}") from error


def _body() -> bytes:
    told = msgspec.to_builtins(facts(1)[0])
    return msgspec.json.encode({name: value for name, value in told.items() if name != "task"})


SIDES = {
    "ours, POST": command,
    "echo": echo,
    "bare FastAPI": bare_fastapi,
    "ours, to a view": to_a_view,
    "aiokafka, bare": bare,
    "ours, idle": idle,
}
