"""Templates: what may be published, and that running cases keep the version that they were opened with."""

from __future__ import annotations

from typing import Any

import pytest

from libs.events.contracts.tasks import ConsultationAsked, HandoffOffered, TemplatePublished
from libs.events.entries import entity_id
from libs.events.errors import Refusal
from services.tasks.commands import (
    AcceptHandoff,
    CompleteForm,
    GiveSolution,
    OfferHandoff,
    PublishTemplate,
    RejectHandoff,
)
from services.tasks.tests.world import (
    CASE_ID,
    OPS,
    SEATS_OF_OPENING,
    SEATS_OF_RESPONSIBLE,
    company,
    complaint,
    monday,
    offered,
    opened,
    received,
    request_template,
    step,
)
from services.tasks.views.assignments import ASSIGNMENTS
from services.tasks.views.cases import CASES
from services.tasks.views.templates import TEMPLATES

NOW = monday("08:30")


def steps_with(**raci: Any) -> list[dict[str, Any]]:
    return [step("form", "opened", "form-completed", {**SEATS_OF_OPENING, **raci})]


def test_a_template_gets_a_new_version_only_when_something_changes() -> None:
    tasks = company()
    tasks.ask(complaint(), by=OPS, at=NOW)
    assert tasks.ask(complaint(), by=OPS, at=NOW) == ()
    tasks.ask(complaint(bounce_limit=2), by=OPS, at=NOW)
    versions = tasks.rows(TEMPLATES, template="complaint")
    assert [(row.version, row.current, row.content.bounce_limit) for row in versions] == [(1, False, 3), (2, True, 2)]


@pytest.mark.parametrize(
    ("changes", "rule", "names"),
    [
        ({"steps": steps_with(accountable=[])}, "one-accountable", "steps.form.accountable"),
        ({"steps": steps_with(accountable=["dept:a", "dept:b"])}, "one-accountable", "dept:b"),
        ({"steps": steps_with(responsible=[])}, "no-responsible", "steps.form.responsible"),
        ({"steps": steps_with(informed=["everybody"])}, "template-invalid", "everybody"),
        ({"steps": steps_with(consulted=["person:prod-1"])}, "template-invalid", "consulted"),
        ({"steps": [step("form", "opened", "never", SEATS_OF_OPENING)]}, "template-invalid", "never"),
        ({"steps": [step("form", "routed", "opened", SEATS_OF_OPENING)]}, "template-invalid", "opened"),
        ({"steps": steps_with() + steps_with()}, "template-invalid", "form"),
        ({"intake": "by-magic"}, "template-invalid", "by-magic"),
        ({"routing_rule": "by-magic"}, "template-invalid", "by-category, by-source"),
        ({"closing_rule": "by-magic"}, "template-invalid", "after-call-back"),
        ({"routing": {}}, "template-invalid", "routing"),
        ({"who": {"complete-form": "by-magic"}}, "template-invalid", "by-magic"),
        ({"who": {"fly": "holder"}}, "template-invalid", "fly"),
        ({"who": {"complete-form": "holder"}}, "template-invalid", "offer-handoff"),
        ({"steps": steps_with()}, "template-invalid", "who.give-solution=responsible"),
    ],
)
def test_a_template_that_breaks_a_rule_is_refused_and_the_line_is_named(
    changes: dict[str, Any], rule: str, names: str
) -> None:
    with pytest.raises(Refusal) as caught:
        company().ask(complaint(**changes), by=OPS, at=NOW)
    assert caught.value.rule == rule
    assert names in caught.value.en


def test_a_running_case_keeps_its_version_and_a_new_one_takes_the_next() -> None:
    tasks = opened()
    tasks.ask(complaint(routing={"*": "product"}), by=OPS, at=monday("09:10"))
    other = entity_id("main", "case", "phone/2")
    tasks.hear(received(reference="2"), subject=other, at=monday("09:20"))
    for case_id in (CASE_ID, other):
        tasks.ask(CompleteForm(case_id=case_id, form={"defect": "x"}), by="svc-1", at=monday("09:40"))
    assert [tasks.row(CASES, case_id).offered_to for case_id in (CASE_ID, other)] == ["production", "product"]
    assert [tasks.row(CASES, case_id).template_version for case_id in (CASE_ID, other)] == [1, 2]


def test_a_c_in_the_raci_is_asked_and_must_be_heard() -> None:
    consulting = {**SEATS_OF_RESPONSIBLE, "consulted": ["dept:product"]}
    tasks = offered(with_solution(consulting))
    (asked,) = tasks.decided(ConsultationAsked)
    assert asked == ConsultationAsked("solution", "product", "步骤 / Solution")
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=1), by="prod-1", at=monday("10:00"))
    with pytest.raises(Refusal) as caught:
        tasks.ask(GiveSolution(case_id=CASE_ID, solution="x"), by="prod-1", at=monday("10:05"))
    assert caught.value.rule == "consulted-not-answered"


def test_whoever_accepts_becomes_responsible_and_never_consults_itself() -> None:
    tasks = offered(with_solution({**SEATS_OF_RESPONSIBLE, "consulted": ["dept:product"]}))
    reject = RejectHandoff(case_id=CASE_ID, number=1, reason="specification", next_department="product")
    tasks.ask(reject, by="prod-1", at=monday("10:00"))
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=2), by="pd-1", at=monday("10:10"))
    seats = tasks.row(ASSIGNMENTS, (CASE_ID, "solution"))
    assert (seats.responsible, seats.accountable, seats.consulted) == (("dept:product",), "person:pd-dir", ())
    assert tasks.row(CASES, CASE_ID).responsible == "product"
    assert tasks.ask(GiveSolution(case_id=CASE_ID, solution="x"), by="pd-1", at=monday("10:20"))


def test_the_bounce_limit_is_data() -> None:
    tasks = offered(complaint(bounce_limit=1))
    tasks.ask(RejectHandoff(case_id=CASE_ID, number=1, reason="no"), by="prod-1", at=monday("10:00"))
    assert tasks.row(CASES, CASE_ID).state == "unruled"


def test_an_act_without_a_line_is_not_there() -> None:
    who = {"complete-form": "holder", "offer-handoff": "holder", "answer-handoff": "receiver"}
    tasks = offered(complaint(who={**who, "rule": "above-the-conflict"}))
    tasks.ask(AcceptHandoff(case_id=CASE_ID, number=1), by="prod-1", at=monday("10:00"))
    with pytest.raises(Refusal) as caught:
        tasks.ask(GiveSolution(case_id=CASE_ID, solution="x"), by="prod-1", at=monday("10:05"))
    assert caught.value.rule == "no-such-act"
    assert "give-solution" in caught.value.en
    with pytest.raises(Refusal, match="nothing-to-offer"):
        tasks.ask(OfferHandoff(case_id=CASE_ID, receiver="product"), by="prod-1", at=monday("10:05"))
    assert len(tasks.decided(HandoffOffered)) == 1


def test_every_template_of_the_tests_is_published_as_it_was_asked() -> None:
    tasks = company()
    for template in (complaint(), request_template()):
        (fact,) = tasks.ask(template, by=OPS, at=NOW)
        assert isinstance(fact, TemplatePublished)
        assert (fact.version, len(fact.steps)) == (1, len(template.steps))


def with_solution(raci: dict[str, Any]) -> PublishTemplate:
    return complaint(
        steps=[
            step("form", "opened", "form-completed", SEATS_OF_OPENING),
            step("answer", "routed", "accepted", SEATS_OF_RESPONSIBLE),
            step("solution", "routed", "solution-given", raci),
        ]
    )
