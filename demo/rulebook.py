"""What operations publishes before the first case: organisation, templates, routing and RACI, as calls at public doors.

The files are read whenever this is asked; change a line, publish again, and new cases follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DATA = Path(__file__).parent / "data"


class Call(NamedTuple):
    """POST `body` to `path` of `service`; calls depend on those before them."""

    service: str
    path: str
    body: dict[str, Any]


def organisation(data: Path = DATA) -> Iterator[Call]:
    """Departments, then people (superiors first), then who answers for whom, then who decides."""
    found = _read(data / "organisation.yaml")
    for resource in ("departments", "people", "contacts"):
        for body in found[resource]:
            yield Call("directory", f"/v1/{resource}", body)
    yield Call("directory", "/v1/decision-board", found["decision_board"])


def templates(data: Path = DATA) -> Iterator[Call]:
    """Each template with its lines of the routing table and its steps' RACI."""
    routing, raci = _read(data / "routing.yaml")["routing"], _read(data / "raci.yaml")["raci"]
    for template in _read(data / "templates.yaml")["templates"]:
        name = template["template"]
        steps = [{**step, "raci": raci[name][step["name"]]} for step in template["steps"]]
        yield Call("tasks", "/v1/templates", {**template, "steps": steps, "routing": routing.get(name, {})})


def limits(data: Path = DATA) -> Iterator[Call]:
    """The ladders, then the time limits that name them."""
    for body in _read(data / "ladders.yaml")["ladders"]:
        yield Call("sla", "/v1/ladders", body)
    for body in _read(data / "policies.yaml")["policies"]:
        yield Call("sla", "/v1/policies", body)


def goals(data: Path = DATA) -> Iterator[Call]:
    """The company's goals, then the KPIs that departments share."""
    found = _read(data / "goals.yaml")
    for resource in ("goals", "kpis"):
        for body in found[resource]:
            yield Call("goals", f"/v1/{resource}", body)


def texts(data: Path = DATA) -> Iterator[Call]:
    """The words of each message, in both languages."""
    for body in _read(data / "messages.yaml")["messages"]:
        yield Call("notify", "/v1/texts", body)


def everything(data: Path = DATA) -> list[list[Call]]:
    """All of it, as rounds: what a round needs of other services was published in the rounds before."""
    return [list(organisation(data)), [*templates(data), *limits(data), *goals(data), *texts(data)]]


def _read(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as text:
        content = yaml.load(text, yaml.CSafeLoader)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: {type(content).__name__} at the top; write a mapping")
    return content
