"""The native platform: real parts that survive being killed, and verbs that say what they do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.local import Platform
from infra.local.databases import Database
from infra.local.platform import project_root
from infra.local.ports import random_free
from infra.local.postgres import SCRAM_ITERATIONS
from infra.local.supervisor import Supervisor, told

pytestmark = pytest.mark.platform

BACK_SECONDS_MAX = 180.0


async def test_a_fresh_database_is_migrated_and_open_to_its_own_roles_only(
    database: Database, databases: Callable[[str], Awaitable[Database]]
) -> None:
    other = await databases("other")
    for address in (database.owner_url, database.url, database.reader_url):
        connection = await asyncpg.connect(address)
        assert await connection.fetchval("select current_database()") == database.name
        await connection.close()
    intruding = other.url.replace(f"/{other.name}", f"/{database.name}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(intruding)


async def test_a_wrong_password_is_refused(database: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(database.url, password="guessed")


async def test_a_new_connection_does_not_stop_a_service_for_thousands_of_rounds_of_its_password(
    platform: Platform, database: Database
) -> None:
    """The rounds stand in the verifier of each role, made when its password was set."""
    admin = await asyncpg.connect(platform.postgres.admin_url)
    try:
        kept = await admin.fetchval("select rolpassword from pg_authid where rolname = $1", database.service_role)
    finally:
        await admin.close()
    assert kept.startswith(f"SCRAM-SHA-256${SCRAM_ITERATIONS}:")


async def test_what_was_acknowledged_is_on_disk_and_a_gone_client_holds_nothing(database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "2s",
        "max_connections": "300",
        "tcp_user_timeout": "10000",  # told in milliseconds
    }
    assert {name: await connection.fetchval(f"show {name}") for name in wanted} == wanted
    await connection.close()


async def test_topics_exist_only_when_they_were_created(
    kafka: str, topics: Callable[..., Awaitable[list[str]]]
) -> None:
    await topics("probe")
    assert await topics("probe") == []
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        described = await admin.describe_topics(["baton.probe", "baton.inbound", "baton.heads", "baton.unheard_of"])
        found = {topic["topic"]: (topic["error_code"], len(topic["partitions"])) for topic in described}
    finally:
        await admin.close()
    assert found["baton.probe"] == (0, 6)
    assert found["baton.inbound"] == (0, 6)
    assert found["baton.heads"] == (0, 1)
    assert found["baton.unheard_of"] == (3, 0)  # 3: unknown, and asking for it did not create it


async def test_killed_kafka_and_postgres_come_back_with_everything_they_acknowledged(platform: Platform) -> None:
    await platform.create_topics(["killed"])
    database = (await platform.create_databases(["killed"]))["killed"]
    before = await _count_records(platform.kafka.bootstrap)
    sent = await _send(platform.kafka.bootstrap, 50)
    await _insert(database, 50)
    await asyncio.to_thread(_kill_and_start, platform)
    assert await _count_records(platform.kafka.bootstrap) - before == sent == 50
    assert await _count_rows(database) == 50
    await platform.drop_database("killed")


async def test_the_supervisor_starts_again_what_died_but_not_what_was_stopped(platform: Platform) -> None:
    with supervised(platform):
        killed = platform.postgres.kill()
        await asyncio.to_thread(_until, platform.postgres.ready, "PostgreSQL after its kill")
        assert platform.postgres.pid != killed
        _until(lambda: told(platform.state)["postgres"].restarts == 1, "the restart to be told")
        platform.postgres.stop()
        assert platform.postgres.kill() is None
        assert not platform.postgres.wanted
        assert told(platform.state)["postgres"].restarts == 1
        platform.postgres.start()
        await asyncio.to_thread(platform.postgres.wait_ready)


def test_one_verb_brings_the_platform_up_and_another_ends_all_of_it() -> None:
    with throw_away_state() as (state, baton):
        base = str(random_free().base)
        asked = ("up", "--services", "none", "--port-base", base)
        baton(*asked)
        status = json.loads(baton("status", "--json"))
        assert status["kafka"]["ready"]
        assert status["postgres"]["ready"]
        assert status["postgres"]["port"] == int(base) + 1
        assert "already up" in baton(*asked)
        assert "still run" in baton("reset", fails=True)

        psutil.Process(status["kafka"]["pid"]).kill()
        _until(lambda: told(state)["kafka"].restarts == 1, "Kafka's restart")
        _until(Platform.at(state).kafka.ready, "Kafka after its kill")
        assert "kafka has died" in baton("logs", "supervisor")

        assert "stays stopped until `baton start postgres`" in baton("stop", "postgres")
        assert "postgres was not running" in baton("stop", "postgres")
        assert "postgres: stopped by hand; `baton start postgres`" in baton(*asked, fails=True)
        assert "postgres is started, and is ready: process" in baton("start", "postgres")
        assert "postgres was running, and is ready: process" in baton("start", "postgres")

        status = json.loads(baton("status", "--json"))
        pids = [status[part]["pid"] for part in ("kafka", "postgres", "supervisor")]
        assert all(_lives(pid) for pid in pids)
        assert "stopping kafka, postgres" in baton("down")
        assert not any(_lives(pid) for pid in pids)
        assert baton("down") == "nothing was running\n"
        assert "is forgotten" in baton("reset")
        assert not (state / "kafka").exists()


def test_verbs_name_what_is_wrong_and_what_to_do() -> None:
    with throw_away_state() as (_, baton):
        assert "lacks a zone" in baton("up", "--clock", "held:2025-01-01T10:00:00", fails=True)
        assert "`held:` and an instant" in baton("up", "--clock", "stopped", fails=True)
        assert "`baton up` first" in baton("logs", "tasks", fails=True)
        assert "choose one of postgres, kafka" in baton("stop", "kitchen", fails=True)
        assert "there is no service 'kitchen'" in baton("up", "--services", "kitchen", fails=True)
        assert "there is no service 'kitchen'" in baton("restart", "kitchen", fails=True)
        assert "no service runs: `baton up` first" in baton("restart", fails=True)


@pytest.mark.long
async def test_kill_after_kill_loses_no_record_and_no_row(platform: Platform) -> None:
    await platform.create_topics(["killed"])
    database = (await platform.create_databases(["tortured"]))["tortured"]
    before = await _count_records(platform.kafka.bootstrap)
    sent = 0
    for _ in range(5):
        sent += await _send(platform.kafka.bootstrap, 500)
        await _insert(database, 500)
        await asyncio.to_thread(_kill_and_start, platform)
    print(f"kills: 5 of each, acknowledged: {sent} records, {sent} rows")
    assert await _count_records(platform.kafka.bootstrap) - before == sent
    assert await _count_rows(database) == sent
    await platform.drop_database("tortured")


def _kill_and_start(platform: Platform) -> None:
    for part in (platform.kafka, platform.postgres):
        assert part.kill() is not None
        assert part.wanted
        assert not part.ready()
    for part in (platform.kafka, platform.postgres):
        part.start()
    for part in (platform.kafka, platform.postgres):
        part.wait_ready(BACK_SECONDS_MAX)


async def _send(bootstrap: str, count: int) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        acknowledged = [await producer.send("baton.killed", b"%d" % n, partition=n % 6) for n in range(count)]
        return len(await asyncio.gather(*acknowledged))
    finally:
        await producer.stop()


async def _count_records(bootstrap: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition("baton.killed", number) for number in range(6)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def _insert(database: Database, count: int) -> None:
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("create table if not exists journal.probe (n int)")
    for number in range(count):
        await connection.execute("insert into journal.probe values ($1)", number)
    await connection.close()


async def _count_rows(database: Database) -> int:
    connection = await asyncpg.connect(database.owner_url)
    counted: int = await connection.fetchval("select count(*) from journal.probe")
    await connection.close()
    return counted


@contextmanager
def supervised(platform: Platform) -> Iterator[None]:
    supervisor = Supervisor(platform.parts, platform.state / "run" / "supervision.json")
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield
    finally:
        supervisor.end()
        thread.join()


@contextmanager
def throw_away_state() -> Iterator[tuple[Path, Callable[..., str]]]:
    """Gives `baton` on a state of its own, and ends whatever it left running."""
    with tempfile.TemporaryDirectory(prefix="baton-cli-") as folder:
        Path(folder).chmod(0o755)
        environment: dict[str, Any] = {**os.environ, "BATON_STATE": f"{folder}/state"}

        def baton(*words: str, fails: bool = False) -> str:
            program = str(project_root() / ".venv" / "bin" / "baton")
            done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode != 0) is fails, done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            return done.stdout if "--json" in words else done.stdout + done.stderr

        try:
            yield Path(folder) / "state", baton
        finally:
            baton("down")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"waited {BACK_SECONDS_MAX:.0f} s in vain for {what}"
        time.sleep(0.05)
