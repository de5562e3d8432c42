"""32 clients over two processes do everything at once to one journal; nothing they were told may turn out untrue."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from infra.local import Platform
from infra.local.databases import Database
from libs.events.journal import Journal
from tests.integration.journal_checker import Verdict, check

ROOT = Path(__file__).parents[2]
CI_SECONDS = 6.0
LONG_SECONDS = 45.0
CALM_SECONDS = 5.0
"""At the end of a run with faults, without faults."""
ENDS_WITHIN_S = 60.0
RECOVERS_WITHIN_S = 60.0
ROWS_MIN = 1_000
HARM = {"kill": 30, "end": 45, "stop": 15, "postgres": 5}
"""How often each comes, beside the others."""


class Torture:
    """Two processes of clients on one journal. A process that was killed is replaced by a new one."""

    def __init__(self, url: str, seed: int, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.random = random.Random(seed)
        self.running: list[Process] = []
        self.logs: list[Path] = []

    async def start(self, seconds: float) -> Process:
        number = len(self.logs)
        self.logs.append(self.folder / f"{number}.jsonl")
        self.logs[-1].touch()
        told = [self.url, number, self.random.getrandbits(32), seconds, self.logs[-1]]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.journal_torture",
            *map(str, told),
            cwd=ROOT,
            stdout=PIPE,
            stderr=STDOUT,
        )
        self.running.append(process)
        return process

    async def __aenter__(self) -> Torture:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def end(self) -> None:
        """Wait for the clients; what an assertion of theirs said fails the test."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            for process in self.running:
                said, _ = await process.communicate()
                print(said.decode())
                assert process.returncode in (0, -signal.SIGKILL), said.decode()


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[list[tuple[int, UUID]]]:
    """What a reader sees that follows the journal while it grows; complete when the block has ended."""
    seen: list[tuple[int, UUID]] = []
    journal = await Journal.open(url, service="reader")
    finished = asyncio.Event()

    async def follow() -> None:
        while True:
            last, hint = finished.is_set(), journal.wake.count
            entries = await journal.read(seen[-1][0] if seen else 0, 500)
            seen.extend((entry.position, entry.id) for entry in entries)
            if not entries:
                if last:
                    return
                await journal.wake.wait(0.2, since=hint)

    following = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        finished.set()
        await following
        await journal.close()


@pytest.mark.platform
async def test_32_clients_over_two_processes_find_a_journal_without_a_flaw(database: Database, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    async with Torture(database.url, seed, tmp_path) as torture, reading(database.url) as read:
        await torture.start(CI_SECONDS)
        await torture.start(CI_SECONDS)
        await torture.end()
    verdict = await check(database.url, torture.logs, read)
    report(verdict, seed)
    assert verdict.rows >= ROWS_MIN


@pytest.mark.platform
@pytest.mark.long
async def test_killed_clients_and_servers_leave_a_journal_without_a_flaw(
    platform: Platform, database: Database, tmp_path: Path
) -> None:
    """kill -9 and SIGSTOP of clients, termination of connections, kill -9 of PostgreSQL."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    async with Torture(database.url, seed, tmp_path) as torture, reading(database.url) as read:
        running = [await torture.start(LONG_SECONDS), await torture.start(LONG_SECONDS)]
        faults = await harm(torture, running, platform, database)
        await torture.end()
    print(f"faults {dict(faults)}")
    verdict = await check(database.url, torture.logs, read)
    report(verdict, seed)
    assert verdict.rows >= 10 * ROWS_MIN
    assert all(faults[kind] for kind in ("client killed", "client stopped", "connections ended", "postgres killed"))


async def harm(torture: Torture, running: list[Process], platform: Platform, database: Database) -> Counter[str]:
    loop, faults = asyncio.get_running_loop(), Counter[str]()
    end = loop.time() + LONG_SECONDS
    due = torture.random.sample(tuple(HARM), len(HARM))  # each comes about once, whatever chance brings after that
    while (left := end - loop.time()) > CALM_SECONDS:
        await asyncio.sleep(torture.random.uniform(0.1, 0.6))
        victim = torture.random.randrange(2)
        match due.pop() if due else torture.random.choices(tuple(HARM), tuple(HARM.values()))[0]:
            case "kill":
                if running[victim].returncode is None:
                    running[victim].kill()
                    faults["client killed"] += 1
                running[victim] = await torture.start(left)
            case "end":
                faults["connections ended"] += await end_some_connections(database)
            case "stop" if running[victim].returncode is None:
                running[victim].send_signal(signal.SIGSTOP)
                await asyncio.sleep(torture.random.uniform(0.1, 1.0))
                running[victim].send_signal(signal.SIGCONT)
                faults["client stopped"] += 1
            case "postgres":
                await asyncio.to_thread(kill_postgres, platform)
                faults["postgres killed"] += 1
    return faults


async def end_some_connections(database: Database) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        ended: int = await connection.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and application_name like 'baton-probe-%' and random() < 0.6"
        )
        return ended
    finally:
        await connection.close()


def kill_postgres(platform: Platform) -> None:
    platform.postgres.kill()
    platform.postgres.start()
    platform.postgres.wait_ready(RECOVERS_WITHIN_S)


def report(verdict: Verdict, seed: int) -> None:
    print(f"seed {seed}: {verdict.rows} rows, {sum(verdict.acks.values())} answers {dict(verdict.acks)}")
    assert not verdict.violations, f"seed {seed}: {dict(verdict.violations)}"
    assert all(verdict.acks[kind] for kind in ("appended", "refused", "heard", "offset"))
