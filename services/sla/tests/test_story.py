"""The complaint that nobody wants, as sla lives it."""

from __future__ import annotations

from libs.clocks import legs_minutes
from libs.events.contracts.sla import (
    ClockStarted,
    EscalationEnded,
    EscalationRaised,
    SlaBreached,
    SlaMet,
    SlaWarned,
)
from libs.events.contracts.tasks import (
    CaseClosed,
    CaseOpened,
    ConflictRuled,
    HandoffAccepted,
    HandoffOffered,
    SolutionGiven,
    StepCompleted,
    StepStarted,
)
from libs.events.testing import MemoryService
from services.sla.commands import PublishPolicy, clock_id
from services.sla.tests.world import CASE, at, complaint, hear, sla
from services.sla.views.clocks import CLOCKS
from services.sla.views.due import DUE
from services.sla.views.escalations import ESCALATIONS

ANSWER, SOLUTION = clock_id(CASE, "answer"), clock_id(CASE, "solution")


def occurred(service: MemoryService, *kinds: type) -> list[tuple[str, str]]:
    """(fact, time of day in China) of sla's own facts of these classes."""
    return [
        (type(fact).__name__, f"{entry.occurred_at.hour + 8:02}:{entry.occurred_at.minute:02}")
        for fact, entry in zip(service.facts, service.entries, strict=True)
        if isinstance(fact, kinds) and entry.sequence is not None
    ]


def ruled(service: MemoryService) -> None:
    hear(
        service,
        "12:25",
        ConflictRuled("vp-ops", "production", ("purchasing",), "the press"),
        HandoffOffered(4, "service", "production"),
    )
    hear(service, "12:30", HandoffAccepted(4, "production"), StepCompleted("answer"))


def test_warning_breach_and_every_rung_follow_from_what_started_the_wait_for_them() -> None:
    service = sla()
    complaint(service)
    service.fire(at("16:00"))
    types = {entry.id: entry.type for entry in service.entries}
    causes = {
        (entry.type, types[entry.causation_id] if entry.causation_id else None)
        for entry in service.entries
        if entry.type in ("sla.SlaWarned", "sla.SlaBreached", "sla.EscalationRaised")
    }
    assert causes == {
        ("sla.SlaWarned", "sla.ClockStarted"),
        ("sla.SlaBreached", "sla.SlaWarned"),
        ("sla.EscalationRaised", "sla.SlaBreached"),
        ("sla.EscalationRaised", "sla.EscalationRaised"),
    }


def test_the_answer_clock_is_warned_and_breached_at_its_own_instants_however_often_the_case_bounces() -> None:
    service = sla()
    complaint(service)
    service.fire(at("12:09"))
    assert occurred(service, SlaWarned, SlaBreached) == [("SlaWarned", "11:16"), ("SlaBreached", "11:40")]
    assert service.row(CLOCKS, ANSWER).state == "breached"
    assert service.row(CLOCKS, clock_id(CASE, "form")).state == "met"


def test_the_breach_names_the_legs_from_the_routing_on() -> None:
    service = sla()
    complaint(service)
    service.fire(at("11:40"))
    (breach,) = service.decided(SlaBreached)
    assert isinstance(breach, SlaBreached)
    assert legs_minutes(breach.legs) == [30, 40, 30, 20]
    assert (breach.policy, breach.template, breach.unconfirmed) == ("complaint/answer", "complaint", False)


def test_the_ladder_asks_the_contacts_at_the_breach_and_their_common_superior_half_an_hour_later() -> None:
    service = sla()
    complaint(service)
    ruled(service)
    first, second = service.decided(EscalationRaised)
    assert isinstance(first, EscalationRaised)
    assert isinstance(second, EscalationRaised)
    assert (first.level, first.asked, first.answer_by) == (
        1,
        ("production-1", "purchasing-1", "product-1"),
        at("12:10"),
    )
    assert (second.level, second.asked, second.answer_by) == (2, ("vp-ops",), at("13:10"))
    assert occurred(service, EscalationRaised, EscalationEnded) == [
        ("EscalationRaised", "11:40"),
        ("EscalationRaised", "12:10"),
        ("EscalationEnded", "12:25"),
    ]
    row = service.row(ESCALATIONS, CASE)
    assert (row.state, row.raised_at, row.due_at) == ("ruled", at("11:40"), None)


def test_where_nobody_rules_the_decision_board_is_asked_and_nobody_after_it() -> None:
    service = sla()
    complaint(service)
    service.fire(at("23:00"))
    *lower, last = (raised for raised in service.decided() if isinstance(raised, EscalationRaised))
    assert (last.level, last.asked, last.answer_by) == (3, ("ceo", "chair"), None)
    assert [raised.level for raised in lower] == [1, 2]
    assert occurred(service, EscalationRaised)[-1] == ("EscalationRaised", "13:10")


def test_the_solution_is_in_time_and_the_answer_stays_late() -> None:
    service = sla()
    complaint(service)
    ruled(service)
    hear(service, "13:30", SolutionGiven("production", "new doors"), StepCompleted("solution"))
    service.fire(at("18:00"))
    hear(service, "18:00", CaseClosed("solved"))
    assert service.row(CLOCKS, SOLUTION).state == "met"
    answer = service.row(CLOCKS, ANSWER)
    assert (answer.state, answer.late_s, answer.breached_at) == ("late", 50 * 60, at("11:40"))
    assert occurred(service, SlaBreached, SlaMet) == [
        ("SlaMet", "09:40"),
        ("SlaBreached", "11:40"),
        ("SlaMet", "13:30"),
    ]
    assert service.rows(DUE) == ()


def test_a_ruling_before_the_breach_leaves_nothing_to_climb() -> None:
    service = sla()
    complaint(service)
    hear(
        service, "11:30", ConflictRuled("vp-ops", "production", (), "it is"), HandoffOffered(4, "service", "production")
    )
    hear(service, "11:35", HandoffAccepted(4, "production"), StepCompleted("answer"))
    service.fire(at("13:39"))
    assert service.decided(EscalationRaised) == []
    assert service.row(CLOCKS, ANSWER).state == "met"


def test_a_broken_limit_of_somebody_who_holds_the_case_escalates_nothing() -> None:
    service = sla()
    complaint(service)
    ruled(service)
    service.fire(at("23:00"))
    assert occurred(service, SlaBreached) == [("SlaBreached", "11:40"), ("SlaBreached", "13:40")]
    assert len(service.decided(EscalationRaised)) == 2


def test_an_escalation_that_ended_is_raised_anew_where_the_ruling_is_not_followed() -> None:
    service = sla()
    complaint(service)
    ruling = ConflictRuled("vp-ops", "production", (), "it is")
    hear(service, "12:25", ruling, HandoffOffered(4, "service", "production"))
    service.fire(at("13:40"))
    row = service.row(ESCALATIONS, CASE)
    assert (row.state, row.level, row.raised_at, row.because) == (
        "open",
        1,
        at("13:40"),
        "breach of complaint/solution",
    )
    assert row.departments == ("service", "production")


def test_a_case_that_closes_stops_every_clock_and_its_escalation() -> None:
    service = sla()
    complaint(service)
    hear(service, "11:45", CaseClosed("withdrawn"))
    service.fire(at("23:00"))
    assert [c.state for c in service.rows(CLOCKS, case_id=CASE)].count("running") == 0
    assert service.row(ESCALATIONS, CASE).state == "closed"
    assert len(service.decided(EscalationRaised)) == 1


def test_an_unanswered_offer_is_escalated_to_both_its_sides() -> None:
    service = sla()
    complaint_offered_once(service)
    service.fire(at("11:40"))
    (raised,) = service.decided(EscalationRaised)
    assert isinstance(raised, EscalationRaised)
    assert raised.departments == ("service", "production")
    assert raised.because == "breach of complaint/answer"


def complaint_offered_once(service: MemoryService) -> None:
    opened = CaseOpened(CASE, "crm", "STORY1", "complaint", 1, "quality", "normal", "blisters", {}, "service")
    hear(service, "09:40", opened, StepStarted("answer", "complaint", "quality", "normal"))
    hear(service, "09:40", HandoffOffered(1, "service", "production"))


def test_a_clock_keeps_the_version_of_its_policy() -> None:
    service = sla()
    complaint(service)
    stricter = PublishPolicy(policy="complaint/answer", template="complaint", step="answer", limit_min=5)
    service.ask(stricter, by="ops-1", at=at("11:21"))
    (started,) = [c for c in service.decided(ClockStarted) if isinstance(c, ClockStarted) and c.step == "answer"]
    assert (started.policy_version, started.due_at) == (1, at("11:40"))
    assert service.row(CLOCKS, ANSWER).due_at == at("11:40")
