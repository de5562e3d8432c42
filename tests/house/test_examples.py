"""The example of a reader, record by record: what it takes, and in which order, where records are missing."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from infra.local.platform import project_root

Links = list[tuple[int, int]]
LOST: Links = [(1, 0), (2, 1), (4, 3), (5, 4)]
AGAIN: Links = [(3, 2), (4, 3), (5, 4)]


@pytest.fixture
def partition() -> Any:
    return runpy.run_path(str(project_root() / "examples" / "read_events.py"))["Partition"]("tasks", 5)


def read(partition: Any, links: Links) -> list[int]:
    """Those that are taken of records with these sequences and the ones before them."""
    taken = []
    for sequence, previous in links:
        before = partition.counts.total()
        headers = {"ce_source": "/baton/tasks", "ce_id": f"id-{sequence}", "ce_type": "tasks.Spoke", "ce_epoch": "1"}
        partition.take(headers | {"ce_sequence": str(sequence), "ce_previous": str(previous)}, b"{}")
        taken += [sequence] * (partition.counts.total() - before)
    return taken


def test_what_is_sent_again_behind_a_gap_is_taken_in_its_order_and_once(partition: Any) -> None:
    assert read(partition, [*LOST, *AGAIN, *AGAIN]) == [1, 2, 3, 4, 5]
    assert partition.done
    assert partition.repeated == len(AGAIN), "only what was taken before is repeated"


def test_a_gap_that_never_closes_is_told_with_what_is_missing_and_nothing_behind_it_is_taken(partition: Any) -> None:
    assert read(partition, [*LOST, (1, 0), (2, 1), (5, 4)]) == [1, 2]
    assert not partition.done
    assert partition.missing == "/baton/tasks: 3 is missing before 4; seen up to 2"


def test_a_second_gap_is_told_as_the_one_that_it_is(partition: Any) -> None:
    assert read(partition, [(2, 1), (1, 0), (2, 1), (4, 3)]) == [1, 2]
    assert partition.missing == "/baton/tasks: 3 is missing before 4; seen up to 2"


def test_what_was_announced_and_never_came_is_told(partition: Any) -> None:
    assert read(partition, [(1, 0)]) == [1]
    assert partition.missing == "/baton/tasks: 5 was announced, but is not there; seen up to 1"
