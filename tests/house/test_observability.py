"""Dashboard and alarms are what Grafana and Prometheus read, and each alarm tells what to do."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from infra.local import services
from infra.local.ports import DEFAULT_BASE, HOST, Ports
from infra.local.services import ORDER
from libs.events.writer import QUEUE_MAX
from libs.service import health
from libs.service.lags import LAG_ENTRIES_MAX
from libs.service.problems import REQUESTS_AT_ONCE_MAX
from tests.house.queries import FOLDER, alarms, panels, queries, selected
from tests.house.rules import ROOT
from tests.house.test_openapi import SERVICES, described

GRAFANA_COLUMNS = 24
DURATION = re.compile(r"\d+[smhd]")


@pytest.mark.parametrize(("where", "query"), queries().items())
def test_prometheus_understands_every_query(where: str, query: str) -> None:
    assert selected(query), where


def test_a_query_that_prometheus_would_refuse_is_found() -> None:
    for wrong in ("rate(baton_lag)", "baton_lag{part=}", "sum by service (baton_lag)"):
        with pytest.raises(ValueError, match=r".+"):
            selected(wrong)


def test_every_alarm_has_what_prometheus_asks_for_and_a_section_that_says_what_to_do() -> None:
    document = (ROOT / "docs" / "operating.md").read_text()
    headings = {line.removeprefix("### ") for line in document.splitlines() if line.startswith("### ")}
    names = [rule["alert"] for rule in alarms()]
    assert len(set(names)) == len(names)
    assert {heading for heading in headings if heading.startswith("Baton")} == set(names)
    for rule in alarms():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert DURATION.fullmatch(rule["for"]), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"].count("{{") == rule["annotations"]["summary"].count("}}") > 0
        assert rule["annotations"]["runbook_url"] == f"docs/operating.md#{rule['alert'].lower()}"
        compared = promql_parser.parse(rule["expr"])
        assert isinstance(compared, promql_parser.BinaryExpr), f"{rule['alert']} compares nothing: it would always fire"


def test_the_lags_alarm_before_the_service_is_taken_out_or_refuses() -> None:
    expressions = {rule["alert"]: rule["expr"] for rule in alarms()}

    def limit(name: str) -> float:
        return float(expressions[name].rpartition(" ")[2])

    for name in ("BatonPublishingBehind", "BatonListeningBehind", "BatonViewsBehind"):
        assert limit(name) < LAG_ENTRIES_MAX
    assert limit("BatonAppendsQueue") < REQUESTS_AT_ONCE_MAX < QUEUE_MAX, "each request waits for one append"


def test_how_long_answers_take_is_asked_of_every_door(tmp_path: Path) -> None:
    doors = {path for name in SERVICES for path in described(name, tmp_path / name)["paths"]}
    asked = {
        (where, pattern)
        for where, query in queries().items()
        for selection in selected(query)
        for label, pattern in selection.labels
        if label == "route"
    }
    assert asked
    for where, pattern in asked:
        assert sorted(door for door in doors if not re.fullmatch(pattern, door)) == [], f"{where} leaves doors out"


def test_the_panel_of_who_is_ready_asks_for_this_moment_and_counts_those_who_do_not_answer() -> None:
    (panel,) = [each for each in panels() if each["type"] == "stat"]
    (target,) = panel["targets"]
    assert (target["instant"], target["range"]) == (True, False), "the last value of a range outlives its service"
    assert {selection.metric for selection in selected(target["expr"])} == {"baton_ready", "up"}


def test_the_panels_lie_side_by_side_on_grafanas_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRAFANA_COLUMNS, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_prometheus_scrapes_every_service_where_the_platform_has_it() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    scraped = {each["labels"]["service"]: each["targets"] for each in job["static_configs"]}
    assert scraped == {name: [f"{HOST}:{Ports(DEFAULT_BASE).of(name)}"] for name in ORDER}
    assert [(FOLDER / name).is_file() for name in config["rule_files"]] == [True]


def test_who_asks_a_service_waits_for_longer_than_it_takes_to_say_that_its_database_is_away() -> None:
    assert health.LAGS_WITHIN_S < services.ASK_SECONDS_MAX
