"""One platform for all fault tests: what a test leaves behind is checked again after the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infra.local.platform import Wishes
from tests.faults.ground import Ground
from tests.faults.standing import Standing
from tests.launching import launching


@pytest.fixture(scope="package")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with launching() as launch:
        platform = launch(Wishes())
        found = Standing(platform, tmp_path_factory.mktemp("faults"), Ground(platform))
        asyncio.run(found.publish())
        yield found
