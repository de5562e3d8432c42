"""The errands service with postcards that go out by HTTP; `python -m tests.integration.postcards_service` works at it
until it is killed, on the database ERRANDS_URL (for readers: ERRANDS_READER_URL), and sends to ERRANDS_SINK.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from infra.local.databases import Database
from libs.events.courier import Courier
from libs.events.effects import NotSent
from libs.events.looking import DatabaseLooks
from libs.events.service import Service
from libs.events.tests.postcards import PostcardRow, by_post, with_postcards
from tests.integration.errands_service import Errands, errands

ROOT = Path(__file__).parents[2]
CONNECT_WITHIN_S = 10.0
DEADLINE_S = 4.0
"""Of attempts by the process that is killed."""


def posting(sink: str) -> Callable[[PostcardRow, str], Awaitable[str]]:
    """Sends to the path that the postcard is addressed to. The courier bounds the wait for an answer."""
    timeout = httpx.Timeout(None, connect=CONNECT_WITHIN_S)

    async def send(row: PostcardRow, key: str) -> str:
        async with httpx.AsyncClient(timeout=timeout, verify=False) as client:  # plain HTTP: no authorities to load
            try:
                answer = await client.post(f"{sink}/{row.to}", content=b"hello", headers={"Idempotency-Key": key})
            except httpx.ConnectError as error:
                raise NotSent(f"nobody answers: {error}") from error
        if answer.status_code >= 400:
            raise NotSent(f"answered {answer.status_code}", final=answer.status_code < 500)
        return answer.text

    return send


def postcards(sink: str, *, deadline_s: float = 60.0, at_once_max: int = 8) -> Service:
    return with_postcards(by_post(posting(sink), deadline_s=deadline_s, at_once_max=at_once_max))


def courier_of(service: Service, running: Errands, database: Database) -> Courier:
    looks = DatabaseLooks(running.projector, running.pool)
    return Courier(
        service,
        running.journal,
        running.projector,
        looks,
        running.handler,
        running.clock,
        running.pool,
        dsn=database.url,
    )


@asynccontextmanager
async def posted(database: Database, service: Service) -> AsyncIterator[tuple[Errands, Courier]]:
    """One process of the service; its courier is stepped by hand or run by the test."""
    async with errands(database, service) as running:
        yield running, courier_of(service, running, database)


@asynccontextmanager
async def process(module: str, **environment: str) -> AsyncIterator[Process]:
    """A program beside this one, killed at the end."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, stdout=PIPE, env={**os.environ, **environment}
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def sending(courier: Courier) -> AsyncIterator[None]:
    """The courier runs by itself."""
    task = asyncio.create_task(courier.run())
    try:
        yield
    finally:
        failed = task.done() and task.exception()
        task.cancel()
        await asyncio.wait([task])
        assert not failed, failed


async def work(database: Database, sink: str) -> None:
    async with posted(database, postcards(sink, deadline_s=DEADLINE_S)) as (running, courier), running.working():
        await courier.run()


if __name__ == "__main__":
    found = Database("", "", os.environ["ERRANDS_URL"], os.environ["ERRANDS_READER_URL"], "", "")
    asyncio.run(work(found, os.environ["ERRANDS_SINK"]))
