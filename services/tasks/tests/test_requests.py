"""Requests from outside: those that their department holds at once, those of long ago, and those that are parked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from libs.events.contracts.gateway import RequestClosed, SourceAdvanced
from libs.events.contracts.tasks import (
    CaseClosed,
    CaseOpened,
    CaseRouted,
    HandoffOffered,
    SourceCloseDeclined,
    StepCompleted,
    StepStarted,
    TaskAssigned,
    TimelineAdvanced,
)
from libs.events.entries import entity_id
from libs.events.testing import MemoryService, instant
from services.tasks.commands import NewCase, OpenCase
from services.tasks.tests.world import (
    CASE_ID,
    OPS,
    closed,
    company,
    complaint,
    monday,
    opened,
    received,
    request_template,
    tuesday,
)
from services.tasks.views.cases import CASES
from services.tasks.views.passing import PASSING

BOSTON = entity_id("main", "case", "boston311/1")
SOURCE_ID = entity_id("main", "source", "boston311")
TARGET = instant("2022-02-04T13:47:30-05:00")
LONG_AGO = instant("2022-01-21T13:47-05:00")


def boston(**changes: object) -> MemoryService:
    tasks = company()
    tasks.ask(request_template(), by=OPS, at=monday("08:30"))
    values = {
        "source": "boston311",
        "reference": "1",
        "template": "citizen-request",
        "category": "Needle Pickup",
        "department": "GEN_",
        "target_at": TARGET,
        "timeline": "boston311",
    }
    tasks.hear(received(**{**values, **changes}), subject=BOSTON, at=LONG_AGO)
    return tasks


def test_an_import_is_held_at_once_by_the_department_that_its_source_named_known_or_not() -> None:
    tasks = boston()
    case, *others = tasks.decided()[1:]
    assert isinstance(case, CaseOpened)
    assert (case.holder, case.timeline) == ("GEN_", "boston311")
    assert others == [
        CaseRouted("GEN_", "source"),
        StepStarted("resolution", "citizen-request", "Needle Pickup", "normal", TARGET, "boston311"),
        TaskAssigned("resolution", ("dept:GEN_",), "dept:GEN_"),
    ]
    row = tasks.row(CASES, BOSTON)
    assert (row.holder, row.state, row.responsible, row.opened_at) == ("GEN_", "held", "GEN_", LONG_AGO)
    assert tasks.decided(HandoffOffered) == []


def test_a_request_for_a_department_that_nobody_registered_is_parked_with_the_known_ones() -> None:
    tasks = company(parks=True)
    tasks.ask(request_template(), by=OPS, at=monday("08:30"))
    request = received(template="citizen-request", category="street", department="prodution", form={})
    tasks.hear(request, subject=BOSTON, at=monday("09:00"))
    ((reaction, _, refusal),) = tasks.parked
    assert (reaction.name, refusal.rule) == ("open-case", "unknown-department")
    assert "management, product, production, purchasing, service" in refusal.en
    assert tasks.decided(CaseOpened) == []


def test_a_department_that_nobody_registered_is_parked_also_where_the_routing_does_not_ask_for_it() -> None:
    tasks = company(parks=True)
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    tasks.hear(received(department="nosuch"), subject=CASE_ID, at=monday("09:00"))
    ((reaction, _, refusal),) = tasks.parked
    assert (reaction.name, refusal.rule) == ("open-case", "unknown-department")
    assert tasks.decided(CaseOpened) == []


def test_a_due_instant_that_a_process_does_not_use_keeps_no_request_out() -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    tasks.hear(received(target_at=TARGET), subject=CASE_ID, at=monday("09:00"))
    (form,) = tasks.decided(StepStarted)
    assert isinstance(form, StepStarted)
    assert form.target_at is None


def test_a_request_without_a_department_goes_by_its_category() -> None:
    tasks = boston(department=None)
    assert tasks.decided(CaseRouted) == [CaseRouted("operations", "category=*")]


def test_the_source_closes_its_request_when_it_did() -> None:
    tasks = boston()
    then = instant("2022-01-22T09:00-05:00")
    for _ in range(2):
        tasks.hear(RequestClosed("boston311", "1", "Case Noted", "boston311"), subject=BOSTON, at=then)
    assert tasks.decided(StepCompleted, CaseClosed) == [StepCompleted("resolution"), CaseClosed("Case Noted")]
    row = tasks.row(CASES, BOSTON)
    assert (row.state, row.closed_at, row.holder) == ("closed", then, "GEN_")


def test_a_source_does_not_close_what_only_a_call_back_closes_and_tasks_says_so_once() -> None:
    tasks = opened()
    for clock in ("09:30", "09:31"):
        tasks.hear(RequestClosed("phone", "STORY1", "done"), subject=CASE_ID, at=monday(clock))
    assert tasks.row(CASES, CASE_ID).state == "opened"
    assert tasks.decided(SourceCloseDeclined) == [SourceCloseDeclined("done", "closing_rule=after-call-back")]


def test_a_close_by_the_source_after_the_call_back_says_nothing_new() -> None:
    tasks = closed()
    entries = len(tasks.decided())
    tasks.hear(RequestClosed("phone", "STORY1", "done"), subject=CASE_ID, at=tuesday("14:00"))
    assert len(tasks.decided()) == entries


def test_a_request_heard_twice_is_one_case() -> None:
    tasks = opened()
    entries = len(tasks.entries)
    tasks.hear(received(), subject=CASE_ID, at=monday("09:01"))
    assert len(tasks.entries) == entries + 1


def test_a_request_with_other_words_than_the_case_was_opened_with_is_parked() -> None:
    tasks = company(parks=True)
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    tasks.hear(received(), subject=CASE_ID, at=monday("09:00"))
    tasks.hear(received(title="again"), subject=CASE_ID, at=monday("09:01"))
    assert [refusal.rule for _, _, refusal in tasks.parked] == ["case-opened-before"]
    assert tasks.row(CASES, CASE_ID).title == "veneer blisters"


def test_a_request_of_an_unknown_process_is_parked_with_the_reason() -> None:
    tasks = company(parks=True)
    tasks.hear(received(template="nothing"), subject=CASE_ID, at=monday("09:00"))
    tasks.hear(RequestClosed("phone", "STORY1", "done"), subject=CASE_ID, at=monday("09:30"))
    assert [(reaction.name, refusal.rule) for reaction, _, refusal in tasks.parked] == [
        ("open-case", "unknown-template"),
        ("close-case", "unknown-case"),
    ]


@pytest.mark.parametrize("wrong", [{"template": "complant"}, {"department": "nope"}])
def test_a_request_with_a_misspelt_name_is_parked_with_what_can_be_done_and_people_may_open_its_case(
    wrong: dict[str, str],
) -> None:
    tasks = company(parks=True)
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    request = received(**wrong)
    tasks.hear(request, subject=CASE_ID, at=monday("09:00"))
    ((_, _, refusal),) = tasks.parked
    assert "retry this, or let the source send it corrected under another reference" in refusal.en
    assert "换一个编号" in refusal.zh
    words = NewCase(
        source=request.source,
        reference=request.reference,
        template="complaint",
        category=request.category,
        title=request.title,
        form={},
    )
    tasks.ask(OpenCase(case_id=CASE_ID, **dict(words)), by="svc-1", at=monday("09:10"))
    assert tasks.row(CASES, CASE_ID).state == "opened"


def test_a_source_that_goes_on_does_not_put_off_what_is_already_to_be_passed_on() -> None:
    tasks = boston()
    said = [tasks.entries[-1].noted_at + timedelta(seconds=number) for number in range(1, 6)]
    for number, at in enumerate(said):
        tasks.hear(SourceAdvanced("boston311", at), subject=SOURCE_ID, at=at)
        reached = said[max(0, number - 1)]  # what the gateway said last is never known to have come in full
        tasks.fire(reached)
    passed = [fact.up_to for fact in tasks.decided(TimelineAdvanced) if isinstance(fact, TimelineAdvanced)]
    assert passed == said[:-1]


def test_the_watermark_of_an_import_is_passed_on_once_and_only_forward() -> None:
    tasks = boston()
    up_to = instant("2022-04-26T00:00Z")
    at = tasks.entries[-1].noted_at
    for instant_, expected in ((up_to, 1), (up_to, 0), (LONG_AGO, 0), (instant("2022-05-01T00:00Z"), 1)):
        tasks.hear(SourceAdvanced("boston311", instant_), subject=SOURCE_ID, at=at)
        assert tasks.fire(tasks.entries[-1].noted_at) == expected
    assert tasks.decided(TimelineAdvanced) == [
        TimelineAdvanced("boston311", up_to),
        TimelineAdvanced("boston311", instant("2022-05-01T00:00Z")),
    ]
    row = tasks.row(PASSING, "boston311")
    assert (row.due_at, row.passed) == (None, row.up_to)


@pytest.mark.parametrize("wrong", [2026, "2026", "2026-11-02"])
def test_a_case_is_due_at_an_instant_that_is_written_out_and_never_in_1970(wrong: object) -> None:
    words = {"source": "desk", "reference": "7", "template": "complaint", "category": "quality", "title": "x"}
    with pytest.raises(ValidationError, match="must be an instant with a zone"):
        NewCase.model_validate({**words, "target_at": wrong})
