"""What may be asked of tasks. Bodies of the public door are the commands without what the address names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from libs.events.deciding import Command
from libs.events.instants import Written

CODE_CHARS_MAX = 64
NAME_CHARS_MAX = 200
TEXT_CHARS_MAX = 4_000
REQUESTED_TEXT_CHARS_MAX = 10_000
FORM_FIELDS_MAX = 100
STEPS_MAX = 50
SEATS_MAX = 50
ROUTES_MAX = 500
BOUNCES_MAX = 100
HANDOFFS_MAX = 1_000_000
CALL_BACK_H_MAX = 24 * 365

Code = Annotated[str, Field(min_length=1, max_length=CODE_CHARS_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
SaidText = Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)]
Form = Annotated[dict[Name, Text], Field(max_length=FORM_FIELDS_MAX)]
RequestedForm = Annotated[
    dict[Name, Annotated[str, Field(max_length=REQUESTED_TEXT_CHARS_MAX)]], Field(max_length=FORM_FIELDS_MAX)
]
Seats = Annotated[tuple[Code, ...], Field(max_length=SEATS_MAX)]

HandoffNumber = Annotated[int, Field(ge=1, le=HANDOFFS_MAX)]


class TemplateField(Command):
    """One field of a form, as published."""

    name: Code
    label_en: Name
    label_zh: Name
    required: bool = True


class Raci(Command):
    """The seats of one step, as published: R, A, C, I. That there is exactly one A is checked when publishing."""

    responsible: Seats
    accountable: Seats
    consulted: Seats = ()
    informed: Seats = ()


class Step(Command):
    """`starts` and `ends` name moments of a case (`domain/choices.py`)."""

    name: Code
    name_en: Name
    name_zh: Name
    starts: Code
    ends: Code
    raci: Raci


class PublishTemplate(Command):
    """A process from now on: a new version if anything differs from the last one."""

    template: Code
    name_en: Name
    name_zh: Name
    intake: Code
    opening_department: Code
    form: Annotated[tuple[TemplateField, ...], Field(max_length=FORM_FIELDS_MAX)] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]
    routing_rule: Code
    routing: Annotated[dict[Name, Code], Field(max_length=ROUTES_MAX, default_factory=dict)]
    closing_rule: Code
    who: dict[Code, Code]
    bounce_limit: Annotated[int, Field(ge=1, le=BOUNCES_MAX)] = 3
    call_back_after_h: Annotated[int, Field(ge=0, le=CALL_BACK_H_MAX)] = 24


class NewCase(Command):
    """`source` and `reference` name the case outside; the same two open it only once."""

    source: Code
    reference: Name
    template: Code
    category: Name
    title: Text
    form: Annotated[Form, Field(default_factory=dict)]
    priority: Code = "normal"
    department: Code | None = None
    target_at: Written | None = None


class OpenCase(NewCase):
    """Whatever gateway has accepted fits in: a request that was accepted and can never be opened helps nobody."""

    source: Name
    template: Name
    form: Annotated[RequestedForm, Field(default_factory=dict)]
    priority: Name = "normal"
    department: Name | None = None
    case_id: UUID
    timeline: str = ""


class FilledForm(Command):
    """The fields that were still open, or better ones. `category` corrects the one that the case came with."""

    form: Form
    category: Name | None = None


class CompleteForm(FilledForm):
    case_id: UUID


class Offer(Command):
    """A returned case is offered to somebody else."""

    receiver: Code
    note: Text = ""


class OfferHandoff(Offer):
    case_id: UUID


class AcceptHandoff(Command):
    case_id: UUID
    number: HandoffNumber


class Rejection(Command):
    """Why not, and who then. Without `next_department` the case stays with its sender, who offers it anew."""

    reason: SaidText
    next_department: Code | None = None


class RejectHandoff(Rejection):
    case_id: UUID
    number: HandoffNumber


class Ruling(Command):
    """Who is to take the case, whom they must ask first, and why. `question` is what the consulted are asked."""

    responsible: Code
    consulted: Annotated[tuple[Code, ...], Field(max_length=SEATS_MAX)] = ()
    reason: SaidText
    question: Text = ""


class Rule(Ruling):
    case_id: UUID


class ConsultationAnswer(Command):
    answer: SaidText


class AnswerConsultation(ConsultationAnswer):
    case_id: UUID
    department: Code


class Solution(Command):
    solution: SaidText


class GiveSolution(Solution):
    case_id: UUID


class TellCustomer(Command):
    case_id: UUID


class CallBack(Command):
    """What the customer said when called back."""

    satisfied: bool
    note: Text = ""


class RecordCallBack(CallBack):
    case_id: UUID


class CloseBySource(Command):
    """The source says that its request is done."""

    case_id: UUID
    outcome: str


class AdvanceTimeline(Command):
    """Everything of an import that occurred up to `up_to` is in its cases."""

    source: str
    up_to: datetime
