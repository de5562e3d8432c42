"""A replayed case in words: whom each fact concerns and until when, who had the case when, and why."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date
from string import Formatter
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import replay
from cli.main import app
from cli.replay import Told, remarks, table_of, told_of
from cli.wording import WORDS, in_words
from infra.local.doors import Visitor
from libs.events.contracts import directory, gateway, goals, notify, sla, tasks

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 11, 2)
OWNERS = (directory, gateway, goals, notify, sla, tasks)


def entry(id_: str, type_: str, data: Any, at: str = "2026-11-02T02:10:00Z", **why: Any) -> Told:
    return {
        "id": id_,
        "who": {"actor": "prod-1", "name": None},
        "when": {"occurred_at": at, "recorded_at": at, "noted_at": at},
        "what": {"type": type_, "schema_version": 1, "data": data},
        "why": {"cause": None, "cause_type": None, "reasons": {}} | why,
    }


def printed(*entries: Told) -> list[list[str]]:
    """The cells of each line that has any."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table_of(entries, SHANGHAI))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in captured.get().splitlines()]


@pytest.mark.parametrize(
    ("type_", "data", "said"),
    [
        ("tasks.HandoffOffered", {"number": 1, "sender": "service", "receiver": "production"}, "to production #1"),
        (
            "tasks.ConflictRuled",
            {"responsible": "production", "consulted": ["purchasing", "product"]},
            "responsible: production; consulted: purchasing, product",
        ),
        ("notify.MessagePosted", {"to": "svc-lead", "template": "task-assigned"}, "to svc-lead; task-assigned"),
        ("sla.SlaWarned", {"step": "answer", "due_at": "2026-11-02T02:10:00Z"}, "answer; due 10:10"),
        ("sla.SlaWarned", {"step": "answer", "due_at": "2026-11-03T02:10:00Z"}, "answer; due Tue 2026-11-03 10:10"),
        ("sla.ClockStopped", {"step": "answer", "late_s": 3000}, "answer; 50 min late"),
        ("sla.ClockStopped", {"step": "answer", "late_s": 259_200}, "answer; 3 d late"),
        ("sla.ClockStopped", {"step": "answer", "late_s": 44.796}, "answer; 45 s late"),
        ("sla.SlaBreached", {"step": "answer", "unconfirmed": False}, "answer"),
        (
            "goals.KpiMeasured",
            {"kpi": "response", "hit": False, "hits": 0, "misses": 1, "corrects": False},
            "response: miss; hits 0, misses 1 so far",
        ),
        ("tasks.CaseOpened", {"holder": None}, ""),
    ],
)
def test_a_fact_says_whom_it_concerns_and_until_when(type_: str, data: Any, said: str) -> None:
    assert in_words(type_, data, MONDAY, SHANGHAI) == said


@pytest.mark.parametrize("data", [{"due_at": 7}, {"due_at": "soon"}, {}, "no JSON at all"])
def test_what_a_fact_says_otherwise_than_expected_is_left_out(data: Any) -> None:
    assert in_words("sla.SlaWarned", data, MONDAY, SHANGHAI) == ""


def test_a_fact_that_nobody_has_put_into_words_is_told_all_the_same() -> None:
    (_, line) = printed(entry("1", "trust.ScoreChanged", {"score": 7}))
    assert line == ["Mon 2026-11-02 10:10:00", "prod-1", "trust.ScoreChanged"]


def test_what_gives_no_reason_itself_is_told_with_those_of_its_cause() -> None:
    started = entry("1", "sla.ClockStarted", {"step": "answer"}, reasons={"policy": "complaint/answer"})
    warned = entry("2", "sla.SlaWarned", {"step": "answer"}, cause="1", cause_type="sla.ClockStarted")
    (_, _, line) = printed(started, warned)
    assert line[-1] == "sla.ClockStarted: complaint/answer"


def test_the_head_names_the_zone_and_when_something_was_recorded_only_where_that_was_late() -> None:
    told = entry("1", "tasks.CaseClosed", {})
    (head, _) = printed(told)
    assert head == ["when (Asia/Shanghai)", "who", "what", "to whom, until when", "why"]
    late = told | {"when": told["when"] | {"recorded_at": "2026-11-04T02:00:00Z"}}
    (head, line) = printed(late)
    assert (head[1], line[1]) == ("recorded", "2026-11-04 10:00:00")


def test_below_the_table_stands_who_had_the_case_when() -> None:
    leg = {"state": "offered", "department": "production", "start": "2026-11-02T01:40:00Z", "minutes": 30}
    unruled = {"state": "unruled", "department": None, "start": "2026-11-02T02:10:00Z", "minutes": 1440}
    told = {
        "case_id": "c",
        "reference": "STORY1",
        "state": "conflict",
        "holder": None,
        "legs": [leg | {"end": "2026-11-02T02:10:00Z"}, unruled | {"end": "2026-11-03T02:10:00Z"}],
        "breaches": [],
        "as_of": None,
        "entries": [entry("1", "tasks.CaseOpened", {})],
    }
    lines = [" ".join(line.split()) for line in remarks(told, SHANGHAI)]
    assert lines == [
        "Mon 2026-11-02 09:40–10:10 offered to production 30 min",
        "Mon 2026-11-02 10:10–Tue 2026-11-03 10:10 unruled: – 1 d",
        "STORY1 conflict, holder –",
    ]
    assert [*remarks(told | {"entries": [], "legs": []}, SHANGHAI)] == ["nothing of this case was on record then"]


@pytest.mark.parametrize(
    ("policy", "version", "said"),
    [
        ("complaint/answer", 2, "breach of complaint/answer version 2, due Mon 2026-11-02 11:40: stands"),
        ("complaint/answer", None, "breach of complaint/answer, due Mon 2026-11-02 11:40: stands"),
        ("promised", 0, "breach of what the source promised, due Mon 2026-11-02 11:40: stands"),
    ],
)
def test_a_breach_says_by_which_rule_it_was_due(policy: str, version: int | None, said: str) -> None:
    breach = {
        "policy": policy,
        "policy_version": version,
        "due_at": "2026-11-02T03:40:00Z",
        "withdrawn": False,
        "unconfirmed": False,
    }
    told = {"legs": [], "breaches": [breach], "as_of": None, "entries": []}
    assert next(remarks(told, SHANGHAI)) == said


def test_the_words_name_only_facts_and_fields_that_there_are() -> None:
    facts = {kind.name: kind.fact for owner in OWNERS for kind in owner.CONTRACT.kinds.values()}
    for name, parts in WORDS.items():
        named = {field for part in parts for _, field, _, _ in Formatter().parse(part) if field}
        assert named <= set(facts[name].__struct_fields__), f"cli/wording.py: {name}"


def test_a_case_is_asked_for_by_its_reference_whatever_characters_that_has() -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={"entries": [], "next_cursor": None})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        told_of(Visitor(client, {"audit": "http://audit"}, "token"), "RE/2024?#12 %", {})
    assert asked == [b"/v1/cases/RE%2F2024%3F%2312%20%25/history"]


def test_where_several_sources_use_a_reference_one_says_whose_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        nothing: list[Any] = []
        told = {"entries": nothing, "next_cursor": None, "legs": nothing, "breaches": nothing, "as_of": None}
        return httpx.Response(200, json=told)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        doors = SimpleNamespace(as_=lambda role, person: Visitor(client, {"audit": "http://audit"}, "token"))
        monkeypatch.setattr(replay, "running_platform", lambda: None)
        monkeypatch.setattr(replay, "open_doors", lambda *_: nullcontext(doors))
        replayed = CliRunner().invoke(app, ["replay", "--case", "STORY1", "--source", "shop"])
    assert replayed.exit_code == 0, replayed.output
    assert asked == [{"source": "shop"}]
