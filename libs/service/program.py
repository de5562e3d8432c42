"""One service as a program: settings, parts, roles, doors, and an end within five seconds.

if __name__ == "__main__":
    run(SERVICE, router)
"""

from __future__ import annotations

import asyncio
import logging as logs
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic_settings import BaseSettings

from libs.events.errors import Unavailable
from libs.events.journal import Journal
from libs.events.service import Service
from libs.service import collector, logging, operations
from libs.service.app import create_app
from libs.service.auth import Verifier
from libs.service.database import READERS_MAX, open_pool
from libs.service.errors import SettingsError
from libs.service.health import Readiness, health_router, readiness
from libs.service.machinery import Machinery, Taking, assemble, prepare
from libs.service.metrics import Metrics
from libs.service.problems import AWAY
from libs.service.roles import Roles
from libs.service.settings import Settings, load, read
from libs.service.standing import diverged, lags, lags_in_memory, trouble
from libs.service.telemetry import Telemetry

START_WITHIN_S = 60.0
START_BACKOFF_S = 0.5
LOOK_WITHIN_S = 3.0
"""Waiting for journal and topic to be compared before the doors open; while Kafka is away they open all the same."""
REQUESTS_END_WITHIN_S = 1
JOURNAL_CLOSE_WITHIN_S = 1.0
KEEP_ALIVE_S = 30
HEADER_BYTES_MAX = 32 * 1024
_log = logs.getLogger("baton.program")


def run(
    service: Service, router: APIRouter, *, inbound: Taking | None = None, own: type[BaseSettings] | None = None
) -> None:
    """Serve until told to stop. `inbound`: makes the function that takes in foreign events from Kafka. `own`: settings
    of this service's own, which it reads when it needs them: wrong ones are said at the start.
    """
    try:
        settings = load()
        if own is not None:
            read(own)
        app = application(service, router, settings, inbound)
        sockets = [_shared(settings)] if settings.http_shared else None
    except SettingsError as error:
        print(f"{service.name}: {error}", file=sys.stderr)
        sys.exit(2)
    logging.start(service.name, settings.log_level)
    server = _Server(
        app,
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=REQUESTS_END_WITHIN_S,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        ),
    )
    collector.calm()
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(3)


class _Server(uvicorn.Server):
    """Told to stop, it ends the roles that no request waits for at once: a process that is catching up would else go on
    with that while its last requests are answered, and end late.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        roles: Roles = self._app.state.roles
        roles.wind_down()
        await super().shutdown(sockets)


def _shared(settings: Settings) -> socket.socket:
    """The port, which another process of this service and user may have as well. Nobody is connected to this process
    before it listens, which it does when it is prepared.
    """
    (family, *_, address), *_ = socket.getaddrinfo(settings.http_host, settings.http_port, type=socket.SOCK_STREAM)
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise SettingsError(f"BATON_HTTP_PORT={settings.http_port}: {error.strerror}; choose another one") from error
    return found


def application(service: Service, router: APIRouter, settings: Settings, inbound: Taking | None = None) -> FastAPI:
    """The service's application; entering its lifespan starts the machinery, leaving it ends it."""
    metrics = Metrics(service.name)
    telemetry = Telemetry(service.name, settings.traces)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.start()
        try:
            async with running(service, settings, metrics, inbound) as (machinery, roles):
                app.state.machinery, app.state.roles, app.state.doors = machinery, roles, machinery.doors
                yield
        finally:
            await asyncio.to_thread(telemetry.stop)

    async def ready() -> Readiness:
        machinery: Machinery = app.state.machinery
        return await readiness(
            app.state.roles,
            lambda: lags(machinery),
            lambda: trouble(machinery),
            lambda: diverged(machinery),
            lambda: lags_in_memory(machinery),
        )

    app = create_app(
        service.name,
        [health_router(ready, metrics), operations.router, router],
        verifier=Verifier(settings.keys, settings.issuer, settings.audience),
        metrics=metrics,
        lifespan=lifespan,
        tracer_provider=telemetry.provider,
    )
    return app


@asynccontextmanager
async def running(
    service: Service, settings: Settings, metrics: Metrics, inbound: Taking | None = None
) -> AsyncIterator[tuple[Machinery, Roles]]:
    """The machinery, prepared, with its roles at work; everything is let go of at the end."""
    pool, reader_pool, journal = await _connected(service, settings)
    journal.observe_groups(metrics.group)
    roles: Roles | None = None
    try:
        machinery = assemble(service, settings, journal, pool, reader_pool, inbound)
        await prepare(machinery, settings)
        roles = Roles(machinery.roles)
        roles.start("publisher")  # first: nothing is to be noted in a journal that was restored from a backup
        if not await machinery.publisher.looked(LOOK_WITHIN_S):
            _log.warning("%s works before its journal could be compared with its topic", service.name)
        roles.start()
        _log.info("%s runs", service.name)
        yield machinery, roles
    finally:
        if roles is not None:
            await roles.stop()
        await _close(journal)
        pool.terminate()
        reader_pool.terminate()


async def _connected(service: Service, settings: Settings) -> tuple[asyncpg.Pool, asyncpg.Pool, Journal]:
    """Pools and journal, as soon as the database answers; after START_WITHIN_S the program gives up and says why."""
    deadline_s = time.monotonic() + START_WITHIN_S
    while True:
        pools: list[asyncpg.Pool] = []
        try:
            for dsn, connections_max in ((settings.database_url, None), (settings.reader_url, READERS_MAX)):
                bound = {} if connections_max is None else {"connections_max": connections_max}
                pools.append(await open_pool(dsn, f"baton-{service.name}", **bound))
            return pools[0], pools[1], await Journal.open(settings.database_url, service=service.name)
        except AWAY as error:
            for pool in pools:
                pool.terminate()
            if time.monotonic() > deadline_s:
                raise Unavailable(f"the database did not answer within {START_WITHIN_S} s: {error!r}") from error
            _log.warning("waiting for the database: %r", error)
            await asyncio.sleep(START_BACKOFF_S)


async def _close(journal: Journal) -> None:
    try:
        async with asyncio.timeout(JOURNAL_CLOSE_WITHIN_S):
            await journal.close()
    except TimeoutError:
        _log.warning("what waited for the journal was not appended within %s s", JOURNAL_CLOSE_WITHIN_S)
