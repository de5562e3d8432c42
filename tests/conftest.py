"""The platform for tests: a real Kafka and a real PostgreSQL, started once per session, and fresh databases on it.

| fixture    | gives                                                                                   |
| ---------- | --------------------------------------------------------------------------------------- |
| `platform` | the running `infra.local.Platform` (native): parts can be killed, stopped and started    |
| `launch`   | a function that starts a whole platform with services: `launch(Wishes(clock="held:…"))`  |
| `stores`   | addresses of Kafka and PostgreSQL: from containers where an engine answers, else native |
| `kafka`    | the bootstrap address                                                                    |
| `database` | a fresh, migrated database: `.owner_url`, `.url`, `.reader_url` and its roles            |
| `databases`| a function that makes more of these: `await databases("tasks")`                          |
| `topics`   | a function that creates the topics of further owners: `await topics("probe")`            |
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from infra.local import Platform
from infra.local.databases import Database, drop_database
from infra.local.kafka import create_topics
from infra.local.platform import Wishes
from infra.local.ports import random_free
from tests.engines import Stores, containers, engine_answers

PREFIX = "baton-tests-"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """Native Kafka and PostgreSQL in a throw-away state; without services, which a test starts as it needs them."""
    _sweep()
    folder = _open_folder()
    running = Platform(folder / "state", random_free(), wishes=Wishes(services=()))
    running.start_foundation()
    yield running
    _remove(running, folder)


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[[Wishes], Platform]]:
    """Starts a whole platform, services included, on a state of its own; ended with the module."""
    with ExitStack() as ended:

        def start(wishes: Wishes) -> Platform:
            folder = _open_folder()
            whole = Platform(folder / "state", random_free(), wishes=wishes)
            ended.callback(_remove, whole, folder)
            whole.start()
            return whole

        yield start


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)  # the unprivileged PostgreSQL must be able to enter
    return folder


def _remove(stopping: Platform, folder: Path) -> None:
    stopping.stop()
    stopping.postgres.erase()  # may lie elsewhere
    shutil.rmtree(folder)


def _sweep() -> None:
    """Ends what a test run that was killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        runner = int(folder.name.removeprefix(PREFIX).partition("-")[0])
        if folder.stat().st_uid == os.getuid() and not psutil.pid_exists(runner):
            _remove(Platform.at(folder / "state"), folder)


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if engine_answers() and not os.environ.get("BATON_TEST_NATIVE"):
        with containers() as running:
            yield running
    else:
        native: Platform = request.getfixturevalue("platform")
        yield Stores(native.kafka.bootstrap, native.postgres.admin_url)


@pytest.fixture(scope="session")
def kafka(stores: Stores) -> str:
    return stores.kafka


@pytest.fixture
async def databases(stores: Stores) -> AsyncIterator[Callable[[str], Awaitable[Database]]]:
    """Databases named after what they are for, each fresh, dropped after the test."""
    made: list[str] = []

    async def make(purpose: str) -> Database:
        name = f"{purpose}_{os.getpid()}_{next(_numbers)}"
        made.append(name)
        return await stores.create_database(name)

    yield make
    for name in made:
        await drop_database(stores.postgres_admin, name)


@pytest.fixture
async def database(databases: Callable[[str], Awaitable[Database]]) -> Database:
    return await databases("probe")


@pytest.fixture
def topics(kafka: str) -> Callable[..., Awaitable[list[str]]]:
    async def create(*owners: str) -> list[str]:
        return await create_topics(kafka, owners)

    return create
