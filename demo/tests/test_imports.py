"""Figures of an import count what its source sent, whatever else the platform was told."""

from __future__ import annotations

from typing import Any, cast

from demo import imports
from demo.sources import jira, northwind
from infra.local.doors import Doors


def answering(*rows: dict[str, Any]) -> Doors:
    """Doors behind which there are these rows, whoever asks."""

    class Answering:
        def as_(self, role: str, person: str) -> Answering:
            return self

        def rows(self, service: str, path: str, **params: Any) -> tuple[dict[str, Any], ...]:
            return rows

    return cast(Doors, Answering())


def test_cases_that_somebody_else_brought_are_not_the_imports() -> None:
    ours, other = {"source": northwind.SOURCE}, {"source": "old-erp"}
    assert imports._cases(answering(ours, other), northwind.TEMPLATE, northwind.SOURCE) == [ours]


def test_work_items_of_another_jira_are_not_the_imports() -> None:
    host, item = min(jira.issues())
    ours, other = {"host": host, "item": item}, {"host": "jira.example.com", "item": item}
    assert imports._work_items(answering(ours, other)) == [ours]
