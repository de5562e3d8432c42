"""`baton demo`, as a newcomer runs it: from nothing to the story and the real input, and everything down again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import Platform
from infra.local.doors import open_doors
from infra.local.rest import positions
from tests.integration.whole.verbs import Verbs
from tests.launching import open_folder, remove

pytestmark = pytest.mark.platform
VERDICTS = {
    "northwind": {"orders": 830, "shipped": 809, "late": 37, "open": 21},
    "boston311": {"requests": 100, "closed": 85, "judged": 77, "on_time": 72, "late": 5, "without_target": 8},
    "jira": {"accepted": 55, "duplicate": 55, "work_items": 14},
}


@pytest.fixture
def state() -> Iterator[Path]:
    folder = open_folder()
    yield folder / "state"
    remove(Platform.at(folder / "state"), folder)


@pytest.mark.long
def test_the_demo_comes_out_leaves_the_platform_up_and_goes_down(state: Path) -> None:
    baton = Verbs(state, ends_within_s=900.0)
    told = baton("demo", "--traces", "--json").told
    assert told["legs_minutes"] == [30, 40, 30, 65, 5, 60]
    assert {verdict["source"]: verdict["ours"] for verdict in told["verdicts"]} == VERDICTS
    assert all(verdict["ours"] == verdict["theirs"] for verdict in told["verdicts"])
    assert len(told["rebuilt"]) > 40
    assert all(view["equal"] for view in told["rebuilt"])
    assert all(service["ready"] for service in baton("status", "--json").told["services"])
    with open_doors(Platform.at(state)) as doors:
        assert {at["clock"]["held_at"] for at in positions(doors).values()} == {None}, "the clock runs on"
    assert baton("replay", "--case", "STORY1", "--json").told["case_id"] == told["case"]
    again = baton("demo", "--no-real-input", "--story", "complaint-unruled", "--json").told
    assert "rung 3 of the ladder is asked" in again["checks"], "on an empty state once more"
    assert "verdicts" not in again
    assert baton("status", "--json").told["traces"], "the page that was up is there again"
    assert "zipkin" in Platform.at(state).running()
    assert baton("down").code == 0
    assert Platform.at(state).running() == {}


def test_a_state_that_is_not_a_demos_is_not_thrown_away(tmp_path: Path) -> None:
    kept = Platform.at(tmp_path).postgres.data
    kept.mkdir(parents=True)
    refused = Verbs(tmp_path)("demo")
    assert (refused.code, refused.out) == (1, "")
    assert "--over" in refused.err
    assert kept.exists()


def test_a_story_that_nobody_wrote_is_refused_with_those_there_are(tmp_path: Path) -> None:
    refused = Verbs(tmp_path)("demo", "--story", "cinderella")
    assert refused.code == 1
    assert "complaint-unruled" in refused.err
