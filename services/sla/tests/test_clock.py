"""Clocks: what becomes of one, whatever comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given as over
from hypothesis import strategies as st

from libs.events.contracts.sla import (
    BreachWithdrawn,
    ClockStarted,
    ClockStopped,
    EscalationRaised,
    SlaBreached,
    SlaMet,
    SlaWarned,
)
from libs.events.contracts.tasks import CaseOpened, ConflictOpened, StepCompleted, StepStarted, TimelineAdvanced
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.testing import given, look_of
from services.sla.commands import BreachClock, StartClock, StopClock, WarnClock, clock_id
from services.sla.domain.clock import CLOCK, COMMANDS, breach, evolve
from services.sla.tests.world import CASE, at, complaint, hear, sla
from services.sla.views.clocks import CLOCKS
from services.sla.views.due import DUE
from services.sla.views.timelines import TIMELINES

START, STOP, WARN, BREACH = COMMANDS
ID = clock_id(CASE, "answer")
STARTED = ClockStarted(
    ID, CASE, "answer", "complaint/answer", 1, at("09:40"), at("11:16"), at("11:40"), template="complaint"
)
WARNED = SlaWarned(ID, "answer", at("11:40"))
BREACHED = SlaBreached(ID, "answer", "complaint/answer", at("11:40"), (), template="complaint")
STOPPED = StopClock(case_id=CASE, step="answer")


def met(clock: str) -> SlaMet:
    return SlaMet(ID, "answer", "complaint/answer", at("11:40"), at(clock), template="complaint")


def test_a_step_that_ends_at_its_due_instant_is_in_time() -> None:
    given(CLOCK, STARTED, WARNED).when(STOP, STOPPED, by="sla/stop-clock", at=at("11:40")).then(met("11:40"))


def test_a_step_that_ends_after_its_breach_is_late_by_so_many_seconds() -> None:
    late = ClockStopped(ID, "answer", at("12:30"), 3000)
    given(CLOCK, STARTED, BREACHED).when(STOP, STOPPED, by="sla/stop-clock", at=at("12:30")).then(late)


def test_a_breach_is_withdrawn_when_the_end_of_the_step_was_only_heard_too_late() -> None:
    outcome = given(CLOCK, STARTED, BREACHED).when(STOP, STOPPED, by="sla/stop-clock", at=at("11:39"))
    outcome.then(BreachWithdrawn(ID, "answer", "complaint/answer", at("11:40"), at("11:39")), met("11:39"))


def test_a_step_that_ended_late_before_its_breach_was_fired_is_breached_all_the_same() -> None:
    late = ClockStopped(ID, "answer", at("12:30"), 3000)
    command = BreachClock(case_id=CASE, step="answer")
    given(CLOCK, STARTED, late).when(BREACH, command, by="sla/next-of-clock", at=at("11:40")).then(BREACHED)


def test_a_breach_fired_while_a_source_was_silent_says_so() -> None:
    asked = Asked("main", "sla/next-of-clock", at("11:40"), look_of(), confirmed=False)
    (found,) = breach(evolve(CLOCK.initial, STARTED), BreachClock(case_id=CASE, step="answer"), asked)
    assert isinstance(found, SlaBreached)
    assert found.unconfirmed


def test_nothing_happens_twice() -> None:
    start = StartClock(case_id=CASE, step="answer", template="complaint", category="q", priority="normal")
    given(CLOCK, STARTED).when(START, start, by="x", at=at("10:50")).then()
    given(CLOCK, STARTED, WARNED).when(WARN, WarnClock(case_id=CASE, step="answer"), by="x", at=at("11:16")).then()
    given(CLOCK, STARTED, BREACHED).when(
        BREACH, BreachClock(case_id=CASE, step="answer"), by="x", at=at("11:40")
    ).then()
    given(CLOCK, STARTED, met("10:00")).when(STOP, STOPPED, by="x", at=at("10:30")).then()
    given(CLOCK, STARTED, met("10:00")).when(
        BREACH, BreachClock(case_id=CASE, step="answer"), by="x", at=at("11:40")
    ).then()
    given(CLOCK).when(STOP, STOPPED, by="x", at=at("10:30")).then()


def test_a_step_without_limit_and_without_promise_has_no_clock() -> None:
    service = sla()
    hear(service, "09:00", StepStarted("callback", "complaint", "quality", "normal"))
    assert service.rows(CLOCKS) == ()


def test_a_promise_of_the_source_goes_before_the_policy() -> None:
    service = sla()
    hear(service, "09:00", StepStarted("answer", "complaint", "quality", "normal", target_at=at("09:30")))
    clock = service.row(CLOCKS, ID)
    assert (clock.due_at, clock.policy, clock.warn_at) == (at("09:30"), "complaint/answer", at("09:24"))


def test_a_promise_without_a_policy_starts_a_clock_that_never_warns() -> None:
    service = sla()
    hear(service, "09:00", StepStarted("resolution", "citizen-request", "pothole", "normal", target_at=at("17:00")))
    (clock,) = service.rows(CLOCKS)
    assert (clock.due_at, clock.policy, clock.policy_version, clock.warn_at) == (at("17:00"), "promised", 0, None)


def test_an_import_wakes_nobody() -> None:
    service = sla()
    opened = CaseOpened(CASE, "crm", "OLD", "complaint", 1, "q", "normal", "blisters", {}, "service", "crm")
    hear(service, "09:00", opened, StepStarted("answer", "complaint", "q", "normal", timeline="crm"))
    assert [row.timeline for row in service.rows(DUE)] == ["crm"]
    hear(service, "09:30", ConflictOpened(("production",), 3))
    service.fire(at("18:00"))
    (breached,) = service.decided(SlaBreached)
    assert isinstance(breached, SlaBreached)
    assert breached.timeline == "crm"
    assert service.decided(SlaWarned, EscalationRaised) == []


def test_a_watermark_never_goes_back() -> None:
    service = sla()
    for clock in ("10:00", "09:00", "11:00"):
        service.hear(TimelineAdvanced("crm", at(clock)), subject=UUID(int=3), at=at("12:00"))
    assert service.row(TIMELINES, "crm").up_to == at("11:00")


def test_a_late_end_heard_before_the_breach_is_fired_keeps_both_instants() -> None:
    service = sla()
    complaint_started = StepStarted("answer", "complaint", "quality", "normal")
    service.hear(complaint_started, subject=CASE, at=at("09:40"))
    service.hear(StepCompleted("answer"), subject=CASE, at=at("11:41"))
    assert service.row(CLOCKS, ID).state == "late"
    service.fire(at("12:00"))
    clock = service.row(CLOCKS, ID)
    assert (clock.state, clock.breached_at, clock.late_s) == ("late", at("11:40"), 60)
    assert service.decided(SlaWarned) == []
    assert service.rows(DUE) == ()


def test_the_warning_waits_before_the_breach() -> None:
    service = sla()
    complaint(service)
    assert {(row.step, row.what, row.due_at) for row in service.rows(DUE)} == {
        ("answer", "breach", at("11:40")),
        ("solution", "warning", at("12:52")),
    }


@over(st.lists(st.sampled_from(["start", "warn", "breach", "stop"]), max_size=12), st.integers(0, 240))
def test_whatever_is_asked_in_whatever_order_a_clock_has_one_verdict(asks: list[str], minute: int) -> None:
    start = StartClock(
        case_id=CASE, step="answer", template="complaint", category="q", priority="n", target_at=at("11:40")
    )
    handles: dict[str, tuple[Any, Any, datetime]] = {
        "start": (START, start, at("09:40")),
        "warn": (WARN, WarnClock(case_id=CASE, step="answer"), at("11:16")),
        "breach": (BREACH, BreachClock(case_id=CASE, step="answer"), at("11:40")),
        "stop": (STOP, STOPPED, at("09:40") + timedelta(minutes=minute)),
    }
    facts: list[Fact] = []
    for ask in asks:
        handle, command, moment = handles[ask]
        facts += given(CLOCK, *facts).when(handle, command, by="x", at=moment).facts
    count = {
        kind: sum(isinstance(f, kind) for f in facts) for kind in (SlaMet, ClockStopped, SlaBreached, BreachWithdrawn)
    }
    assert count[SlaMet] + count[ClockStopped] <= 1
    assert 0 <= count[SlaBreached] - count[BreachWithdrawn] <= 1
    if count[SlaMet]:
        assert count[SlaBreached] == count[BreachWithdrawn]


def test_instants_are_in_utc() -> None:
    service = sla()
    complaint(service)
    assert all(row.due_at.tzinfo is UTC for row in service.rows(DUE))
    assert isinstance(service.row(CLOCKS, ID).due_at, datetime)
