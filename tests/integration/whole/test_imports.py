"""What came from elsewhere with its own instants: judged as its source would, by its source's time, waking nobody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from demo.sources import boston
from demo.sources.cloudevent import cloud_event
from demo.stage import Stage
from infra.local import Platform
from infra.local.rest import wait_rest
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform
ERP = "old-erp"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def requests(baton: Verbs, stage: Stage, case: str) -> dict[str, Any]:
    """Boston's requests, imported."""
    found: dict[str, Any] = told(baton, "boston311")
    return found


def told(baton: Verbs, source: str) -> Any:
    verdict = baton("import", source, "--json").told
    assert verdict["ours"] == verdict["theirs"]
    return verdict["ours"]


def test_jiras_webhooks_come_in_once(baton: Verbs, case: str) -> None:
    assert told(baton, "jira") == {"accepted": 55, "duplicate": 55, "work_items": 14}


def test_bostons_requests_come_to_the_citys_own_verdicts(requests: dict[str, Any]) -> None:
    assert requests == {
        "requests": 100,
        "closed": 85,
        "judged": 77,
        "on_time": 72,
        "late": 5,
        "without_target": 8,
    }


async def test_a_request_is_breached_when_the_city_missed_its_target_closed_or_not_and_none_falsely(
    platform_told: Platform, stage: Stage, requests: dict[str, Any]
) -> None:
    missed = sum(row["ontime"] == "OVERDUE" for row in boston.requests())
    clocks = clocks_of(stage, boston.SOURCE)
    assert sum(clock["breached_at"] is not None for clock in clocks) == missed == 17
    assert await withdrawn(platform_told, clocks) == 0


@pytest.mark.parametrize(("source", "sent"), [("boston311", 186), ("jira", 55)])
def test_an_import_once_more_finds_all_of_it_known_and_is_no_failure(
    baton: Verbs, requests: dict[str, Any], source: str, sent: int
) -> None:
    told(baton, source)
    again = baton("import", source)
    assert again.code == 0, again.err
    assert f"{source} was imported before: {sent} of what it sends was known" in again.out
    assert "DIFFERS" not in again.out


def test_an_import_wakes_nobody(stage: Stage, requests: dict[str, Any]) -> None:
    cases = {clock["case_id"] for clock in clocks_of(stage, boston.SOURCE)}
    assert len(cases) > 50
    assert not cases & {row["case_id"] for row in stage.ops().rows("notify", "/v1/messages", limit=200)}
    assert not cases & {row["case_id"] for row in stage.ops().rows("sla", "/v1/escalations", limit=200)}


async def test_an_order_of_long_ago_is_not_late_while_its_delivery_is_on_the_way_in(
    platform_told: Platform, stage: Stage, case: str
) -> None:
    """The domain clock is years past the day on which it was required."""
    placed = datetime.fromisoformat("2016-07-04T12:00:00+00:00")
    order = {"order": "N1", "customer": "VINET", "placed_on": "2016-07-04", "required_by": "2016-08-01", "zone": "UTC"}
    send(stage, "placed", "baton.order.placed.v1", placed, order)
    (clock,) = clocks_of(stage, ERP)
    assert (clock["state"], clock["breached_at"]) == ("running", None)
    shipped = {"order": "N1", "shipped_on": "2016-07-16", "zone": "UTC"}
    send(stage, "shipped", "baton.order.shipped.v1", placed + 12 * DAY, shipped)
    late = order | {"order": "N2"}
    send(stage, "placed-2", "baton.order.placed.v1", placed + 12 * DAY, late)
    assert {clock["state"] for clock in clocks_of(stage, ERP)} == {"met", "running"}
    known = placed + 60 * DAY
    send(stage, "advanced", "baton.source.advanced.v1", known, {"up_to": known.isoformat()})
    found = {clock["state"]: clock["breached_at"] for clock in clocks_of(stage, ERP)}
    assert set(found) == {"met", "breached"}, "the second was not shipped by its day, as far as its source knows"
    assert found["met"] is None
    assert await withdrawn(platform_told, clocks_of(stage, ERP)) == 0


def send(stage: Stage, name: str, type_: str, at: datetime, data: dict[str, Any]) -> None:
    stage.integration(ERP).send(cloud_event(ERP, name, type_, at, data))
    wait_rest(stage.doors)


def clocks_of(stage: Stage, timeline: str) -> list[Any]:
    return stage.ops().rows("sla", "/v1/clocks", timeline=timeline, limit=200)


async def withdrawn(platform: Platform, clocks: list[Any]) -> int:
    """How many breaches of these clocks had been said and were taken back."""
    connection = await asyncpg.connect(platform.database("sla").url)
    try:
        count: int = await connection.fetchval(
            "select count(*) from journal.entries where type = 'sla.BreachWithdrawn' and subject::text = any($1)",
            [clock["case_id"] for clock in clocks],
        )
        return count
    finally:
        await connection.close()
