"""Who is told what when nobody wants a complaint, because of what, and in which words."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from libs.events.contracts.directory import PersonJoined
from libs.events.contracts.notify import MessageAcknowledged
from libs.events.contracts.sla import BreachWithdrawn, EscalationRaised, Leg, SlaBreached, SlaWarned
from libs.events.contracts.tasks import (
    CaseClosed,
    ConflictOpened,
    ConflictRuled,
    ConsultationAnswered,
    ConsultationAsked,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
    SourceCloseDeclined,
    TaskAssigned,
)
from libs.events.entries import Fact
from libs.events.errors import Forbidden, NotFound, Refusal
from libs.events.testing import MemoryService
from services.notify.commands import AcknowledgeMessage, PublishText, message_id
from services.notify.domain.templates import PARAMETERS, parameters_of
from services.notify.domain.words import without_words, written
from services.notify.tests.world import BEFORE, CASE, CLOCK, at, notify, texts, told
from services.notify.views.messages import MESSAGES, Message
from services.notify.views.texts import TEXTS

SHANGHAI = ZoneInfo("Asia/Shanghai")
PARTIES = ("production", "purchasing", "product")
LEGS = (
    Leg("offered", "production", at("09:40"), at("10:10")),
    Leg("offered", "purchasing", at("10:10"), at("10:50")),
    Leg("unruled", None, at("10:50"), at("11:40")),
)
ASSIGNED = TaskAssigned("answer", ("dept:production",), "person:production-dir", (), ("dept:service",))
FACTS: tuple[Fact, ...] = (
    ASSIGNED,
    HandoffOffered(1, "service", "production", "please"),
    HandoffRejected(1, "production", "raw material", 1),
    ConflictOpened(PARTIES, 3),
    SlaWarned(CLOCK, "answer", at("11:40")),
    SlaBreached(CLOCK, "answer", "complaint/answer", at("11:40"), LEGS, template="complaint"),
    BreachWithdrawn(CLOCK, "answer", "complaint/answer", at("11:40"), at("11:39")),
    EscalationRaised("complaint-ladder", 1, "contacts", ("production-1",), at("12:10"), "breach", 1, PARTIES, "对接人"),
    ConflictRuled("vp-ops", "production", ("purchasing",), "the press"),
    ConsultationAsked("solution", "purchasing", "was it wet?"),
    ConsultationAnswered("solution", "purchasing", "it was"),
    SolutionGiven("production", "new doors"),
    SourceCloseDeclined("repaired", "closing_rule=after-call-back"),
    CaseClosed("satisfied"),
)


def story() -> MemoryService:
    service = notify()
    for fact in FACTS:
        service.hear(fact, subject=CASE, at=at("12:00"))
    return service


def test_an_assignment_tells_r_and_a_and_i() -> None:
    assert told(notify(), ASSIGNED) == {
        "production-1": "contact of production: R of answer",
        "production-dir": "person:production-dir: A of answer",
        "service-1": "contact of service: I of answer",
    }


def test_who_sits_in_two_seats_gets_one_message_that_names_both() -> None:
    service = notify()
    both = TaskAssigned("answer", ("dept:production",), "person:production-1")
    assert told(service, both) == {
        "production-1": "contact of production: R of answer; person:production-1: A of answer"
    }
    (message,) = service.rows(MESSAGES)
    assert message.params["seat"] == "R, A"


def test_a_handoff_goes_to_the_receivers_contact_and_its_rejection_to_the_senders() -> None:
    service = notify()
    offer = told(service, HandoffOffered(1, "service", "production"))
    assert offer == {"production-1": "contact of production: is offered handoff 1"}
    assert list(told(service, HandoffRejected(1, "production", "raw material", 1))) == ["service-1"]


def test_a_conflict_goes_to_the_contacts_of_all_its_departments() -> None:
    assert list(told(notify(), ConflictOpened(PARTIES, 3))) == ["production-1", "purchasing-1", "product-1"]


def test_a_warning_goes_to_whoever_is_to_act_now() -> None:
    service = notify()
    warning = SlaWarned(CLOCK, "answer", at("11:40"))
    assert list(told(service, warning)) == ["service-1"]
    told(service, HandoffOffered(1, "service", "production"))
    assert list(told(service, warning)) == ["production-1"]
    told(service, HandoffAccepted(1, "production"))
    assert list(told(service, warning)) == ["production-1"]
    told(service, ConflictOpened(PARTIES, 3))
    assert list(told(service, warning)) == ["production-1", "purchasing-1", "product-1"]


def test_a_breach_goes_to_the_accountable_and_to_the_leads_of_everybody_who_was_to_act() -> None:
    service = notify()
    told(service, ASSIGNED)
    breach = SlaBreached(CLOCK, "answer", "complaint/answer", at("11:40"), LEGS)
    assert told(service, breach) == {
        "production-dir": "person:production-dir: A of answer; lead of production: was to act before the breach",
        "purchasing-dir": "lead of purchasing: was to act before the breach",
    }


def test_a_breach_that_concerns_nobody_known_goes_to_the_decision_board() -> None:
    service = notify()
    service.hear(HandoffAccepted(1, "moon"), subject=CASE, at=at("09:10"))
    assert list(told(service, SlaBreached(CLOCK, "answer", "p", at("11:40"), ()))) == ["ceo"]


def test_of_a_case_that_was_due_before_it_began_nobody_is_said_to_have_had_it() -> None:
    service = notify()
    breach = SlaBreached(CLOCK, "answer", "promised", at("08:00"), ())
    assert told(service, breach) == {"service-dir": "lead of service: is to act now"}
    (message,) = service.rows(MESSAGES)
    assert words_of(service, message, "en").endswith("is overdue. It was due before anybody had it.")
    assert words_of(service, message, "zh").endswith("现已超时。到期时尚无部门经手。")


def test_a_withdrawn_breach_is_told_to_who_was_told_of_it() -> None:
    service = notify()
    told(service, SlaBreached(CLOCK, "answer", "p", at("11:40"), LEGS))
    withdrawn = told(service, BreachWithdrawn(CLOCK, "answer", "p", at("11:40"), at("11:39")))
    assert set(withdrawn) == {"production-dir", "purchasing-dir"}
    assert told(service, BreachWithdrawn(CLOCK, "form", "p", at("11:40"), at("11:39"))) == {}


def test_a_rung_goes_to_the_people_whom_it_asks() -> None:
    raised = EscalationRaised(
        "complaint-ladder", 2, "common superior", ("vp-ops",), at("13:10"), "breach of complaint/answer"
    )
    assert told(notify(), raised) == {
        "vp-ops": "rung 2 of complaint-ladder (common superior): breach of complaint/answer"
    }


def test_a_ruling_goes_to_everybody_whom_it_binds_or_frees() -> None:
    service = notify()
    told(service, ConflictOpened(PARTIES, 3))
    assert told(service, ConflictRuled("vp-ops", "production", ("purchasing",), "the press")) == {
        "production-1": "contact of production: responsible by the ruling; "
        "contact of production: party to the conflict",
        "purchasing-1": "contact of purchasing: consulted by the ruling; contact of purchasing: party to the conflict",
        "product-1": "contact of product: party to the conflict",
    }


def test_a_department_without_a_contact_is_told_through_its_lead() -> None:
    service = notify()
    service.hear(PersonJoined("legal-dir", "L", "legal", "director"), subject=UUID(int=7), at=BEFORE)
    assert told(service, ConsultationAsked("solution", "legal", "may we?")) == {
        "legal-dir": "lead of legal: C of solution"
    }


def test_i_is_told_the_solution_and_the_close() -> None:
    service = notify()
    told(service, ASSIGNED)
    assert "service-1" in told(service, SolutionGiven("production", "new doors"))
    assert "service-1" in told(service, CaseClosed("solved"))


def test_whoever_holds_a_case_is_told_that_its_source_believes_it_done() -> None:
    declined = SourceCloseDeclined("repaired", "closing_rule=after-call-back")
    assert told(notify(), declined) == {"service-1": "contact of service: holds the case"}


def test_an_import_wakes_nobody() -> None:
    service = notify(timeline="crm")
    for fact in FACTS:
        assert told(service, fact) == {}
    late = SlaBreached(CLOCK, "answer", "p", at("11:40"), LEGS, timeline="crm")
    assert told(notify(), late) == {}


def test_one_message_per_person_event_and_template() -> None:
    service = story()
    keys = [(m.to, m.cause, m.template) for m in service.rows(MESSAGES)]
    assert len(keys) == len(set(keys))
    assert all(m.message == message_id(m.cause, m.to, m.template) for m in service.rows(MESSAGES))


def test_every_template_has_words_whose_every_parameter_is_sent() -> None:
    service = story()
    sent = {message.template: message for message in service.rows(MESSAGES)}
    assert set(sent) == set(PARAMETERS) == {row["template"] for row in texts()}
    for template, message in sent.items():
        assert set(message.params) == parameters_of(template)
        for language in ("en", "zh"):
            words = getattr(service.row(TEXTS, (template, message.template_version)), language)
            assert "$" not in written(words, message.params, SHANGHAI)


def words_of(service: MemoryService, message: Message, language: str) -> str:
    text = service.row(TEXTS, (message.template, message.template_version))
    return written(getattr(text, language), message.params, SHANGHAI)


def test_chinese_words_name_departments_steps_seats_rungs_and_outcomes_as_people_do() -> None:
    service = story()
    zh = [words_of(service, message, "zh") for message in service.rows(MESSAGES)]
    for words in (
        "“veneer blisters”（STORY1）：您在步骤“责任部门响应”中的职责：负责。",
        "客服部将“veneer blisters”（STORY1）移交生产部（第 1 次移交），请接收或退回。备注：please",
        "“veneer blisters”（STORY1）无人承接：已被生产部、采购部、产品部退回 3 次，请协商确定责任部门。",
        "“veneer blisters”（STORY1）：步骤“责任部门响应”将于 2026-11-02 11:40 到期，尚未完成。",
        "“veneer blisters”（STORY1）已升级到您（第 1 级，对接人），涉及生产部、采购部、产品部。"
        "请于此时间前答复：2026-11-02 12:10",
        "请采购部就“veneer blisters”（STORY1）的步骤“解决方案”给出意见：was it wet?",
        "“veneer blisters”（STORY1）已关闭：客户满意",
    ):
        assert words in zh


def test_words_name_the_step_and_the_part_in_it() -> None:
    service = notify()
    both = TaskAssigned("answer", ("dept:production",), "person:production-1")
    told(service, both)
    (message,) = service.rows(MESSAGES)
    assert words_of(service, message, "en") == (
        "“veneer blisters” (STORY1): your part in the step “Answer”: responsible, accountable."
    )
    assert (
        words_of(service, message, "zh")
        == "“veneer blisters”（STORY1）：您在步骤“责任部门响应”中的职责：负责、最终负责。"
    )


def test_what_nobody_named_is_called_by_its_code_and_a_sources_words_stay_its_own() -> None:
    service = notify()
    told(service, SlaWarned(CLOCK, "polish", at("11:40")))
    told(service, EscalationRaised("ladder", 1, "plant manager", ("vp-ops",), None, "breach"))
    told(service, CaseClosed("Case Noted"))
    zh = [words_of(service, message, "zh") for message in service.rows(MESSAGES)]
    for words in ("步骤“polish”", "第 1 级，plant manager", "已关闭：Case Noted"):
        assert any(words in each for each in zh)


def test_a_breach_is_told_in_both_languages_with_its_legs_and_in_the_readers_time() -> None:
    service = notify()
    told(service, SlaBreached(CLOCK, "answer", "p", at("11:40"), LEGS))
    message = service.rows(MESSAGES)[0]
    assert words_of(service, message, "en") == (
        "“veneer blisters” (STORY1): the step “Answer” was due at 2026-11-02 11:40 and is overdue. "
        "Where it was: Production 30 min, Purchasing 40 min, in dispute 50 min."
    )
    assert "各环节用时：生产部 30 分钟、采购部 40 分钟、争议待裁决 50 分钟。" in words_of(service, message, "zh")


def test_a_breach_tells_long_times_in_days_and_hours() -> None:
    service = notify()
    legs = (Leg("holding", "service", at("08:00"), at("11:40") + timedelta(days=3)),)
    told(service, SlaBreached(CLOCK, "answer", "p", at("11:40") + timedelta(days=3), legs))
    message = service.rows(MESSAGES)[0]
    assert words_of(service, message, "en").endswith("Where it was: Service 3 d 3 h 40 min.")
    assert words_of(service, message, "zh").endswith("各环节用时：客服部 3 天 3 小时 40 分钟。")


def test_a_posted_message_keeps_the_words_it_was_posted_with() -> None:
    service = notify()
    told(service, CaseClosed("solved"))
    service.ask(PublishText(template="case-closed", en="Done: $title", zh="完成：$title"), by="ops-1", at=BEFORE)
    told(service, CaseClosed("solved again"))
    assert sorted(message.template_version for message in service.rows(MESSAGES)) == [1, 2]


def test_without_words_a_message_shows_what_it_is_about() -> None:
    service = notify(words=False)
    told(service, CaseClosed("solved"))
    message = service.rows(MESSAGES)[0]
    assert message.template_version == 0
    assert "outcome=solved" in without_words(message.template, message.params, SHANGHAI)


def test_a_dollar_sign_in_what_somebody_wrote_stays_what_it_is() -> None:
    assert written("$reason", {"reason": "costs $title"}, SHANGHAI) == "costs $title"


@pytest.mark.parametrize(
    ("template", "en", "rule"),
    [
        ("birthday", "hello", "unknown-template"),
        ("case-closed", "costs 5 $ more", "text-cannot-be-filled"),
        ("case-closed", "$titel is closed", "text-cannot-be-filled"),
    ],
)
def test_words_that_cannot_be_filled_are_refused(template: str, en: str, rule: str) -> None:
    with pytest.raises(Refusal) as caught:
        notify().ask(PublishText(template=template, en=en, zh="好"), by="ops-1", at=BEFORE)
    assert caught.value.rule == rule


def test_publishing_the_same_words_again_is_no_new_version() -> None:
    service = notify()
    assert service.ask(PublishText(**texts()[0]), by="ops-1", at=BEFORE) == ()


def test_only_who_got_a_message_acknowledges_it_and_once() -> None:
    service = notify()
    told(service, CaseClosed("solved"))
    message = service.rows(MESSAGES, to="service-1")[0]
    command = AcknowledgeMessage(message=message.message, case_id=CASE)
    with pytest.raises(Forbidden):
        service.ask(command, by="production-1", at=at("13:00"))
    assert service.ask(command, by="service-1", at=at("13:00")) == (MessageAcknowledged(message.message),)
    assert service.ask(command, by="service-1", at=at("13:01")) == ()
    assert service.entries[-1].subject == CASE
    row = service.row(MESSAGES, message.message)
    assert (row.acknowledged, row.acknowledged_at) == (True, at("13:00"))
    with pytest.raises(NotFound):
        service.ask(AcknowledgeMessage(message=UUID(int=99), case_id=CASE), by="service-1", at=at("13:00"))
