"""What nobody may do, or not yet: each refusal names its rule, the value, and the cure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from libs.events.contracts.directory import PersonJoined
from libs.events.contracts.tasks import ConsultationAnswered, ConsultationAsked, HandoffRejected
from libs.events.deciding import Command
from libs.events.entries import entity_id
from libs.events.errors import Forbidden, NotFound, Refusal
from libs.events.testing import MemoryService
from services.tasks.commands import (
    AcceptHandoff,
    AnswerConsultation,
    CompleteForm,
    GiveSolution,
    OfferHandoff,
    OpenCase,
    RecordCallBack,
    RejectHandoff,
    Rule,
    TellCustomer,
)
from services.tasks.tests.world import (
    CASE_ID,
    OPS,
    ORGANISATION_ID,
    SEATS_OF_RESPONSIBLE,
    accepted,
    closed,
    company,
    complaint,
    disputed,
    monday,
    offered,
    opened,
    received,
    request_template,
    ruled,
    solved,
    tuesday,
)
from services.tasks.views.cases import CASES

NOON = monday("12:00")


def refused(
    tasks: MemoryService, rule: str, command: Command, *, by: str, at: datetime = NOON, kind: type[Refusal] = Refusal
) -> Refusal:
    entries = len(tasks.entries)
    with pytest.raises(kind) as caught:
        tasks.ask(command, by=by, at=at)
    assert type(caught.value) is kind
    assert caught.value.rule == rule
    assert caught.value.en
    assert caught.value.zh
    assert len(tasks.entries) == entries
    return caught.value


def test_a_form_with_missing_fields_is_refused_and_they_are_named() -> None:
    incomplete = CompleteForm(case_id=CASE_ID, form={"defect": "  "})
    refusal = refused(opened(), "fields-missing", incomplete, by="svc-1")
    assert "defect" in refusal.en
    assert "product" not in refusal.en
    assert "问题" in refusal.zh


def test_a_field_that_the_form_does_not_have_is_refused() -> None:
    strange = CompleteForm(case_id=CASE_ID, form={"colour": "red"})
    refusal = refused(opened(), "unknown-field", strange, by="svc-1")
    assert "its fields are defect, product, wish" in refusal.en
    assert "可填字段：产品（product）、问题（defect）、诉求（wish）" in refusal.zh


def test_only_the_holder_completes_the_form_and_only_once() -> None:
    complete = CompleteForm(case_id=CASE_ID, form={"defect": "blisters"})
    refused(opened(), "not-holder", complete, by="prod-1", kind=Forbidden)
    refused(opened(), "not-holder", complete, by="stranger", kind=Forbidden)
    refused(offered(), "form-completed", complete, by="svc-1")


def test_a_category_without_a_route_is_refused_until_it_is_corrected() -> None:
    tasks = opened(complaint(routing={"material": "purchasing"}))
    complete = CompleteForm(case_id=CASE_ID, form={"defect": "blisters"})
    refusal = refused(tasks, "no-route", complete, by="svc-1")
    assert "quality" in refusal.en
    assert "请在流程中为其指定，或改用：material（采购部）" in refusal.zh
    tasks.ask(complete.model_copy(update={"category": "material"}), by="svc-1", at=NOON)
    row = tasks.row(CASES, CASE_ID)
    assert (row.category, row.offered_to) == ("material", "purchasing")


def test_a_department_without_a_lead_cannot_be_made_accountable() -> None:
    tasks = opened(complaint(routing={"*": "nowhere"}))
    complete = CompleteForm(case_id=CASE_ID, form={"defect": "blisters"})
    refused(tasks, "department-without-lead", complete, by="svc-1")


def test_only_the_receiver_answers_a_handoff_and_only_the_open_one() -> None:
    refused(offered(), "not-receiver", AcceptHandoff(case_id=CASE_ID, number=1), by="purch-1", kind=Forbidden)
    refused(offered(), "unknown-handoff", AcceptHandoff(case_id=CASE_ID, number=2), by="prod-1", kind=NotFound)
    again = RejectHandoff(case_id=CASE_ID, number=1, reason="still not ours")
    refused(disputed(), "handoff-answered", again, by="prod-1")


def returned() -> MemoryService:
    tasks = offered()
    tasks.ask(RejectHandoff(case_id=CASE_ID, number=1, reason="not ours"), by="prod-1", at=NOON)
    return tasks


@pytest.mark.parametrize(
    ("world", "en", "zh"),
    [
        (opened, "complete its form", "请先填写完整表单"),
        (offered, "let Production accept or reject it", "请由生产部接收或退回"),
        (returned, "let Service offer it anew", "请由客服部重新移交"),
        (disputed, "let whoever stands above its departments rule", "请由共同上级裁决"),
        (accepted, "Production has it", "工单现由生产部经办"),
    ],
)
def test_a_handoff_that_is_none_is_answered_with_how_the_case_stands_and_what_comes_next(
    world: Callable[[], MemoryService], en: str, zh: str
) -> None:
    tasks = world()
    by = "prod-1" if world is not opened else "svc-1"
    refusal = refused(tasks, "unknown-handoff", AcceptHandoff(case_id=CASE_ID, number=9), by=by, kind=NotFound)
    assert en in refusal.en
    assert zh in refusal.zh
    if world is not returned:
        offer = OfferHandoff(case_id=CASE_ID, receiver="purchasing")
        holder = tasks.row(CASES, CASE_ID).holder
        again = refused(tasks, "nothing-to-offer", offer, by="prod-1" if holder == "production" else "svc-1")
        assert zh in again.zh


def test_a_rejection_sends_the_case_to_a_known_third_party() -> None:
    reject = RejectHandoff(case_id=CASE_ID, number=1, reason="no", next_department="nowhere")
    refused(offered(), "unknown-department", reject, by="prod-1", kind=NotFound)
    for party in ("service", "production"):
        to_party = reject.model_copy(update={"next_department": party})
        refused(offered(), "receiver-is-party", to_party, by="prod-1")


def test_a_returned_case_is_offered_anew_by_its_holder_alone() -> None:
    tasks = offered()
    offer = OfferHandoff(case_id=CASE_ID, receiver="product", note="please look")
    refused(tasks, "nothing-to-offer", offer, by="svc-1")
    tasks.ask(RejectHandoff(case_id=CASE_ID, number=1, reason="not ours"), by="prod-1", at=NOON)
    assert tasks.row(CASES, CASE_ID).state == "returned"
    refused(tasks, "not-holder", offer, by="prod-1", kind=Forbidden)
    tasks.ask(offer, by="svc-1", at=NOON)
    row = tasks.row(CASES, CASE_ID)
    assert (row.holder, row.offered_to, row.handoff, row.bounces) == ("service", "product", 2, 1)


def test_only_whoever_stands_above_the_conflict_rules() -> None:
    rule = Rule(case_id=CASE_ID, responsible="production", reason="glue")
    for person in ("prod-dir", "svc-lead", "svc-1", "stranger"):
        refusal = refused(disputed(), "not-above-the-conflict", rule, by=person, kind=Forbidden)
        assert "Qian (vp-ops) or Zhao (ceo)" in refusal.en
        assert "请由Qian（vp-ops）或Zhao（ceo）执行" in refusal.zh
    for person in ("vp-ops", "ceo"):
        assert disputed().ask(rule, by=person, at=NOON)


def test_a_ruling_needs_a_conflict_and_names_departments_that_exist() -> None:
    rule = Rule(case_id=CASE_ID, responsible="production", reason="glue")
    refused(offered(), "no-conflict", rule, by="vp-ops")
    refused(ruled(), "no-conflict", rule, by="vp-ops")
    nowhere = rule.model_copy(update={"responsible": "nowhere"})
    refused(disputed(), "unknown-department", nowhere, by="vp-ops", kind=NotFound)
    itself = rule.model_copy(update={"consulted": ("production",)})
    refused(disputed(), "responsible-consulted", itself, by="vp-ops")


def test_a_ruling_binds_so_its_department_cannot_reject() -> None:
    reject = RejectHandoff(case_id=CASE_ID, number=4, reason="still not ours", next_department="product")
    refusal = refused(ruled(), "ruling-binds", reject, by="prod-1")
    assert "vp-ops" in refusal.en
    assert "Production is to take the case; accept it" in refusal.en, "until then its sender holds it"
    assert "生产部负责，请接收" in refusal.zh


def test_no_solution_before_everybody_consulted_was_heard() -> None:
    tasks = accepted()
    solution = GiveSolution(case_id=CASE_ID, solution="new doors")
    refusal = refused(tasks, "consulted-not-answered", solution, by="prod-1")
    assert "not heard yet: Purchasing" in refusal.en
    assert "采购部尚未答复" in refusal.zh
    answer = AnswerConsultation(case_id=CASE_ID, department="purchasing", answer="fine")
    refused(tasks, "not-consulted", answer, by="pd-1", kind=Forbidden)
    tasks.ask(answer, by="purch-dir", at=NOON)
    assert tasks.ask(solution, by="prod-1", at=NOON)


def test_no_step_ends_before_everybody_consulted_in_it_was_heard() -> None:
    seats = {**SEATS_OF_RESPONSIBLE, "consulted": ["dept:product"]}
    body = complaint().model_dump()
    steps = [{**each, "raci": seats} if each["name"] == "answer" else each for each in body["steps"]]
    tasks = offered(complaint(steps=steps))
    acceptance = AcceptHandoff(case_id=CASE_ID, number=1)
    assert "not heard yet: Product" in refused(tasks, "consulted-not-answered", acceptance, by="prod-1").en
    tasks.ask(AnswerConsultation(case_id=CASE_ID, department="product", answer="fine"), by="pd-1", at=NOON)
    assert tasks.ask(acceptance, by="prod-1", at=NOON)


def test_a_ruling_asks_again_who_has_answered_before_and_the_old_answer_does_not_count() -> None:
    seats = {**SEATS_OF_RESPONSIBLE, "consulted": ["dept:purchasing"]}
    body = complaint().model_dump()
    steps = [{**each, "raci": seats} if each["name"] == "solution" else each for each in body["steps"]]
    tasks = disputed(complaint(steps=steps))
    answer = AnswerConsultation(case_id=CASE_ID, department="purchasing", answer="fine")
    tasks.ask(answer, by="purch-1", at=NOON)
    ruling = Rule(case_id=CASE_ID, responsible="production", consulted=("purchasing",), reason="!", question="lot?")
    tasks.ask(ruling, by="vp-ops", at=NOON)
    assert tasks.decided(ConsultationAsked)[-1] == ConsultationAsked("solution", "purchasing", "lot?")
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=4), by="prod-1", at=NOON)
    solution = GiveSolution(case_id=CASE_ID, solution="new doors")
    refused(tasks, "consulted-not-answered", solution, by="prod-1")
    tasks.ask(answer, by="purch-1", at=NOON)
    assert tasks.ask(solution, by="prod-1", at=NOON)


def test_only_a_department_that_was_asked_answers() -> None:
    answer = AnswerConsultation(case_id=CASE_ID, department="product", answer="fine")
    refused(accepted(), "unknown-consultation", answer, by="pd-1", kind=NotFound)


def test_a_solution_comes_from_the_responsible_and_after_the_acceptance() -> None:
    solution = GiveSolution(case_id=CASE_ID, solution="new doors")
    refusal = refused(accepted(), "not-responsible", solution, by="purch-1", kind=Forbidden)
    assert "let somebody in Production do it" in refusal.en
    assert "请由生产部执行" in refusal.zh
    refused(ruled(), "not-accepted", solution, by="prod-1")


def test_who_solves_a_case_before_it_is_routed_hears_what_comes_first() -> None:
    solution = GiveSolution(case_id=CASE_ID, solution="new doors")
    refusal = refused(opened(), "nobody-responsible", solution, by="svc-1")
    assert "complete the form first" in refusal.en
    assert "请先填写完整表单" in refusal.zh


def test_the_customer_is_told_a_solution_by_the_department_that_knows_the_customer() -> None:
    tell = TellCustomer(case_id=CASE_ID)
    refused(accepted(), "no-solution", tell, by="svc-1")
    refused(solved(), "not-opening-department", tell, by="prod-1", kind=Forbidden)


def test_the_call_back_is_not_before_its_time() -> None:
    tasks = solved()
    call = RecordCallBack(case_id=CASE_ID, satisfied=True)
    refused(tasks, "customer-not-told", call, by="svc-1")
    tasks.ask(TellCustomer(case_id=CASE_ID), by="svc-1", at=monday("13:35"))
    refusal = refused(tasks, "call-back-too-early", call, by="svc-1", at=tuesday("13:34"))
    assert "2026-11-03T05:35+00:00" in refusal.en
    tasks.ask(call, by="svc-1", at=tuesday("13:35"))
    assert tasks.row(CASES, CASE_ID).state == "closed"


def test_a_closed_case_stays_closed() -> None:
    for command in (TellCustomer(case_id=CASE_ID), AcceptHandoff(case_id=CASE_ID, number=4)):
        refused(closed(), "case-closed", command, by="svc-1", at=tuesday("14:00"))


def test_a_case_that_never_was_is_not_found() -> None:
    nowhere = entity_id("main", "case", "nowhere")
    refused(opened(), "unknown-case", TellCustomer(case_id=nowhere), by="svc-1", kind=NotFound)


def test_doing_it_twice_changes_nothing() -> None:
    tasks = solved()
    for command, by in (
        (AcceptHandoff(case_id=CASE_ID, number=4), "prod-1"),
        (AnswerConsultation(case_id=CASE_ID, department="purchasing", answer="again"), "purch-1"),
        (GiveSolution(case_id=CASE_ID, solution="again"), "prod-1"),
    ):
        assert tasks.ask(command, by=by, at=monday("13:31")) == ()
    tasks.ask(TellCustomer(case_id=CASE_ID), by="svc-1", at=monday("13:35"))
    assert tasks.ask(TellCustomer(case_id=CASE_ID), by="svc-1", at=monday("13:36")) == ()
    assert len(tasks.decided(ConsultationAnswered)) == 1
    assert len(tasks.decided(HandoffRejected)) == 3


def test_a_case_is_opened_at_the_door_by_people_of_its_opening_department() -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    ask = OpenCase(
        case_id=CASE_ID, source="desk", reference="1", template="complaint", category="quality", title="t", form={}
    )
    refused(tasks, "not-opening-department", ask, by="prod-1", kind=Forbidden)
    tasks.ask(ask, by="svc-1", at=NOON)
    assert tasks.ask(ask, by="svc-1", at=NOON) == ()
    other = ask.model_copy(update={"title": "another", "form": {"product": "chair"}})
    assert "title, form" in refused(tasks, "case-opened-before", other, by="svc-1").en
    unknown = ask.model_copy(update={"template": "nothing", "case_id": entity_id("main", "case", "desk/2")})
    refused(tasks, "unknown-template", unknown, by="svc-1", kind=NotFound)


def test_a_person_whom_nobody_registered_is_told_so_and_who_may() -> None:
    for tasks, command, rule in (
        (offered(), AcceptHandoff(case_id=CASE_ID, number=1), "not-receiver"),
        (accepted(), GiveSolution(case_id=CASE_ID, solution="glue"), "not-responsible"),
    ):
        refusal = refused(tasks, rule, command, by="ghost-9", kind=Forbidden)
        assert "actor=ghost-9 is not registered in directory and may not do this; let somebody in" in refusal.en
        assert refusal.zh.startswith("ghost-9 尚未在组织目录中登记，无权执行此操作")


@pytest.mark.parametrize(
    ("word", "rule", "kind", "known"),
    [
        ({"category": "qualty"}, "no-route", Refusal, "quality, material"),
        ({"department": "prodution"}, "unknown-department", NotFound, "management, product, production"),
        ({"priority": "hgih"}, "unknown-priority", Refusal, "low, normal, high, urgent"),
    ],
)
def test_a_word_that_leads_nowhere_is_refused_at_the_desk_with_the_known_ones(
    word: dict[str, str], rule: str, kind: type[Refusal], known: str
) -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    ask = OpenCase(
        case_id=CASE_ID, source="desk", reference="1", template="complaint", category="quality", title="t", form={}
    )
    wrong = ask.model_copy(update=word)
    assert known in refused(tasks, rule, wrong, by="svc-1", kind=kind).en
    tasks.ask(ask.model_copy(update={"department": "production", "priority": "high"}), by="svc-1", at=NOON)


def test_a_field_that_the_form_does_not_have_is_refused_at_the_desk_and_kept_of_what_came_from_outside() -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    ask = OpenCase(
        case_id=CASE_ID, source="desk", reference="1", template="complaint", category="quality", title="t", form={}
    )
    strange = ask.model_copy(update={"form": {"product": "chair", "colour": "red"}})
    refusal = refused(tasks, "unknown-field", strange, by="svc-1")
    assert "form has no colour; its fields are defect, product, wish" in refusal.en
    tasks.hear(received(form={"colour": "red"}), subject=CASE_ID, at=NOON)
    tasks.ask(CompleteForm(case_id=CASE_ID, form={"product": "chair", "defect": "wobbly"}), by="svc-1", at=NOON)
    assert tasks.row(CASES, CASE_ID).form == {"colour": "red", "product": "chair", "defect": "wobbly"}


def test_a_due_instant_that_a_process_does_not_use_is_refused_at_the_desk_where_it_would_be_lost() -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=monday("08:30"))
    tasks.ask(request_template(who={"open-case": "opening-department"}), by=OPS, at=monday("08:30"))
    tasks.hear(PersonJoined("ops-2", "Xu", "operations", "agent"), subject=ORGANISATION_ID, at=monday("08:30"))
    promised = OpenCase(
        case_id=CASE_ID,
        source="desk",
        reference="1",
        template="complaint",
        category="quality",
        title="t",
        form={},
        target_at=tuesday("12:00"),
    )
    refusal = refused(tasks, "target-not-used", promised, by="svc-1")
    assert "2026-11-03T04:00" in refusal.en
    at_once = promised.model_copy(update={"template": "citizen-request"})
    assert tasks.ask(at_once, by="ops-2", at=NOON)
