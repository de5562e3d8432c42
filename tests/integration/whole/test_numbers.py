"""What dashboard and alarms ask for is what running services tell."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.local import Platform
from tests.house.queries import OF_PROMETHEUS, queries, selected, told

pytestmark = pytest.mark.platform
ASK_SECONDS_MAX = 15.0
ONLY_WHEN_IT_HAPPENS = {"baton_role_restarts_total", "baton_http_request_seconds_count"}
"""Told from the first time on: a restart, an answer of 5xx."""
PARTS = {"publish", "listen", "fold", "react", "inbound", "queued", "parked"}
PARTS |= {"timer_lateness", "timer_overdue", "send_overdue", "send_retrying", "send_unknown"}
Samples = list[tuple[str, dict[str, str]]]


@pytest.fixture
def numbers(platform_told: Platform, case: str) -> dict[str, tuple[Samples, set[str]]]:
    """By service: every sample, and every name that is declared."""
    found = {}
    for name, service in platform_told.services.items():
        text = httpx.get(f"{service.url}/metrics", timeout=ASK_SECONDS_MAX, trust_env=False).raise_for_status().text
        families = list(text_string_to_metric_families(text))
        samples = [(sample.name, dict(sample.labels)) for family in families for sample in family.samples]
        found[name] = (samples, {f"{family.name}_total" for family in families if family.type == "counter"})
    return found


def test_every_service_tells_what_every_query_asks_for(numbers: dict[str, tuple[Samples, set[str]]]) -> None:
    asked = {selection: where for where, query in queries().items() for selection in selected(query)}
    for service, (samples, counters) in numbers.items():
        names = {name for name, _ in samples} | counters
        for selection, where in asked.items():
            if selection.metric in OF_PROMETHEUS:
                continue
            assert selection.metric in names, f"{where}: {service} tells no {selection.metric}"
            if selection.metric not in ONLY_WHEN_IT_HAPPENS:
                assert told(selection, samples), f"{where}: {service} has nothing for {selection}"


def test_every_service_tells_every_lag_and_that_it_is_ready(numbers: dict[str, tuple[Samples, set[str]]]) -> None:
    for service, (samples, _) in numbers.items():
        assert {labels["part"] for name, labels in samples if name == "baton_lag"} == PARTS
        assert {labels["service"] for name, labels in samples if name.startswith("baton_")} == {service}
        assert ("baton_ready", {"service": service}) in samples
        troubles = [labels["kind"] for name, labels in samples if name == "baton_troubles"]
        assert sorted(troubles) == ["attention", "down"]
