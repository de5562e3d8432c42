"""The board: due instants come from sla, lag and red are of the moment that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from libs.events.contracts.gateway import RequestClosed
from libs.events.contracts.sla import ClockStarted
from libs.events.testing import MemoryService
from services.tasks.commands import AnswerConsultation
from services.tasks.domain.case import CaseFact
from services.tasks.tests.world import (
    CASE_ID,
    accepted,
    closed,
    disputed,
    monday,
    offered,
    opened,
    ruled,
    solved,
    tuesday,
)
from services.tasks.views.cases import CASES, on_board


def with_clocks(tasks: MemoryService) -> MemoryService:
    for step, due in (("answer", "11:40"), ("solution", "13:40")):
        clock = ClockStarted(UUID(int=1), CASE_ID, step, "p", 1, monday("09:40"), None, monday(due))
        tasks.hear(clock, subject=CASE_ID, at=monday("09:40"))
    return tasks


def test_a_case_is_red_from_the_moment_after_its_due_instant() -> None:
    row = with_clocks(offered()).row(CASES, CASE_ID)
    in_time, late = on_board(row, monday("11:40")), on_board(row, tuesday("11:40"))
    assert (in_time.due_at, in_time.red, in_time.lag_days) == (monday("11:40"), False, 0.0)
    assert (late.red, late.lag_days) == (True, 1.0)


def test_a_step_that_ended_is_no_longer_due_even_if_its_clock_is_heard_late() -> None:
    row = with_clocks(accepted()).row(CASES, CASE_ID)
    assert (row.step, row.due) == ("solution", {"solution": monday("13:40")})
    assert not on_board(row, monday("13:00")).red


def test_a_case_of_an_import_is_not_late_before_its_source_has_come_that_far() -> None:
    row = with_clocks(offered()).row(CASES, CASE_ID)
    assert (on_board(row, None).due_at, on_board(row, None).red, on_board(row, None).lag_days) == (
        monday("11:40"),
        False,
        0.0,
    )


def test_a_case_without_a_clock_is_never_red() -> None:
    assert on_board(offered().row(CASES, CASE_ID), tuesday("18:00")).due_at is None


def answered() -> MemoryService:
    """13:05: purchasing was heard."""
    tasks = accepted()
    answer = AnswerConsultation(case_id=CASE_ID, department="purchasing", answer="the glue batch is in order")
    tasks.ask(answer, by="purch-1", at=monday("13:05"))
    return tasks


def declined() -> MemoryService:
    """Its source says that it is done, and the process goes on to its own end."""
    tasks = accepted()
    tasks.hear(RequestClosed("phone", "STORY1", "done"), subject=CASE_ID, at=monday("12:40"))
    return tasks


@pytest.mark.parametrize("world", [opened, offered, disputed, ruled, accepted, answered, declined, solved, closed])
def test_who_reads_a_case_can_say_what_they_have_read_whatever_was_decided_last(
    world: Callable[[], MemoryService],
) -> None:
    tasks = with_clocks(world())
    stands = [
        entry.version for entry, fact in zip(tasks.entries, tasks.facts, strict=True) if isinstance(fact, CaseFact)
    ]
    assert tasks.row(CASES, CASE_ID).version == stands[-1] == len(stands)
