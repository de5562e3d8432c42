"""What the command line tells people: why a part is not ready, how old what is parked is, figures side by side."""

from __future__ import annotations

import http.server
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import demo, parked, platform, standing
from cli.clock import parse_instant
from cli.demo import refuse_differences, verdict_table
from cli.main import app
from infra.local import Platform, PlatformError
from infra.local.doors import Doors, Visitor
from infra.local.ports import HOST
from infra.local.services import Service

POLL_S = 0.01
TOLD = {
    "ready": False,
    "lag_max": 5_000,
    "lags": {"fold": 6_000.0, "parked": 3.0, "timer_overdue": 9_000.0},
    "down": {"publisher": "KafkaConnectionError: away", "listener": "the same"},
    "attention": {"gap": "baton.tasks lacks 7"},
    "restarts": {},
}


@contextmanager
def answering(status: int, body: Any) -> Iterator[int]:
    """The port of a service that answers so to everything."""
    raw = json.dumps(body).encode()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer((HOST, 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _service(port: int, tmp_path: Path) -> Service:
    return Service("tasks", tmp_path, port, tmp_path, {})


def test_a_service_that_is_not_ready_tells_why_and_one_that_is_away_tells_nothing(tmp_path: Path) -> None:
    with answering(503, TOLD) as port:
        assert _service(port, tmp_path).readiness() == TOLD
        assert not _service(port, tmp_path).ready()
    assert _service(port, tmp_path).readiness() is None
    with answering(200, {**TOLD, "ready": True}) as port:
        assert _service(port, tmp_path).ready()
    with answering(404, {}) as port:
        assert _service(port, tmp_path).readiness() is None


def test_the_first_reason_is_what_is_down_and_else_what_is_behind() -> None:
    assert standing._why(TOLD) == "publisher: KafkaConnectionError: away (and 2 more: /readyz)"
    assert standing._why({**TOLD, "down": {}}) == "fold is 6000 behind, more than 5000"


def test_nothing_that_is_told_to_programs_opens_a_database_as_its_owner(tmp_path: Path) -> None:
    state = Platform.at(tmp_path)
    told = json.dumps(standing.standing(state).for_programs())
    assert state.databases["tasks"].url in told
    assert state.databases["tasks"].owner_url not in told


def test_a_platform_that_is_down_says_how_to_bring_it_up_and_nothing_of_each_part(tmp_path: Path) -> None:
    found = standing.standing(Platform.at(tmp_path))
    assert {row[3:5] for row in found.rows()} == {("down", "–")}
    assert list(found.remarks()) == ["nothing runs: `baton up`"]
    assert not found.ready


def test_what_was_stopped_by_hand_or_has_set_something_aside_is_told_with_what_to_do(tmp_path: Path) -> None:
    parts = (
        standing.PartStanding("goals", "", None, ready=False, restarts=0),
        standing.PartStanding("tasks", "", 7, ready=True, restarts=0, parked=1),
        standing.PartStanding("sla", "", 8, ready=True, restarts=0, parked=0),
        standing.PartStanding("notify", "", None, ready=False, restarts=3, why="it has died; `baton logs notify`"),
    )
    found = standing.Standing(Platform.at(tmp_path), parts, supervisor_pid=9, clock=None)
    assert list(found.remarks()) == [
        "goals: stopped by hand; `baton start goals`",
        "tasks: 1 set aside; `baton parked list`",
        "notify is not ready: it has died; `baton logs notify`",
    ]
    assert not found.ready


def test_status_of_a_platform_with_a_part_that_is_not_ready_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_STATE", str(tmp_path))
    (tmp_path / "ports.json").write_text('{"base": 17400}')
    for arguments in (["status"], ["status", "--json"]):
        assert CliRunner().invoke(app, arguments).exit_code == 1


READING = [("status",), ("parked", "list"), ("clock", "show"), ("replay", "--case", "STORY1"), ("rebuild",)]


@pytest.mark.parametrize("verb", READING)
def test_a_verb_that_only_reads_makes_nothing_where_there_is_no_platform_and_says_so(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_STATE", str(tmp_path / "x"))
    refused = CliRunner().invoke(app, list(verb))
    assert isinstance(refused.exception, PlatformError)
    assert f"there is no platform with state {tmp_path / 'x'}: `baton up`" in str(refused.exception)
    assert not (tmp_path / "x").exists()


def test_a_service_that_the_platform_was_started_without_is_named_with_those_there_are() -> None:
    with httpx.Client() as client, pytest.raises(PlatformError, match=r"asks audit, .* started with tasks, sla"):
        Visitor(client, {"tasks": "http://tasks", "sla": "http://sla"}, "").get("audit", "/v1/cases")


def test_a_token_is_somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_STATE", str(tmp_path))
    for nobody in ("", " ", "a/b"):
        refused = CliRunner().invoke(app, ["token", "--role", "ops", "--person", nobody])
        assert (refused.exit_code, "person=" in refused.output) == (2, True)
        with httpx.Client() as client, pytest.raises(PlatformError, match="person="):
            Doors(Platform.at(tmp_path), client).as_("ops", nobody)


def test_a_state_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BATON_STATE", str(tmp_path / "file" / "state"))
    refused = CliRunner().invoke(app, ["up"])
    assert isinstance(refused.exception, PlatformError)
    assert "BATON_STATE" in str(refused.exception)


@pytest.mark.parametrize(
    ("verb", "needs"),
    [(("start", "tasks"), "postgres"), (("publish", "tasks", "--from", "1"), "kafka"), (("rebuild",), "postgres")],
)
def test_what_would_wait_in_vain_for_a_part_that_was_stopped_is_refused_with_its_name(
    verb: tuple[str, ...], needs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_STATE", str(tmp_path))
    monkeypatch.setattr(Platform, "running", lambda self: {"tasks": self.services["tasks"]})
    monkeypatch.setattr(Service, "start", lambda self: pytest.fail("it was started"))
    (tmp_path / "ports.json").write_text('{"base": 17400}')
    for name in {"postgres", "kafka"} - {needs}:
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / f"{name}.json").write_text("{}")
    refused = CliRunner().invoke(app, list(verb))
    assert isinstance(refused.exception, PlatformError)
    assert f"needs {needs}, which does not run: `baton start {needs}` first" in str(refused.exception)


def test_what_lies_in_the_state_is_for_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"base": 17400}')
    Platform.at(tmp_path)._lay_out()
    assert stat.S_IMODE((tmp_path / "ports.json").stat().st_mode) == 0o600
    assert not tmp_path.stat().st_mode & 0o066, "nobody else reads or writes; root lets PostgreSQL pass"


@pytest.mark.parametrize("verb", READING[1:])
def test_a_verb_that_needs_a_platform_says_so_when_nothing_runs(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_STATE", str(tmp_path))  # another checkout's may answer at its ports
    (tmp_path / "ports.json").write_text('{"base": 17400}')
    refused = CliRunner().invoke(app, list(verb))
    assert isinstance(refused.exception, PlatformError)
    assert f"nothing runs with state {tmp_path}: `baton up`" in str(refused.exception)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (59, "59 s"), (61, "1 min"), (7_200, "2 h"), (200_000, "2 d"), (-3, "0 s")]
)
def test_an_age_is_told_in_its_own_unit(seconds: int, shown: str) -> None:
    assert parked._age(timedelta(seconds=seconds)) == shown


def test_the_case_of_a_parked_record_is_its_subject_or_in_its_key() -> None:
    case = "018f0000-0000-7000-8000-000000000001"
    assert parked._subject({"subject": case, "key": "open-case"}) == case
    assert parked._subject({"subject": None, "key": f"main:{case}"}) == case
    assert parked._subject({"subject": None, "key": "WS-4"}) == ""


def test_what_waits_is_told_with_the_record_that_it_waits_behind() -> None:
    place = {"service": "gateway", "topic": "baton.inbound", "partition": 3, "key": "A"}
    broken = {**place, "id": "1", "state": "parked", "reason": "no title"}
    behind = {**place, "id": "2", "state": "waiting", "reason": ""}
    assert parked._why(broken, [broken, behind]) == "no title"
    assert parked._why(behind, [{**broken, "key": "B", "id": "0"}, broken, behind]) == "waits behind 1"
    assert parked._why(behind, [behind]) == "waits behind an earlier record of its key"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_service_that_does_not_answer_is_named_and_what_the_others_have_set_aside_is_listed(
    as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "id": "7",
        "state": "parked",
        "kind": "unreadable",
        "subject": None,
        "key": "WS-4",
        "reason": "no title",
        "parked_at": "2026-11-02T08:00:00+08:00",
    }
    urls = {name: f"http://{name}" for name in ("sla", "tasks")}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "sla":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"rows": [row], "next_cursor": None})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        doors = SimpleNamespace(urls=urls, as_=lambda role, person: Visitor(client, urls, "token"))
        monkeypatch.setattr(parked, "running_platform", lambda: None)
        monkeypatch.setattr(parked, "open_doors", lambda _: nullcontext(doors))
        listed = CliRunner().invoke(app, ["parked", "list", *(["--json"] if as_json else [])])
    assert "no title" in listed.output
    assert isinstance(listed.exception, PlatformError), "exit 1"
    assert str(listed.exception).startswith("the list lacks sla: sla does not answer at ")


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("2000", "2037 facts in {} are forgotten, 37 of them recorded since the last demo"),
        ("", "2037 facts in {} are forgotten"),
    ],
)
def test_a_demo_that_begins_anew_says_how_much_it_forgets(
    mark: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "positions", lambda doors: {"tasks": {"sequence": 2000}, "sla": {"sequence": 37}})
    (tmp_path / "demo").write_text(mark)
    assert demo._forgotten(Platform.at(tmp_path), tmp_path / "demo") == said.format(tmp_path)


def test_a_demo_that_begins_anew_where_nothing_answers_says_that_it_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(doors: Doors) -> Any:
        raise PlatformError("tasks does not answer")

    monkeypatch.setattr(demo, "positions", away)
    assert demo._forgotten(Platform.at(tmp_path), tmp_path / "demo") == f"what was recorded in {tmp_path} is forgotten"


def test_the_help_of_the_demo_says_that_it_erases() -> None:
    helped = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "200"})
    assert "stopped first and erased" in helped.output


def test_figures_stand_beside_the_sources_own() -> None:
    table = verdict_table([{"source": "erp", "ours": {"late": 37, "on_time": 3}, "theirs": {"late": 37, "on_time": 4}}])
    lines = [" ".join(line.split()) for line in _printed(table)]
    assert lines == ["source figure ours theirs", "erp late 37 37 equal", "erp on time 3 4 DIFFERS"]


def _printed(table: Any) -> list[str]:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def test_what_is_no_instant_is_answered_in_our_own_words() -> None:
    with pytest.raises(PlatformError) as refused:
        parse_instant("tomorrow", "--to")
    assert str(refused.value) == "--to 'tomorrow' is no instant: write 2026-11-02T11:40:00+08:00"
    with pytest.raises(PlatformError, match="--clock 'held:noon' is no instant: `real`, or"):
        platform._check_clock("held:noon")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "it is no JSON (line 1, column 2)"), (b"\xff", "no text in UTF-8"), (None, "there is no such file")],
)
def test_a_mended_file_that_cannot_be_taken_says_why(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mended.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PlatformError) as refused:
        parked._mended(path)
    assert said in str(refused.value)
    assert "Errno" not in str(refused.value)


@pytest.mark.parametrize("act", ["retry", "drop"])
def test_what_is_done_about_a_parked_record_is_refused_without_the_name_of_who_does_it(act: str) -> None:
    refused = CliRunner().invoke(app, ["parked", act, "gateway", "018f0000-0000-7000-8000-000000000001"])
    assert refused.exit_code == 2
    assert "Missing option '--person'" in refused.output


VERDICT = {"source": "jira", "ours": {"accepted": 54}, "theirs": {"accepted": 55}}
REBUILT = {"service": "sla", "view": "clocks", "rows": 7}


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (
            {"verdicts": [{**VERDICT, "equal": False}], "rebuilt": [{**REBUILT, "equal": True}]},
            "jira: accepted is 54, 55 at the source",
        ),
        ({"verdicts": [{**VERDICT, "equal": True}], "rebuilt": [{**REBUILT, "equal": False}]}, "sla.clocks"),
        ({"rebuilt": []}, "nothing"),
    ],
)
def test_a_demo_that_differs_from_its_source_or_its_journals_fails_and_names_it(
    told: dict[str, Any], named: str
) -> None:
    with pytest.raises(PlatformError, match=named):
        refuse_differences(told)


def test_a_demo_without_a_difference_is_not_refused() -> None:
    refuse_differences({"verdicts": [{**VERDICT, "equal": True}], "rebuilt": [{**REBUILT, "equal": True}]})
