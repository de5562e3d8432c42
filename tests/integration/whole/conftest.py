"""One platform for this folder, its clock held, Zipkin beside it, on which the complaint that nobody wants was played.

The tests leave it as they found it, or add what is of no matter to the others: cases of their own, later instants.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.demo import START, publish
from demo.stage import Stage
from demo.stories import complaint
from infra.local import Platform
from infra.local.doors import Doors, open_doors
from infra.local.platform import Wishes
from infra.local.progress import Progress
from tests.integration.whole.verbs import Verbs
from tests.launching import launching


@pytest.fixture(scope="package")
def platform_told() -> Iterator[Platform]:
    with launching() as start:
        yield start(Wishes(clock=f"held:{START.isoformat()}", traces=True))


@pytest.fixture(scope="package")
def doors(platform_told: Platform) -> Iterator[Doors]:
    with open_doors(platform_told) as opened:
        yield opened


@pytest.fixture(scope="package")
def stage(doors: Doors) -> Stage:
    """Where the complaint was played."""
    publish(doors, Progress(quiet=True))
    return Stage(doors, _silent)


@pytest.fixture(scope="package")
def case(stage: Stage) -> str:
    """The id of the complaint's case; its own checks have run."""
    return complaint.play(stage)


@pytest.fixture(scope="package")
def baton(platform_told: Platform) -> Verbs:
    return Verbs(platform_told.state)


def _silent(line: str) -> None:
    """A stage says what happens; a test only looks at what came of it."""
