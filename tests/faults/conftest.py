"""One platform for all fault tests: what a test leaves behind is checked again after the next one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.platform import Wishes
from tests.faults.abroad import Abroad
from tests.faults.ground import Ground, Network
from tests.faults.kills import Site, all_ready
from tests.faults.standing import Standing
from tests.launching import launching

HERE = Path(__file__).parent
LEFT_BEHIND = ("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*nclosed:ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A broker that dies while aiokafka bootstraps leaves a connection of the client to the garbage collector, which
    comes when it pleases: in this test or in one that follows.
    """
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.filterwarnings(*LEFT_BEHIND))


@pytest.fixture(scope="package")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with Network.own(), Abroad() as abroad, launching() as launch:
        platform = launch(Wishes(environment=abroad.environment))
        found = Standing(platform, tmp_path_factory.mktemp("faults"), abroad)
        asyncio.run(found.publish())
        yield found
        gc.collect()


@pytest.fixture(scope="package")
def site(standing: Standing) -> Site:
    found = Site(standing.platform, Ground(standing.platform))
    asyncio.run(all_ready(standing.platform))  # after the move of its data
    return found
