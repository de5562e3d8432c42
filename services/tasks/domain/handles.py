"""Which command is decided where, and to which stream it belongs."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from libs.events.deciding import Handle
from libs.events.entries import entity_id
from services.tasks.commands import (
    AcceptHandoff,
    AdvanceTimeline,
    AnswerConsultation,
    CloseBySource,
    CompleteForm,
    GiveSolution,
    OfferHandoff,
    OpenCase,
    PublishTemplate,
    RecordCallBack,
    RejectHandoff,
    Rule,
    TellCustomer,
)
from services.tasks.domain.case import CASE
from services.tasks.domain.handing import accept_handoff, offer_handoff, reject_handoff
from services.tasks.domain.opening import close_by_source, complete_form, open_case
from services.tasks.domain.ruling import answer_consultation, rule
from services.tasks.domain.solving import give_solution, record_call_back, tell_customer
from services.tasks.domain.template import TEMPLATE, publish_template
from services.tasks.domain.timeline import TIMELINE, advance_timeline


class _OnCase(Protocol):
    @property
    def case_id(self) -> UUID: ...


def _case(command: _OnCase) -> UUID:
    return command.case_id


def _template(command: PublishTemplate) -> UUID:
    return entity_id("", "template", command.template)


def _timeline(command: AdvanceTimeline) -> UUID:
    return entity_id("", "timeline", command.source)


COMMANDS = (
    Handle(PublishTemplate, TEMPLATE, publish_template, key=_template),
    Handle(AdvanceTimeline, TIMELINE, advance_timeline, key=_timeline),
    Handle(OpenCase, CASE, open_case, key=_case),
    Handle(CompleteForm, CASE, complete_form, key=_case),
    Handle(OfferHandoff, CASE, offer_handoff, key=_case),
    Handle(AcceptHandoff, CASE, accept_handoff, key=_case),
    Handle(RejectHandoff, CASE, reject_handoff, key=_case),
    Handle(Rule, CASE, rule, key=_case),
    Handle(AnswerConsultation, CASE, answer_consultation, key=_case),
    Handle(GiveSolution, CASE, give_solution, key=_case),
    Handle(TellCustomer, CASE, tell_customer, key=_case),
    Handle(RecordCallBack, CASE, record_call_back, key=_case),
    Handle(CloseBySource, CASE, close_by_source, key=_case),
)
