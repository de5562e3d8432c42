"""What people and programs ask of `baton`: where everything is, who may come in, what time it is."""

from __future__ import annotations

import re
import socket
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from demo.sources import jira
from demo.stage import Stage
from infra.local import Platform
from infra.local.rest import positions
from libs.service.auth import ROLES
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform
SERVICES = {"goals", "tasks", "sla", "notify", "directory", "audit", "gateway"}
OPENS = {
    "integration": ("POST", "gateway", "/events", 400),
    "ops": ("GET", "tasks", "/v1/positions", 200),
    "auditor": ("GET", "audit", "/v1/cases", 200),
    "frontend": ("GET", "notify", "/v1/inbox", 200),
}
"""A door that opens to this role and to no other; what it answers to an empty body."""


async def test_status_tells_programs_where_everything_is(baton: Verbs, case: str) -> None:
    told = baton("status", "--json").told
    assert {each["name"] for each in told["services"]} == SERVICES
    for each in told["services"]:
        assert each["ready"] is True
        assert psutil.pid_exists(each["pid"])
    host, _, port = told["kafka"]["bootstrap"].partition(":")
    socket.create_connection((host, int(port)), timeout=30).close()
    databases = told["postgres"]["databases"]
    assert set(databases) == SERVICES
    for database in databases.values():
        connection = await asyncpg.connect(database["url"])
        assert await connection.fetchval("select count(*) > 0 from journal.entries")
        await connection.close()


def test_every_service_that_status_names_answers_there(baton: Verbs, case: str) -> None:
    for each in baton("status", "--json").told["services"]:
        assert httpx.get(each["url"] + "/readyz", timeout=30).status_code == 200
        assert httpx.get(each["url"] + "/openapi.json", timeout=30).json()["info"]["title"] == f"Baton {each['name']}"


def test_status_tells_people_too(baton: Verbs, platform_told: Platform) -> None:
    told = baton("status")
    assert told.code == 0
    assert re.search(r"^domain clock: \S+ held$", told.out, re.M)
    for name, service in platform_told.services.items():
        (line,) = [line for line in told.out.splitlines() if line.startswith(name)]
        assert service.url in line
        assert "yes" in line


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_token_opens_the_doors_of_its_role_and_no_other(
    baton: Verbs, platform_told: Platform, case: str, role: str
) -> None:
    printed = baton("token", "--role", role, "--person", "prod-1")
    assert printed.code == 0, printed.err
    headers = {"Authorization": f"Bearer {printed.out.strip()}", "Content-Type": "application/cloudevents+json"}
    for opening, (method, service, path, status) in OPENS.items():
        answer = httpx.request(method, platform_told.services[service].url + path, headers=headers, timeout=30)
        if role == opening or (role == "ops" and path in ("/v1/cases", "/v1/inbox")):
            assert answer.status_code == status, answer.text
        else:
            assert (answer.status_code, answer.json()["rule"]) == (403, "role"), answer.text
            assert opening in answer.json()["detail"]


def test_a_role_that_does_not_exist_is_refused_with_those_that_do(baton: Verbs) -> None:
    refused = baton("token", "--role", "king", "--person", "prod-1")
    assert (refused.code, refused.out) == (2, "")
    assert "king" in refused.err
    assert all(role in refused.err for role in ROLES)


def test_what_is_signed_with_the_secret_is_read_and_nothing_else(
    baton: Verbs, platform_told: Platform, case: str
) -> None:
    printed = baton("secret", "jira")
    assert printed.code == 0, printed.err
    raw, url = b'{"webhookEvent": 7}', platform_told.services["gateway"].url + "/webhooks/jira"
    for secret, status in ((printed.out.strip(), 422), ("guessed", 401)):
        headers = {"Content-Type": "application/json", "X-Hub-Signature": jira.signature(raw, secret)}
        assert httpx.post(url, content=raw, headers=headers, timeout=30).status_code == status
    assert baton("secret", "erp").code == 2


def test_a_held_clock_is_shown_and_advanced_for_all_services_together(baton: Verbs, stage: Stage, case: str) -> None:
    before = {datetime.fromisoformat(clock["now"]) for clock in baton("clock", "show", "--json").told.values()}
    assert len(before) == 1
    later = (before.pop() + timedelta(hours=1)).isoformat()
    moved = baton("clock", "advance", "--to", later)
    assert moved.code == 0, moved.err
    assert "at rest" in moved.out
    held = {at["clock"]["held_at"] for at in positions(stage.doors).values()}
    assert {datetime.fromisoformat(instant) for instant in held} == {datetime.fromisoformat(later)}


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("2026-11-02T09:00+08:00", "moves forward"),
        ("2026-11-09T09:00", "lacks a zone"),
        ("tomorrow", "is no instant"),
    ],
)
def test_a_clock_is_not_moved_backwards_or_to_no_instant(
    baton: Verbs, stage: Stage, case: str, to: str, reason: str
) -> None:
    refused = baton("clock", "advance", "--to", to)
    assert (refused.code, refused.out) == (1, "")
    assert reason in refused.err
    assert "Traceback" not in refused.err


def test_help_names_every_verb(baton: Verbs) -> None:
    helped = baton("--help")
    assert helped.code == 0
    for verb in ("up", "down", "status", "demo", "clock", "import", "replay", "rebuild", "parked", "token", "secret"):
        assert re.search(rf"\b{verb}\b", helped.out), verb


def test_addresses_are_on_this_machine_only(baton: Verbs) -> None:
    told = baton("status", "--json").told
    hosts = {urlsplit(each["url"]).hostname for each in told["services"]}
    assert hosts | {told["kafka"]["bootstrap"].partition(":")[0], told["postgres"]["host"]} == {"127.0.0.1"}


def test_a_journal_is_recovered_of_no_service_that_runs_and_of_none_that_does_not_exist(
    baton: Verbs, case: str
) -> None:
    runs = baton("recover", "tasks")
    assert (runs.code, runs.out) == (1, "")
    assert re.fullmatch(r"baton: tasks still runs \(.*publisher.*\): `baton stop tasks` first\n", runs.err)
    unknown = baton("recover", "taks")
    assert unknown.code == 1
    assert "there is no service 'taks': choose one of" in unknown.err
