"""What tasks says: the life of a case, and every handoff in it. Subject: the case."""

from __future__ import annotations

from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact, Instant, entity_id


def case_id(tenant: str, source: str, reference: str) -> UUID:
    """The case that this reference of this source becomes: every service computes the same id. The length keeps
    ("a", "b/7") and ("a/b", "7") apart.
    """
    return entity_id(tenant, "case", f"{len(source)}:{source}/{reference}")


class FormField(Fact, frozen=True):
    """One field of a template's form; a required one must be filled before the form is complete."""

    name: str
    label_en: str
    label_zh: str
    required: bool = True


class RaciSeats(Fact, frozen=True):
    """RACI of a step: seats, or names of functions that find them in a case (`lead-of-responsible` …)."""

    responsible: tuple[str, ...]
    accountable: str
    consulted: tuple[str, ...] = ()
    informed: tuple[str, ...] = ()


class TemplateStep(Fact, frozen=True):
    """A step runs from one moment of a case to another; `opened`, `routed`, `solution-given` … name moments."""

    name: str
    name_en: str
    name_zh: str
    starts: str
    ends: str
    seats: RaciSeats


class TemplatePublished(Fact, frozen=True):
    """A process from now on; running cases keep the version that they were opened with. Versions count from 1.

    `intake`, `routing_rule`, `closing_rule` and the values of `who` (act → who may) name functions of tasks.
    `routing`: category → department, `*` for every other one.
    """

    template: str
    version: int
    name_en: str
    name_zh: str
    intake: str
    opening_department: str
    form: tuple[FormField, ...]
    steps: tuple[TemplateStep, ...]
    routing_rule: str
    routing: dict[str, str]
    closing_rule: str
    who: dict[str, str]
    bounce_limit: int
    call_back_after_h: int


class TimelineAdvanced(Fact, frozen=True):
    """The event-time watermark of an import: every case of `source` has what occurred up to `up_to`."""

    source: str
    up_to: Instant


class CaseOpened(Fact, frozen=True):
    """A case of a template's version. `holder` is the department that holds it until somebody else accepts it.

    `reference` is the name that `source` gave it. `timeline`: see gateway.RequestReceived.
    """

    case_id: UUID
    source: str
    reference: str
    template: str
    template_version: int
    category: str
    priority: str
    title: str
    form: dict[str, str]
    holder: str
    timeline: str = ""


class FormCompleted(Fact, frozen=True):
    """Every required field is filled. `category`: the corrected one, "" where it stays."""

    form: dict[str, str]
    category: str = ""


class StepStarted(Fact, frozen=True):
    """A step of the template begins: clocks start here. `target_at`: a due instant promised by the source."""

    step: str
    template: str
    category: str
    priority: str
    target_at: Instant | None = None
    timeline: str = ""


class StepCompleted(Fact, frozen=True):
    """A step of the template ends: its clocks stop here."""

    step: str


class CaseRouted(Fact, frozen=True):
    """The responsible department by the template's routing; `rule` names the line of the routing table."""

    department: str
    rule: str


class HandoffOffered(Fact, frozen=True):
    """`sender` offers the case to `receiver`; the holder stays until somebody accepts. `number` counts from 1."""

    number: int
    sender: str
    receiver: str
    note: str = ""


class HandoffAccepted(Fact, frozen=True):
    """`receiver` took the case that it was offered with this `number`, and is its holder from now on."""

    number: int
    receiver: str


class HandoffRejected(Fact, frozen=True):
    """`bounces`: rejections so far, this one included."""

    number: int
    receiver: str
    reason: str
    bounces: int


class ConflictOpened(Fact, frozen=True):
    """Nobody takes it: the case is unruled until somebody above all `departments` rules."""

    departments: tuple[str, ...]
    bounces: int


class ConflictRuled(Fact, frozen=True):
    """`ruler` binds the case: `responsible` is to take it, `consulted` must answer before the solution."""

    ruler: str
    responsible: str
    consulted: tuple[str, ...]
    reason: str


class TaskAssigned(Fact, frozen=True):
    """The RACI seats of a step from now on; R and A are filled. A seat is `dept:x`, `role:y` or `person:z`."""

    step: str
    responsible: tuple[str, ...]
    accountable: str
    consulted: tuple[str, ...] = ()
    informed: tuple[str, ...] = ()


class ConsultationAsked(Fact, frozen=True):
    """`department` is asked for what it knows; the case stays where it is."""

    step: str
    department: str
    question: str


class ConsultationAnswered(Fact, frozen=True):
    """`department` answered what it was asked in this `step`."""

    step: str
    department: str
    answer: str


class SolutionGiven(Fact, frozen=True):
    """`department`, which holds the case, has a solution. The customer does not know of it yet."""

    department: str
    solution: str


class CustomerTold(Fact, frozen=True):
    """The customer knows the solution; the call back comes not before `call_back_from`."""

    call_back_from: Instant


class CallBackDone(Fact, frozen=True):
    """The customer was called back; `satisfied` with the solution or not."""

    satisfied: bool
    note: str = ""


class SourceCloseDeclined(Fact, frozen=True):
    """The source says that its request is done, with this `outcome`, and the case goes on all the same.

    `rule`: the line of the template that decides so. Said once; clocks run on.
    """

    outcome: str
    rule: str


class CaseClosed(Fact, frozen=True):
    """The case has ended, and nothing more is handed over in it. `outcome`: how, in a word or in its source's words."""

    outcome: str


CONTRACT = Contract(
    "tasks",
    (
        Kind("TemplatePublished", 1, TemplatePublished),
        Kind("TimelineAdvanced", 1, TimelineAdvanced),
        Kind("CaseOpened", 1, CaseOpened, personal=("title", "form")),
        Kind("FormCompleted", 1, FormCompleted, personal=("form",)),
        Kind("StepStarted", 1, StepStarted),
        Kind("StepCompleted", 1, StepCompleted),
        Kind("CaseRouted", 1, CaseRouted),
        Kind("HandoffOffered", 1, HandoffOffered, personal=("note",)),
        Kind("HandoffAccepted", 1, HandoffAccepted),
        Kind("HandoffRejected", 1, HandoffRejected, personal=("reason",)),
        Kind("ConflictOpened", 1, ConflictOpened),
        Kind("ConflictRuled", 1, ConflictRuled, personal=("reason",)),
        Kind("TaskAssigned", 1, TaskAssigned),
        Kind("ConsultationAsked", 1, ConsultationAsked, personal=("question",)),
        Kind("ConsultationAnswered", 1, ConsultationAnswered, personal=("answer",)),
        Kind("SolutionGiven", 1, SolutionGiven, personal=("solution",)),
        Kind("CustomerTold", 1, CustomerTold),
        Kind("CallBackDone", 1, CallBackDone, personal=("note",)),
        Kind("SourceCloseDeclined", 1, SourceCloseDeclined, personal=("outcome",)),
        Kind("CaseClosed", 1, CaseClosed, personal=("outcome",)),
    ),
)
