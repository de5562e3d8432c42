"""The complaint in Zipkin's page, as somebody who operates Baton sees it in a browser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect

from infra.local import Platform
from infra.local.ports import HOST
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform
WITHIN_S = 60.0
POLL_S = 0.2
SHOWN_WITHIN_MS = 30_000
TRACES_MAX = 500
Trace = list[dict[str, Any]]


@pytest.fixture
def traces(platform_told: Platform, case: str) -> list[Trace]:
    """The traces in which something was decided about the complaint, the first one first; complete."""
    asked: dict[str, str | int] = {"annotationQuery": f"baton.subject={case}", "limit": TRACES_MAX}

    def found() -> list[Trace]:
        answer = httpx.get(f"{platform_told.zipkin.url}api/v2/traces", params=asked, trust_env=False)
        told: list[Trace] = answer.raise_for_status().json()
        return sorted(told, key=lambda trace: min(span["timestamp"] for span in trace))

    return _at_rest(found)


def test_what_was_decided_about_a_case_is_found_by_its_id(traces: list[Trace], platform_told: Platform) -> None:
    decided = {
        (span["localEndpoint"]["serviceName"], span["name"])
        for trace in traces
        for span in trace
        if span["name"].startswith("decide ")
    }
    assert {service for service, _ in decided} == {"gateway", "tasks", "sla", "notify", "goals"}
    assert {("tasks", "decide rule"), ("sla", "decide breachclock")} <= decided, decided


def test_what_came_of_a_request_is_one_connected_trace_over_the_services(traces: list[Trace]) -> None:
    (opening, *_) = traces
    assert {"gateway", "tasks", "sla", "notify"} <= services_in(opening)
    known = {span["id"] for span in opening}
    assert [span for span in opening if span.get("parentId", span["id"]) not in known] == []


def test_the_page_shows_the_trace_with_its_services_and_spans(
    traces: list[Trace], platform_told: Platform, page: Page, tmp_path: Path
) -> None:
    (opening, *_) = traces
    page.goto(f"{platform_told.zipkin.url}traces/{opening[0]['traceId']}")
    shown = expect(page.locator("main"))
    shown.to_contain_text(re.compile(rf"Services\s*{len(services_in(opening))}\D"), timeout=SHOWN_WITHIN_MS)
    shown.to_contain_text(re.compile(rf"Total Spans\s*{len(opening)}\D"))
    for span in opening:
        shown.to_contain_text(re.compile(rf"{span['localEndpoint']['serviceName']}[:\s]*{re.escape(span['name'])}"))
    assert page.screenshot(path=tmp_path / "trace.png")


def test_the_status_tells_where_the_page_is_and_it_listens_on_the_loopback_only(
    platform_told: Platform, baton: Verbs
) -> None:
    told = baton("status", "--json").told["traces"]
    assert (told["url"], told["ready"]) == (platform_told.zipkin.url, True)
    listening = [at for at in psutil.Process(told["pid"]).net_connections() if at.status == psutil.CONN_LISTEN]
    assert [at.laddr.ip.removeprefix("::ffff:") for at in listening] == [HOST]
    assert "zipkin" in baton("status").out


def test_the_page_finds_all_traces_of_the_case(
    traces: list[Trace], case: str, platform_told: Platform, page: Page, tmp_path: Path
) -> None:
    asked = urlencode({"annotationQuery": f"baton.subject={case}", "limit": TRACES_MAX, "lookback": "1h"})
    page.goto(f"{platform_told.zipkin.url}?{asked}")
    page.get_by_role("button", name="Run Query").click()
    shown = page.get_by_role("button", name="Show", exact=True)  # one beside each trace
    expect(shown).to_have_count(len(traces), timeout=SHOWN_WITHIN_MS)
    assert page.screenshot(path=tmp_path / "found.png")


def services_in(trace: Trace) -> set[str]:
    return {span["localEndpoint"]["serviceName"] for span in trace}


def _at_rest(found: Callable[[], list[Trace]]) -> list[Trace]:
    """Spans are sent half a second after they end: the answer once it no longer grows."""
    deadline_s, before = time.monotonic() + WITHIN_S, -1
    while True:
        traces = found()
        spans = sum(map(len, traces))
        if spans and spans == before:
            return traces
        assert time.monotonic() < deadline_s, f"{spans} spans, and still coming"
        before = spans
        time.sleep(POLL_S * 5)
