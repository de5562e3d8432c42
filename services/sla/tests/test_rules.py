"""Policies and ladders are data: what may be published, and that what is published changes what happens."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from libs.events.contracts.sla import EscalationRaised
from libs.events.contracts.tasks import CaseOpened, ConflictOpened, StepStarted
from libs.events.errors import Refusal
from libs.events.testing import MemoryService
from services.sla.commands import LadderRung, PublishLadder, PublishPolicy, clock_id
from services.sla.tests.world import CASE, at, complaint, hear, rows, sla
from services.sla.views.clocks import CLOCKS
from services.sla.views.ladders import LADDERS
from services.sla.views.policies import POLICIES

ANSWER = clock_id(CASE, "answer")


def policy(service: MemoryService, **changed: Any) -> None:
    row = {"policy": "complaint/answer", "template": "complaint", "step": "answer", "limit_min": 120, **changed}
    service.ask(PublishPolicy(**row), by="ops-1", at=at("08:00"))


def refused(service: MemoryService, command: PublishPolicy | PublishLadder) -> Refusal:
    with pytest.raises(Refusal) as caught:
        service.ask(command, by="ops-1", at=at("08:00"))
    assert caught.value.en
    assert caught.value.zh
    return caught.value


def test_publishing_the_same_again_is_no_new_version() -> None:
    service = sla()
    for name, command in (("ladders", PublishLadder), ("policies", PublishPolicy)):
        for row in rows(name):
            assert service.ask(command(**row), by="ops-1", at=at("08:00")) == ()
    assert {row.version for row in service.rows(POLICIES)} == {1}


def test_another_limit_makes_another_due_instant() -> None:
    service = sla()
    policy(service, limit_min=30)
    assert service.row(POLICIES, "complaint/answer").version == 2
    hear(service, "09:40", StepStarted("answer", "complaint", "quality", "normal"))
    assert service.row(CLOCKS, ANSWER).due_at == at("10:10")


def test_a_limit_for_a_priority_that_no_case_has_is_refused_with_the_known_ones() -> None:
    rare = PublishPolicy(policy="rare", template="complaint", step="answer", priority="hgih", limit_min=30)
    refusal = refused(sla(), rare)
    assert refusal.rule == "unknown-priority"
    assert "low, normal, high, urgent" in refusal.en


@pytest.mark.parametrize(
    ("category", "priority", "limit_min"),
    [("dish", "urgent", 10), ("dish", "normal", 30), ("other", "urgent", 20), ("other", "normal", 120)],
)
def test_the_narrowest_policy_is_taken(category: str, priority: str, limit_min: int) -> None:
    service = sla()
    policy(service, policy="dish", category="dish", limit_min=30)
    policy(service, policy="urgent", priority="urgent", limit_min=20)
    policy(service, policy="urgent-dish", category="dish", priority="urgent", limit_min=10)
    hear(service, "09:00", StepStarted("answer", "complaint", category, priority))
    clock = service.row(CLOCKS, ANSWER)
    assert (clock.due_at - clock.started_at).total_seconds() == 60 * limit_min


def test_two_limits_for_the_same_cases_are_refused() -> None:
    command = PublishPolicy(policy="mine", template="complaint", step="answer", limit_min=1)
    assert refused(sla(), command).rule == "limit-given-twice"


def test_a_policy_names_a_calendar_and_a_ladder_that_exist() -> None:
    row: dict[str, Any] = {"policy": "p", "template": "t", "step": "s", "limit_min": 1}
    assert refused(sla(), PublishPolicy(**row, calendar="lunar")).rule == "unknown-calendar"
    assert refused(sla(), PublishPolicy(**row, ladder="nowhere")).rule == "unknown-ladder"


def test_a_limit_is_positive_and_a_warning_comes_before_its_end() -> None:
    row: dict[str, Any] = {"policy": "p", "template": "t", "step": "s"}
    for wrong in ({"limit_min": 0}, {"limit_min": 5, "warn_percent": 100}, {"limit_min": 10**9}):
        with pytest.raises(ValidationError):
            PublishPolicy.model_validate(row | wrong)


@pytest.mark.parametrize(
    ("rungs", "rule"),
    [
        ([{"name": "a", "asks": "the-moon"}], "unknown-rung"),
        ([{"name": "a", "asks": "common-superior"}, {"name": "b", "asks": "decision-board"}], "rung-without-time"),
        ([{"name": "a", "asks": "common-superior", "answer_min": 5}], "nobody-above"),
    ],
)
def test_a_ladder_leads_upwards_and_ends(rungs: list[dict[str, Any]], rule: str) -> None:
    command = PublishLadder.model_validate({"ladder": "odd", "starts": "breach", "rungs": rungs})
    assert refused(sla(), command).rule == rule


def test_an_escalation_keeps_the_version_of_its_ladder() -> None:
    service = sla()
    complaint(service)
    service.fire(at("11:40"))
    top = LadderRung(name="b", asks="decision-board")
    short = PublishLadder(ladder="complaint-ladder", starts="breach", rungs=(top,))
    service.ask(short, by="ops-1", at=at("11:50"))
    service.fire(at("12:10"))
    last = service.decided(EscalationRaised)[-1]
    assert isinstance(last, EscalationRaised)
    assert (last.ladder_version, last.asked) == (1, ("vp-ops",))
    assert [row.version for row in service.rows(LADDERS, ladder="complaint-ladder")] == [1, 2]


def test_a_ladder_can_start_at_the_conflict() -> None:
    service = sla()
    policy(service, policy="req", template="requirement", step="answer", ladder="requirement-ladder")
    opened = CaseOpened(CASE, "jira", "R1", "requirement", 1, "feature", "normal", "segments", {}, "operations")
    hear(service, "09:00", opened, StepStarted("answer", "requirement", "feature", "normal"))
    hear(service, "09:30", ConflictOpened(("production", "product"), 3))
    (raised,) = service.decided(EscalationRaised)
    assert isinstance(raised, EscalationRaised)
    assert (raised.level, raised.asked) == (1, ("production-1", "product-1"))
    service.fire(at("23:00"))
    assert len(service.decided(EscalationRaised)) == 1


def test_a_rung_with_nobody_on_it_is_passed_over_and_a_dead_end_is_on_record() -> None:
    service = sla()
    policy(service, policy="req", template="requirement", step="answer", ladder="requirement-ladder")
    opened = CaseOpened(CASE, "jira", "R1", "requirement", 1, "feature", "normal", "segments", {}, "operations")
    hear(service, "09:00", opened, StepStarted("answer", "requirement", "feature", "normal"))
    hear(service, "09:30", ConflictOpened(("moon", "mars"), 3))
    (raised,) = service.decided(EscalationRaised)
    assert isinstance(raised, EscalationRaised)
    assert (raised.level, raised.rung, raised.answer_by) == (3, "decision board", None)
