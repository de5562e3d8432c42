"""What the readers send is what gateway's doors understand: every event, every body, once."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from demo.sources import boston, jira, northwind
from libs.events.testing import MemoryService, instant
from services.gateway.channels.cloudevents import read_structured
from services.gateway.channels.jira import read, require_signature
from services.gateway.channels.translation import occurred_at, translate
from services.gateway.main import SERVICE
from services.gateway.views.deliveries import DELIVERIES
from services.gateway.views.requests import REQUESTS, RequestRow
from services.gateway.views.work_items import WORK_ITEMS

NOW = instant("2026-03-02T09:00+08:00")


@pytest.fixture(scope="module")
def gateway() -> MemoryService:
    """gateway after both imports, each event through the readers and translations of its doors."""
    service = MemoryService(SERVICE)
    for event in [*boston.events(), *northwind.events()[:200]]:
        found = read_structured(json.dumps(event).encode())
        inbound = translate(found, "main")
        service.ask(inbound.command, by="importer-1", at=occurred_at(inbound, found.timeline, NOW))
    return service


@pytest.mark.parametrize("source", [boston, northwind])
def test_every_event_is_understood_and_happened_when_the_source_says(source: Any) -> None:
    for event in source.events():
        inbound = translate(read_structured(json.dumps(event).encode()), "main")
        assert inbound.happened_at == datetime.fromisoformat(event["time"])


def _on_time(row: RequestRow) -> bool | None:
    if row.closed_at is None or row.target_at is None:
        return None
    return row.closed_at <= row.target_at


def test_bostons_requests_keep_their_instants_targets_and_departments(gateway: MemoryService) -> None:
    rows = gateway.rows(REQUESTS, source=boston.SOURCE)
    closed = [row for row in rows if row.state == "closed"]
    judged = Counter(_on_time(row) for row in closed)
    assert (len(rows), len(closed)) == (100, 85)
    assert judged == {True: 72, False: 5, None: 8}
    assert {row.timeline for row in rows} == {boston.SOURCE}
    assert Counter(row.department for row in rows)["PWDx"] == 49


def test_both_sources_have_their_own_watermark(gateway: MemoryService) -> None:
    assert gateway.row(DELIVERIES, boston.SOURCE).up_to is not None
    assert gateway.row(DELIVERIES, northwind.SOURCE).up_to is None  # only its first 200 messages came


def test_northwinds_late_orders_follow_from_the_ends_of_its_days() -> None:
    due: dict[str, datetime] = {}
    verdicts = []
    for event in northwind.events()[:-1]:
        inbound = translate(read_structured(json.dumps(event).encode()), "main")
        command: Any = inbound.command
        if event["type"] == "baton.order.placed.v1":
            due[command.reference] = command.target_at
        else:
            assert inbound.happened_at is not None
            verdicts.append(inbound.happened_at <= due[command.reference])
    assert Counter(verdicts) == {True: 772, False: 37}
    assert len(due) - len(verdicts) == 21


def test_the_55_bodies_report_14_work_items_by_host_and_id_and_three_name_none() -> None:
    service = MemoryService(SERVICE)
    results = [
        len(service.ask(read(body.raw, "main"), by="gateway/jira", at=NOW)) for _ in range(2) for body in jira.bodies()
    ]
    assert results == [1] * 55 + [0] * 55
    rows = service.rows(WORK_ITEMS)
    assert len(rows) == 14
    assert sum(row.deliveries for row in rows) == 52
    assert sum(row.accepted for row in service.rows(DELIVERIES)) == 55


def test_a_body_is_signed_as_the_door_expects() -> None:
    for body in jira.bodies():
        require_signature(body.raw, jira.signature(body.raw, "s3cret"), "s3cret")
