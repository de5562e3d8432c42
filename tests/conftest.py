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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from infra.local import Platform
from infra.local.databases import Database, drop_database
from infra.local.kafka import create_topics
from infra.local.platform import Wishes
from infra.local.ports import random_free
from tests.engines import Stores, containers, engine_answers
from tests.launching import launching, open_folder, remove, sweep

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """Native Kafka and PostgreSQL in a throw-away state; without services, which a test starts as it needs them."""
    sweep()
    folder = open_folder()
    running = Platform(folder / "state", random_free(), wishes=Wishes(services=()))
    running.start_foundation()
    yield running
    remove(running, folder)


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[[Wishes], Platform]]:
    """Starts a whole platform, services included, on a state of its own; ended with the module."""
    with launching() as start:
        yield start


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
