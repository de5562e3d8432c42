"""Story 1, the complaint that nobody wants: what can be asked about it afterwards, at the doors and by replay."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from demo.stage import Stage, StoryFailed
from demo.stories import complaint
from demo.stories.complaint import LEG_HOLDERS, LEGS_MINUTES, REFERENCE
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform
SECOND = timedelta(seconds=1)
BREACHED = "sla.SlaBreached"
OFFERED = ["tasks.HandoffOffered"]


@pytest.fixture
def history(stage: Stage, case: str) -> Any:
    """Asks audit, on either axis."""

    def ask(**axes: datetime | str) -> Any:
        asked = {name: at.isoformat() if isinstance(at, datetime) else at for name, at in axes.items()}
        return stage.auditor().get("audit", f"/v1/cases/{case}/history", **asked)

    return ask


def types(told: Any) -> list[str]:
    return [entry["what"]["type"] for entry in told["entries"]]


def test_the_story_came_out_check_by_check(stage: Stage, case: str) -> None:
    assert len(stage.checks) >= 45


def test_a_story_that_comes_out_otherwise_fails_and_says_what_was_seen(
    stage: Stage, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complaint, "LEGS_MINUTES", [30, 40, 30, 65, 5, 61])
    with pytest.raises(StoryFailed, match=r"the legs in minutes: expected .*61\], seen .*60\]"):
        complaint.expect_history(stage, case)


def test_replay_finds_the_case_by_reference_and_by_id_and_counts_the_legs(baton: Verbs, case: str) -> None:
    by_reference = baton("replay", "--case", REFERENCE, "--json").told
    by_id = baton("replay", "--case", case, "--json").told
    assert by_reference["legs_minutes"] == LEGS_MINUTES == [30, 40, 30, 65, 5, 60]
    assert sum(by_reference["legs_minutes"]) == 230
    assert (by_id["case_id"], by_id["entries"]) == (case, by_reference["entries"])
    (breach,) = by_id["breaches"]
    assert datetime.fromisoformat(breach["due_at"]) == datetime.fromisoformat("2026-11-02T11:40+08:00")


def test_replay_as_of_half_past_eleven_shows_the_conflict_and_no_breach(baton: Verbs, stage: Stage, case: str) -> None:
    then = stage.instant("11:30").isoformat()
    told = baton("replay", "--case", REFERENCE, "--as-of", then, "--json").told
    assert (told["state"], told["breaches"], told["final"]) == ("conflict", [], True)
    assert "tasks.ConflictOpened" in types(told)
    assert BREACHED not in types(told)
    assert told["legs_minutes"] == [30, 40, 30, 10]


def test_replay_tells_people_who_did_what_when_and_why(baton: Verbs, case: str) -> None:
    told = baton("replay", "--case", REFERENCE)
    assert told.code == 0, told.err
    (line,) = [line for line in told.out.splitlines() if "tasks.ConflictRuled" in line]
    assert "Mon 2026-11-02 12:25:00" in line
    assert "钱立" in line
    assert "the veneer was pressed in our plant" in line
    assert "responsible: production; consulted:" in line
    legs = re.findall(r"\d\d:\d\d–\d\d:\d\d  (offered to|held by|unruled:) (\S+) +(\d+) min", told.out)
    assert [int(minutes) for _, _, minutes in legs] == LEGS_MINUTES
    assert [None if who == "–" else who for _, who, _ in legs] == LEG_HOLDERS


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--case", "NOBODY"), "NOBODY"),
        (("--case", REFERENCE, "--as-of", "yesterday"), "--as-of"),
        (("--case", REFERENCE, "--as-of", "2026-11-02T11:30"), "zone"),
        (("--case", REFERENCE, "--tenant", "other"), REFERENCE),
    ],
)
def test_replay_that_cannot_be_answered_says_what_is_wrong(
    baton: Verbs, case: str, arguments: tuple[str, ...], named: str
) -> None:
    refused = baton("replay", "--json", *arguments)
    assert refused.code == 1
    assert refused.out == ""
    assert named in refused.err
    assert "Traceback" not in refused.err


def test_a_second_before_and_after_each_handoff_one_department_holds_the_case(history: Any, stage: Stage) -> None:
    """Who holds it, and how often it had been offered by then."""
    for time, before, after in (
        ("09:40", ("service", 0), ("service", 1)),
        ("10:10", ("service", 1), ("service", 2)),
        ("10:50", ("service", 2), ("service", 3)),
        ("11:20", ("service", 3), ("service", 3)),
        ("12:25", ("service", 3), ("service", 4)),
        ("12:30", ("service", 4), ("production", 4)),
    ):
        for moment, wanted in ((stage.instant(time) - SECOND, before), (stage.instant(time) + SECOND, after)):
            told = history(as_of=moment)
            assert (told["holder"], types(told).count("tasks.HandoffOffered")) == wanted, moment
            assert told["final"] is True


def test_what_had_happened_by_an_instant_is_asked_apart_from_what_was_known(history: Any, stage: Stage) -> None:
    whole = history()
    for time in ("11:19", "11:21", "12:00", "13:00"):
        instant = stage.instant(time)
        by_then = history(occurred_until=instant)
        wanted = [e["id"] for e in whole["entries"] if datetime.fromisoformat(e["when"]["occurred_at"]) <= instant]
        assert sorted(e["id"] for e in by_then["entries"]) == sorted(wanted)
        assert [leg["department"] for leg in by_then["legs"]] == [
            leg["department"] for leg in history(as_of=instant)["legs"]
        ]
    nothing = history(as_of=stage.instant("09:30"), occurred_until=stage.instant("13:00"))
    assert types(nothing) == types(history(as_of=stage.instant("09:30")))


def test_every_fact_says_who_when_and_why(history: Any, stage: Stage) -> None:
    told = history()
    by_id = {entry["id"]: entry for entry in told["entries"]}
    for entry in told["entries"]:
        when = {name: datetime.fromisoformat(text) for name, text in entry["when"].items()}
        assert when["occurred_at"] <= when["recorded_at"] <= when["noted_at"], entry
        actor, cause = entry["who"]["actor"], entry["why"]["cause"]
        assert actor
        if "/" not in actor and actor != "web-shop":
            assert entry["who"]["name"], f"{actor} is somebody of the organisation"
            assert cause is None, "people are not caused"
        if cause in by_id:
            noted = [datetime.fromisoformat(by_id[each]["when"]["noted_at"]) for each in (cause, entry["id"])]
            assert noted[0] < noted[1], "a cause is noted before its effect"


def test_the_messages_say_by_which_rule_and_which_fact(history: Any, stage: Stage, case: str) -> None:
    ids = {entry["id"]: entry["what"]["type"] for entry in history()["entries"]}
    rows = stage.ops().rows("notify", "/v1/messages", case_id=case, zone="Asia/Shanghai")
    assert {row["cause"] for row in rows} <= set(ids)
    assert all(row["because"] and row["en"] and row["zh"] for row in rows)
    breach = [row for row in rows if row["template"] == "sla-breached"]
    assert breach
    assert {ids[row["cause"]] for row in breach} == {BREACHED}


def test_people_read_their_own_letters_and_nobody_elses(stage: Stage, case: str) -> None:
    (letter,) = [
        row for row in stage.person("vp-ops").rows("notify", "/v1/inbox") if row["template"] == "escalation-raised"
    ]
    assert (letter["to"], letter["case_id"]) == ("vp-ops", case)
    refused = stage.doors.as_("frontend", "prod-1").send("GET", "notify", "/v1/inbox", params={"person": "vp-ops"})
    assert (refused.status_code, refused.json()["rule"]) == (403, "own-inbox-only")
