"""The errands service as a program of its own, on a fresh database and topics of its own; services that
speak and hear; a browser; and which tests stay together when several processes share them.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from xdist.scheduler import LoadScopeScheduling

from infra.local.databases import Database
from libs.service.issuer import token
from tests.integration.running import Program
from tests.integration.speakers import World

LONGEST = ("whole", "test_docs.py")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_numbers = itertools.count(1)


class ByPlatform(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A module's tests stay in one process, as their fixtures do, and those of a folder, which share a platform."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def _scope(nodeid: str) -> str:
    return nodeid.removeprefix("tests/integration/").partition("::")[0].partition("/")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByPlatform:
    return ByPlatform(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first, so that no process waits for another at the end."""
    items.sort(key=lambda item: _scope(item.nodeid) not in LONGEST)


@pytest.fixture
async def program(
    database: Database, kafka: str, topics: Callable[..., Awaitable[list[str]]], tmp_path: Path
) -> Program:
    owner = f"errands{os.getpid()}n{next(_numbers)}"
    await topics(owner, "bells")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Program(
        {
            "ERRANDS_OWNER": owner,
            "BATON_DATABASE_URL": database.url,
            "BATON_READER_URL": database.reader_url,
            "BATON_KAFKA": kafka,
            "BATON_HTTP_HOST": "127.0.0.1",
            "BATON_HTTP_PORT": str(port),
            "BATON_KEYS": str(tmp_path / "keys"),
            "BATON_TRACES": str(tmp_path / "traces"),
            "BATON_CLOCK": "real",
        },
        _keys(tmp_path),
        f"http://127.0.0.1:{port}",
        tmp_path / "program.log",
    )


@pytest.fixture
async def world(
    kafka: str,
    databases: Callable[[str], Awaitable[Database]],
    topics: Callable[..., Awaitable[list[str]]],
) -> AsyncIterator[World]:
    made = World(kafka, databases, topics)
    yield made
    await made.close()


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH; Debian: apt-get install chromium")
    with sync_playwright() as driver:
        # Root has no sandbox; the pages are our own.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1600, "height": 1200})
        browser.close()


def _keys(folder: Path) -> Path:
    token(folder / "keys", person="nobody", roles=("ops",))
    return folder / "keys"
