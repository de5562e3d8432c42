"""Story 1's variant, on a state of its own: nobody rules, and the decision board is reached. Then the clock runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from cli.demo import START, publish
from demo.stage import Stage
from demo.stories import complaint
from infra.local import Platform
from infra.local.doors import open_doors
from infra.local.platform import Wishes
from infra.local.progress import Progress
from infra.local.rest import run_on
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def unruled(launch: Callable[[Wishes], Platform]) -> Platform:
    return launch(Wishes(clock=f"held:{START.isoformat()}"))


@pytest.fixture(scope="module")
def played(unruled: Platform) -> Iterator[Stage]:
    with open_doors(unruled) as doors:
        publish(doors, Progress(quiet=True))
        stage = Stage(doors, lambda line: None)
        complaint.play_unruled(stage)
        yield stage


def test_the_decision_board_is_asked_an_hour_after_the_common_superior(played: Stage) -> None:
    told = played.auditor().get("audit", f"/v1/cases/{complaint.REFERENCE}/history")
    raised = [
        (entry["what"]["data"]["level"], datetime.fromisoformat(entry["when"]["occurred_at"]))
        for entry in told["entries"]
        if entry["what"]["type"] == "sla.EscalationRaised"
    ]
    assert raised == [(level, played.instant(time)) for level, time in ((1, "11:40"), (2, "12:10"), (3, "13:10"))]
    assert (told["state"], told["holder"]) == ("conflict", "service")
    assert told["legs_minutes"] == [30, 40, 30, 110]


def test_the_board_was_told_and_a_member_of_it_may_rule(played: Stage) -> None:
    for person in ("ceo", "cfo"):
        letters = played.person(person).rows("notify", "/v1/inbox")
        assert "escalation-raised" in {letter["template"] for letter in letters}
    (row,) = played.person("svc-1").rows("tasks", "/v1/cases", reference=complaint.REFERENCE)
    path, ruling = f"/v1/cases/{row['case_id']}/rulings", {"responsible": "product", "reason": "the drawing was wrong"}
    refused = played.doors.as_("frontend", "prod-1").send("POST", "tasks", path, json=ruling)
    assert refused.status_code == 403, refused.text
    assert refused.json()["rule"] == "not-above-the-conflict"
    played.person("cfo").post("tasks", path, ruling)
    (after,) = played.ops().rows("sla", "/v1/escalations", case_id=row["case_id"])
    assert (after["state"], after["level"]) == ("ruled", 3)


def test_a_clock_that_runs_in_real_time_cannot_be_advanced(unruled: Platform, played: Stage) -> None:
    run_on(played.doors)
    refused = Verbs(unruled.state)("clock", "advance", "--to", "2027-01-01T00:00:00+08:00")
    assert (refused.code, refused.out) == (1, "")
    assert "runs in real time" in refused.err
    assert "--clock held:" in refused.err
