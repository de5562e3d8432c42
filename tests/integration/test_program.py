"""A service as a program of its own on the real platform: its doors, its restarts, its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from infra.local.databases import Database
from libs.events.entries import new_id
from libs.service.bodies import BODY_BYTES_MAX
from libs.service.querying import AS_OF_AHEAD_MAX
from tests.integration.running import PROJECT, WITHIN_S, Program

pytestmark = pytest.mark.platform
HELD = "2026-03-02T08:00:00+00:00"


@pytest.fixture
async def served(program: Program) -> AsyncIterator[Program]:
    with program.running():
        await program.ready()
        yield program


async def test_one_reads_ones_own_writes_and_how_it_stood_before(served: Program) -> None:
    errand = new_id()
    async with served.client() as client:
        given = await client.post(f"/v1/errands/{errand}", json={"to": "ann"})
        assert (given.status_code, given.json()["facts"]) == (200, [f"{served.owner}.ErrandGiven"])
        after = {"after": given.headers["baton-position"]}
        row = (await client.get(f"/v1/errands/{errand}", params=after)).json()["row"]
        assert (row["to"], row["open"]) == ("ann", True)
        between = datetime.now(UTC).isoformat()
        passed = await client.post(
            f"/v1/errands/{errand}/pass-on", json={"to": "bob"}, headers={"If-Match": given.headers["etag"]}
        )
        assert passed.status_code == 200
        now = await client.get(f"/v1/errands/{errand}", headers={"Baton-Position": passed.headers["baton-position"]})
        assert now.json()["row"]["to"] == "bob"
        before = (await client.get(f"/v1/errands/{errand}", params={"as_of": between})).json()
        assert (before["row"]["to"], before["final"]) == ("ann", True)
        soon, ahead = ((datetime.now(UTC) + wait).isoformat() for wait in (AS_OF_AHEAD_MAX / 2, timedelta(days=1)))
        assert (await client.get(f"/v1/errands/{errand}", params={"as_of": soon})).json()["final"] is False
        future = await client.get(f"/v1/errands/{errand}", params={"as_of": ahead})
        assert (future.status_code, future.json()["faults"][0]["field"]) == (422, "query.as_of")
        assert "domain clock's now is" in future.json()["faults"][0]["cure"]
        stale = await client.post(
            f"/v1/errands/{errand}/pass-on", json={"to": "eve"}, headers={"If-Match": given.headers["etag"]}
        )
        assert (stale.status_code, stale.json()["type"]) == (409, "urn:baton:problem:version-conflict")
        await client.post(f"/v1/errands/{errand}/finish")
        refused = await client.post(f"/v1/errands/{errand}/pass-on", json={"to": "eve"})
        assert (refused.status_code, refused.json()["rule"]) == (409, "errand-is-open")


async def test_a_key_is_remembered_over_a_kill(program: Program) -> None:
    path, keyed = f"/v1/errands/{new_id()}", {"Idempotency-Key": "once"}
    with program.running() as process:
        await program.ready()
        async with program.client() as client:
            first = await client.post(path, json={"to": "ann"}, headers=keyed)
        process.kill()
        process.wait()
    with program.running():
        await program.ready()
        async with program.client() as client:
            again = await client.post(path, json={"to": "ann"}, headers=keyed)
            other = await client.post(path, json={"to": "bob"}, headers=keyed)
    assert (first.json()["known"], again.json()["known"]) == (False, True)
    assert again.json()["position"] == first.json()["position"]
    assert other.status_code == 422


async def test_another_tenant_sees_nothing(served: Program) -> None:
    errand = new_id()
    async with served.client() as ours, served.client(tenant="north") as theirs:
        position = (await ours.post(f"/v1/errands/{errand}", json={"to": "ann"})).headers["baton-position"]
        after = {"after": position}
        assert len((await ours.get("/v1/errands", params=after)).json()["rows"]) == 1
        assert (await theirs.get("/v1/errands", params=after)).json()["rows"] == []
        assert (await theirs.get(f"/v1/errands/{errand}", params=after)).status_code == 404


async def test_bad_input_gets_a_problem_and_the_process_lives_on(served: Program) -> None:
    path, as_json = f"/v1/errands/{new_id()}", {"content-type": "application/json"}

    async def ten_megabytes() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"a" * 65_536

    async with served.client() as client:
        sent: list[tuple[int, Any, dict[str, str]]] = [
            (400, b"{", as_json),
            (400, b'{"to": "\xff"}', as_json),
            (422, b'{"to": 7}', as_json),
            (422, b'{"to": "a\\u0000b"}', as_json),
            (415, b"to=ann", {"content-type": "application/x-www-form-urlencoded"}),
            (413, b"a" * 10 * BODY_BYTES_MAX, as_json),
            (413, ten_megabytes(), as_json),
        ]
        for status, content, headers in sent:
            answer = await client.post(path, content=content, headers=headers)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
        for question in ("passed_on=99999999999999999999", "cursor=abc", "to=%00"):
            assert (await client.get(f"/v1/errands?{question}")).status_code in (400, 422), question
        assert (await client.get("/v1/errands")).json()["rows"] == []
        assert (await client.post(path, json={"to": "ann"})).status_code == 200


async def test_a_cut_connection_to_the_database_is_made_anew(served: Program, database: Database) -> None:
    async with served.client() as client:
        admin = await asyncpg.connect(database.owner_url)
        service = await asyncpg.connect(database.url)
        own = service.get_server_pid()
        await service.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and usename = current_user and pid <> $1",
            own,
        )
        await service.close()
        await admin.close()
        deadline_s = time.monotonic() + WITHIN_S
        while (await client.post(f"/v1/errands/{new_id()}", json={"to": "ann"})).status_code != 200:
            assert time.monotonic() < deadline_s, "it does not come back"
        await served.ready()
        answer = await client.post(f"/v1/errands/{new_id()}", json={"to": "ann"})
        rows = await client.get("/v1/errands", params={"after": answer.headers["baton-position"]})
        assert rows.status_code == 200


async def test_a_held_clock_moves_forward_fires_and_comes_to_rest(program: Program) -> None:
    errand, due_in_s = new_id(), 3_600.0
    with program.running(BATON_CLOCK=f"held:{HELD}"):
        await program.ready()
        async with program.client() as client, program.client("ops") as ops:
            given = await client.post(f"/v1/errands/{errand}", json={"to": "ann", "due_in_s": due_in_s})
            own_write = {"after": given.headers["baton-position"]}
            clock = (await ops.get("/v1/clock")).json()
            assert datetime.fromisoformat(clock["held_at"]) == datetime.fromisoformat(HELD)
            assert (await ops.post("/v1/clock", json={"hold": "2026-03-02T07:00:00+00:00"})).status_code == 409
            assert (await ops.post("/v1/clock", json={})).status_code == 422
            assert (await client.get("/v1/clock")).status_code == 403
            later = (datetime.fromisoformat(HELD) + timedelta(hours=2)).isoformat()
            assert (await ops.post("/v1/clock", json={"hold": later})).status_code == 200
            assert (await client.get(f"/v1/errands/{errand}", params=own_write)).json()["row"]["open"] is True
            assert (await ops.post("/v1/clock", json={"fire": True})).status_code == 200
            found = await _rest(ops)
            assert (found["sequence"], found["published"]) == (2, 2)
            assert max(found["announced"].values()) == 2
            assert (await client.get(f"/v1/errands/{errand}")).json()["row"]["open"] is False
            assert (await ops.post("/v1/clock", json={"run_on": True})).json()["held_at"] is None


async def _rest(ops: httpx.AsyncClient) -> dict[str, Any]:
    """The positions once two snapshots in a row agree that nothing is left to do."""
    before: object = None
    async with asyncio.timeout(WITHIN_S):
        while True:
            found: dict[str, Any] = (await ops.get("/v1/positions")).json()
            found.pop("clock")
            done = found["folded"] == found["reacted"] == found["position"] and found["published"] == found["sequence"]
            if done and found == before and found["timers"]["waiting"] == 0:
                return found
            before = found
            await asyncio.sleep(0.05)


async def test_numbers_and_the_description_are_open_and_probes_leave_no_spans(served: Program, tmp_path: Path) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert f'baton_lag{{part="fold",service="{served.owner}"}}' in (await client.get("/metrics")).text
        described = (await client.get("/openapi.json")).json()
        assert {"/v1/errands/{errand}", "/v1/positions", "/v1/parked/{parked_id}/retry"} <= set(described["paths"])
        assert (await client.get("/v1/errands")).status_code == 401
    async with served.client("ops") as ops:
        assert (await ops.get("/v1/parked")).json() == {"rows": [], "next_cursor": None}
        assert (await ops.post(f"/v1/parked/{new_id()}/drop")).status_code == 404


def test_without_settings_it_says_which_are_missing(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.errands_program"],
        cwd=PROJECT,
        env={**bare, "ERRANDS_OWNER": "errands"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert ended.returncode == 2
    assert "BATON_DATABASE_URL is not set" in ended.stderr
