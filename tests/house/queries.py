"""Every query of the dashboard and of the alarms, and what they ask for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from tests.house.rules import ROOT

FOLDER = ROOT / "infra" / "observability"
VARIABLES = {"$service": ".*"}
"""What Grafana puts in before Prometheus reads a query."""
OF_PROMETHEUS = {"up"}
"""Made by Prometheus itself, about each target."""
LABELS_OF_PROMETHEUS = {"job"}
"""Added to whatever a target tells."""


@dataclass(frozen=True)
class Selected:
    """`labels`: (name, pattern) of what must be equal or match."""

    metric: str
    labels: tuple[tuple[str, str], ...]


def alarms() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return found


def queries() -> dict[str, str]:
    """By where they stand."""
    found = {f"alarm {rule['alert']}": rule["expr"] for rule in alarms()}
    for panel in panels():
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    for variable, value in VARIABLES.items():
        found = {where: query.replace(variable, value) for where, query in found.items()}
    return found


def selected(query: str) -> set[Selected]:
    """What a query selects; raises ValueError when Prometheus would not understand it."""
    found: set[Selected] = set()

    def look(part: object) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            wanted = [
                m for m in part.matchers.matchers if m.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.Re)
            ]
            found.add(Selected(part.name or "", tuple((m.name, m.value) for m in wanted)))
        return True

    promql_parser.walk(promql_parser.parse(query), look)
    return found


def told(selection: Selected, samples: list[tuple[str, dict[str, str]]]) -> bool:
    """Whether one of the samples (name, labels) is selected."""
    return any(
        name == selection.metric
        and all(
            re.fullmatch(pattern, labels.get(label, ""))
            for label, pattern in selection.labels
            if label not in LABELS_OF_PROMETHEUS
        )
        for name, labels in samples
    )
