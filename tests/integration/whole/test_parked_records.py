"""A record that nobody can read: its key waits, others flow, and an operator decides, on record, by `baton parked`."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from demo.stage import Stage
from infra.local import Platform
from infra.local.rest import wait_rest
from infra.local.services import ORDER
from libs.events.contracts.tasks import case_id
from libs.events.wire import record_key
from tests.integration.whole.records import Record, write
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform
SOURCE = "city"
RECEIVED = {
    "template": "citizen-request",
    "category": "street",
    "title": "a hole in the road",
    "department": "operations",
}
ACTS = "select type, actor, data from journal.entries where decided and type like '%Parked%' order by position"


def event(name: str, type_: str, reference: str, data: Any = None) -> Record:
    """A CloudEvent in binary mode, keyed by the reference that it is about."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": name,
        "ce_source": SOURCE,
        "ce_type": f"baton.request.{type_}.v1",
        "content-type": "application/json",
    }
    return Record(reference, json.dumps({"reference": reference} if data is None else data).encode(), headers)


def received(reference: str) -> Record:
    return event(f"received-{reference}", "received", reference, {"reference": reference, **RECEIVED})


def acts(platform: Platform, service: str) -> list[tuple[str, str, Any]]:
    """What was parked, released and dropped there, by whom, from its journal."""

    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(platform.database(service).url)
        try:
            return list(await connection.fetch(ACTS))
        finally:
            await connection.close()

    return [(row["type"], row["actor"], json.loads(row["data"])) for row in asyncio.run(read())]


def states(stage: Stage, *references: str) -> dict[str, str | None]:
    """State of the case of each reference, None where there is none."""
    found = {}
    for reference in references:
        rows = stage.ops().rows("tasks", "/v1/cases", reference=reference)
        found[reference] = rows[0]["state"] if rows else None
    return found


def hearing(owner: str) -> set[str]:
    """Who listens to this owner."""
    services = {name: importlib.import_module(f"services.{name}.main").SERVICE for name in ORDER}
    return {name for name, each in services.items() if owner in {contract.owner for contract in each.hears}}


def listed(baton: Verbs, service: str) -> list[Any]:
    told: list[Any] = baton("parked", "list", "--service", service, "--json").told
    return told


def test_an_unreadable_record_from_outside_is_mended_and_what_waited_follows_in_order(
    baton: Verbs, platform_told: Platform, stage: Stage, case: str, tmp_path: Path
) -> None:
    broken = event("received-HOLE", "received", "HOLE", {"reference": 7})
    write(
        platform_told.kafka.bootstrap,
        "baton.inbound",
        [broken, event("closed-HOLE", "closed", "HOLE"), received("TREE"), event("closed-TREE", "closed", "TREE")],
    )
    wait_rest(stage.doors)
    assert states(stage, "HOLE", "TREE") == {"HOLE": None, "TREE": "closed"}
    poison, behind = listed(baton, "gateway")
    assert (poison["state"], poison["kind"], poison["key"]) == ("parked", "unreadable", "HOLE")
    assert "data.reference" in poison["reason"]
    assert (behind["state"], behind["key"]) == ("waiting", "HOLE")

    as_it_came = baton("parked", "retry", "gateway", poison["id"], "--person", "ops-1", "--json")
    assert json.loads(as_it_came.out)["state"] == "parked", "nothing about it has changed"
    told = baton("parked", "retry", "gateway", poison["id"], "--person", "ops-1")
    assert (told.code, told.out) == (1, ""), "said once, as the failure that it is"
    assert f"{poison['id']} is parked still: " in told.err
    _, first, second, _ = baton("parked", "list", "--service", "gateway").out.splitlines()
    assert "data.reference" in first
    assert second.endswith(f"HOLE waits behind {poison['id']}")
    refused = baton("parked", "retry", "gateway", behind["id"], "--person", "ops-1")
    assert refused.code == 1
    assert "409" in refused.err
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps({"reference": "HOLE", **RECEIVED}), encoding="utf-8")
    released = baton("parked", "retry", "gateway", poison["id"], "--person", "ops-1", "--mended", str(mended), "--json")
    assert released.told["state"] == "released"
    wait_rest(stage.doors)
    assert states(stage, "HOLE") == {"HOLE": "closed"}, "it was received, and then closed"
    assert listed(baton, "gateway") == []


def test_what_operators_did_is_on_record(platform_told: Platform, stage: Stage, baton: Verbs, case: str) -> None:
    write(platform_told.kafka.bootstrap, "baton.inbound", [event("bad", "received", "DROPPED", [])])
    wait_rest(stage.doors)
    (poison,) = listed(baton, "gateway")
    dropped = baton("parked", "drop", "gateway", poison["id"], "--person", "ops-7", "--json").told
    assert (dropped["state"], dropped["ended_by"]) == ("dropped", "ops-7")
    assert listed(baton, "gateway") == []
    about = [(type_, actor) for type_, actor, data in acts(platform_told, "gateway") if data["parked"] == poison["id"]]
    assert about == [("gateway.RecordParked", "gateway/inbound"), ("gateway.ParkedRecordDropped", "ops-7")]
    again = baton("parked", "drop", "gateway", poison["id"], "--person", "ops-7")
    assert again.code == 1
    assert "409" in again.err
    assert f"the record {poison['id']} was dropped before" in again.err
    assert f"记录 {poison['id']} 此前已放弃" in again.err
    nobody = baton("parked", "list", "--service", "gateaway")
    assert nobody.code == 1
    assert "there is no service 'gateaway': choose one of" in nobody.err


@pytest.fixture
def two_cases(platform_told: Platform, stage: Stage, case: str) -> tuple[str, str]:
    """One whose key is poisoned on the topic of tasks, and one that is not."""
    ids = []
    for reference in ("POISONED", "HEALTHY"):
        complaint = {"template": "complaint", "category": "quality", "title": "scratches", "form": {}}
        received = {
            "specversion": "1.0",
            "id": f"received-{reference}",
            "source": SOURCE,
            "type": "baton.request.received.v1",
            "data": {"reference": reference, **complaint},
        }
        stage.integration(SOURCE).send(received)
        ids.append(str(case_id("main", SOURCE, reference)))
    key = record_key("main", UUID(ids[0]))
    garbage = Record(key.decode(), b"\xff\x00 no JSON", {"ce_id": "?"})
    write(platform_told.kafka.bootstrap, "baton.tasks", [garbage])
    return ids[0], ids[1]


def test_garbage_on_the_topic_of_a_service_holds_back_its_key_alone_until_it_is_dropped(
    baton: Verbs, platform_told: Platform, stage: Stage, two_cases: tuple[str, str]
) -> None:
    wait_rest(stage.doors)
    form = {"customer": "C-1", "order": "SO-1", "product": "door", "defect": "scratches"}
    for each in two_cases:
        stage.person("svc-1").post("tasks", f"/v1/cases/{each}/form", {"form": form})
    poisoned, healthy = two_cases

    def clocks(case_id: str) -> set[str]:
        return {row["step"] for row in stage.ops().rows("sla", "/v1/clocks", case_id=case_id)}

    assert (clocks(poisoned), clocks(healthy)) == ({"form"}, {"form", "answer", "solution"})
    found = baton("parked", "list", "--json").told
    parked = {each["service"]: each for each in found if each["state"] == "parked"}
    assert set(parked) == hearing("tasks")
    for service, each in parked.items():
        (told,) = [line for line in logged(platform_told, service) if each["id"] in line["message"]]
        assert (told["service"], told["level"]) == (service, "WARNING")
        assert re.fullmatch("[0-9a-f]{32}", told["trace_id"]), "the log leads to the trace"
    assert {each["key"] for each in found} == {f"main:{poisoned}"}
    header, *lines, count = baton("parked", "list").out.splitlines()
    assert header.split()[:6] == ["service", "id", "state", "kind", "age", "case"]
    assert all(" POISONED " in line for line in lines), "people are told which case it is about"
    assert count == f"{len(found)} set aside"
    assert {each["type"] for each in found if each["state"] == "waiting"} >= {"tasks.StepStarted", "tasks.CaseRouted"}
    for service, each in parked.items():
        assert baton("parked", "drop", service, each["id"], "--person", "ops-1", "--json").told["state"] == "dropped"
    wait_rest(stage.doors)
    assert clocks(poisoned) == {"form", "answer", "solution"}
    assert baton("parked", "list", "--json").told == []
    told = stage.auditor().get("audit", f"/v1/cases/{poisoned}/history")
    by_tasks = [entry["what"]["type"] for entry in told["entries"] if entry["owner"] == "tasks"]
    same = stage.auditor().get("audit", f"/v1/cases/{healthy}/history")
    assert by_tasks == [entry["what"]["type"] for entry in same["entries"] if entry["owner"] == "tasks"]
    for service in parked:
        types = [type_ for type_, _, data in acts(platform_told, service) if data["parked"] == parked[service]["id"]]
        assert types == [f"{service}.RecordParked", f"{service}.ParkedRecordDropped"]


def logged(platform: Platform, service: str) -> list[dict[str, Any]]:
    """What a service has logged, every line of it JSON."""
    return [json.loads(line) for line in (platform.state / "logs" / f"{service}.log").read_text().splitlines()]
