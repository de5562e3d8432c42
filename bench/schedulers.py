"""Peers that keep what is to be done later: each claims what is due and runs a function that does nothing.

pgqueuer does so with as many pending as ours. procrastinate (whose query visits those first that came first) and
APScheduler (which looks at all of them) do so with nothing else pending, and with fewer due: their best case.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from bench.events import empty_database
from bench.installed import need_package
from bench.measuring import Ground, Sample

DUE = 20_000
DUE_OF_THE_SLOW = 2_000
ENQUEUED_AT_ONCE = 1_000
BATCH = 100
THREADS = 10
POLL_S = 0.01
WITHIN_S = 120.0


async def fill_pgqueuer(ground: Ground) -> Sample:
    """`size` jobs for a far day."""
    connection, queries = await _pgqueuer(ground)
    await queries.install()
    began = time.perf_counter()
    await connection.execute("alter table pgqueuer disable trigger user")
    await connection.execute(
        "insert into pgqueuer (priority, entrypoint, payload, status, execute_after)"
        " select 0, 'fire', '{}'::bytea, 'queued', now() + interval '9 years' + i * interval '1 s'"
        " from generate_series(1, $1::int) i",
        ground.size,
    )
    await connection.execute("alter table pgqueuer enable trigger user")
    await connection.execute("vacuum analyze pgqueuer")
    return Sample(ground.size, time.perf_counter() - began)


async def pgqueuer(ground: Ground) -> Sample:
    """Jobs that are due, claimed in batches by one worker that does nothing."""
    need_package("pgqueuer")
    from pgqueuer import AsyncpgDriver, PgQueuer

    connection, queries = await _pgqueuer(ground)
    for _ in range(0, DUE, ENQUEUED_AT_ONCE):
        many = ENQUEUED_AT_ONCE
        await queries.enqueue(["fire"] * many, [b"{}"] * many, [0] * many)
    worker, count = PgQueuer(AsyncpgDriver(connection)), 0

    @worker.entrypoint("fire")
    async def fire(job: object) -> None:
        nonlocal count
        count += 1
        if count >= DUE:
            worker.shutdown.set()

    began = time.perf_counter()
    await asyncio.wait_for(worker.run(batch_size=BATCH), WITHIN_S)
    return Sample(count, time.perf_counter() - began)


async def procrastinate(ground: Ground) -> Sample:
    """Jobs that are due, run by one worker, BATCH at a time."""
    need_package("procrastinate")
    import procrastinate as peer

    address = await empty_database(ground, "procrastinate")
    app, done, count = peer.App(connector=peer.PsycopgConnector(conninfo=address)), asyncio.Event(), 0

    @app.task(name="fire", queue="due")
    async def fire() -> None:
        nonlocal count
        count += 1
        if count >= DUE_OF_THE_SLOW:
            done.set()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        past = datetime.now(UTC) - timedelta(seconds=1)
        for _ in range(0, DUE_OF_THE_SLOW, ENQUEUED_AT_ONCE):
            await fire.configure(schedule_at=past).batch_defer_async(*({} for _ in range(ENQUEUED_AT_ONCE)))
        began = time.perf_counter()
        working = asyncio.create_task(
            app.run_worker_async(
                queues=["due"],
                concurrency=BATCH,
                install_signal_handlers=False,
                listen_notify=False,
                delete_jobs="always",
            )
        )
        await asyncio.wait_for(done.wait(), WITHIN_S)
        took = time.perf_counter() - began
        working.cancel()
        await asyncio.wait([working])
    return Sample(count, took)


fired_by_apscheduler = 0


def fire_by_apscheduler() -> None:
    """By name: the scheduler keeps a reference to it in its database."""
    global fired_by_apscheduler
    fired_by_apscheduler += 1


def apscheduler(ground: Ground) -> Sample:
    """Jobs that are due, run by its thread pool."""
    need_package("apscheduler")
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.disable(logging.WARNING)  # it warns of each that is late
    address = asyncio.run(empty_database(ground, "apscheduler"))
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=address.replace("postgresql://", "postgresql+psycopg2://"))},
        executors={"default": ThreadPoolExecutor(THREADS)},
        job_defaults={"misfire_grace_time": None},
    )
    scheduler.start(paused=True)
    now = datetime.now(UTC)
    for _ in range(DUE_OF_THE_SLOW):
        scheduler.add_job(fire_by_apscheduler, "date", run_date=now)
    began = time.perf_counter()
    scheduler.resume()
    while fired_by_apscheduler < DUE_OF_THE_SLOW:
        if time.perf_counter() - began > WITHIN_S:
            raise TimeoutError(f"{fired_by_apscheduler} fired within {WITHIN_S} s")
        time.sleep(POLL_S)
    took = time.perf_counter() - began
    scheduler.shutdown()
    return Sample(DUE_OF_THE_SLOW, took)


async def _pgqueuer(ground: Ground) -> tuple[asyncpg.Connection[asyncpg.Record], Any]:
    need_package("pgqueuer")
    from pgqueuer import AsyncpgDriver, Queries

    connection = await asyncpg.connect(ground.stock("pgqueuer"))
    return connection, Queries(AsyncpgDriver(connection))


SIDES = {
    "pgqueuer": pgqueuer,
    "pgqueuer, filled": fill_pgqueuer,
    "procrastinate": procrastinate,
    "APScheduler": apscheduler,
}
