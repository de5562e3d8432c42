"""tasks' doors: people act on cases in their own name, operations publishes templates, everybody with a token reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path

from libs.events.contracts.tasks import case_id
from libs.events.errors import NotFound
from libs.service.doors import TAGGED, Accepted, Ask, Page, Read, Shown, roles
from libs.service.querying import Reading
from services.tasks.commands import (
    CODE_CHARS_MAX,
    HANDOFFS_MAX,
    AcceptHandoff,
    AnswerConsultation,
    CallBack,
    CompleteForm,
    ConsultationAnswer,
    FilledForm,
    GiveSolution,
    NewCase,
    Offer,
    OfferHandoff,
    OpenCase,
    PublishTemplate,
    RecordCallBack,
    RejectHandoff,
    Rejection,
    Rule,
    Ruling,
    Solution,
    TellCustomer,
)
from services.tasks.views.assignments import ASSIGNMENTS, Assignment
from services.tasks.views.cases import CASES, CaseOnBoard, CaseRow, on_board
from services.tasks.views.consultations import CONSULTATIONS, Consultation
from services.tasks.views.handoffs import HANDOFFS, Handoff
from services.tasks.views.passing import PASSING
from services.tasks.views.templates import TEMPLATES, Template

router = APIRouter(prefix="/v1", tags=["tasks"])
PERSON = [roles("frontend")]
Department = Annotated[str, Path(min_length=1, max_length=CODE_CHARS_MAX)]
Number = Annotated[int, Path(ge=1, le=HANDOFFS_MAX)]
CaseState = Literal["opened", "offered", "returned", "unruled", "held", "solved", "told", "closed"]


class Opened(Accepted):
    """`case_id` follows from tenant, source and reference: every service names the case by it."""

    case_id: UUID


@router.post("/templates", dependencies=[roles("ops")])
async def publish_template(body: PublishTemplate, ask: Ask) -> Accepted:
    """Publish a process, or its next version. Running cases keep the version they were opened with."""
    return await ask(body)


@router.get("/templates")
async def list_templates(read: Read, template: str | None = None, current: bool | None = None) -> Page[Template]:
    return await read.page(TEMPLATES, equal={"template": template, "current": current})


@router.post("/cases", dependencies=PERSON)
async def open_case(body: NewCase, ask: Ask) -> Opened:
    """Open a case. The same source and reference open it only once."""
    opened = case_id(ask.tenant, body.source, body.reference)
    accepted = await ask(OpenCase(case_id=opened, **dict(body)))
    return Opened(case_id=opened, **dict(accepted))


@router.get("/cases")
async def list_cases(
    read: Read,
    holder: str | None = None,
    state: CaseState | None = None,
    template: str | None = None,
    reference: str | None = None,
    offered_to: str | None = None,
) -> Page[CaseOnBoard]:
    """The board, the latest case first. Lag and red are of the instant that is asked for."""
    equal = {
        "holder": holder,
        "state": state,
        "template": template,
        "reference": reference,
        "offered_to": offered_to,
    }
    page = await read.page(CASES, equal=equal, order=("-opened_at",))
    instants = {timeline: await _instant(timeline, read) for timeline in {row.timeline for row in page.rows}}
    rows = tuple(on_board(row, instants[row.timeline]) for row in page.rows)
    return Page(rows=rows, next_cursor=page.next_cursor, as_of=page.as_of, final=page.final)


@router.get("/cases/{case_id}", responses=TAGGED)
async def show_case(case_id: UUID, read: Read) -> Shown[CaseOnBoard]:
    """A case. `ETag`, unless it is asked about the past: the version that a command may name in `If-Match`."""
    row = await _case(case_id, read)
    return read.shown(on_board(row, await _instant(row.timeline, read)), version=row.version)


@router.get("/cases/{case_id}/handoffs")
async def list_handoffs_of_case(case_id: UUID, read: Read) -> Page[Handoff]:
    await _case(case_id, read)
    return await read.page(HANDOFFS, equal={"case_id": case_id})


@router.get("/cases/{case_id}/assignments")
async def list_assignments_of_case(case_id: UUID, read: Read) -> Page[Assignment]:
    """The RACI of each step, as it stands."""
    await _case(case_id, read)
    return await read.page(ASSIGNMENTS, equal={"case_id": case_id})


@router.get("/cases/{case_id}/consultations")
async def list_consultations_of_case(case_id: UUID, read: Read) -> Page[Consultation]:
    await _case(case_id, read)
    return await read.page(CONSULTATIONS, equal={"case_id": case_id})


@router.get("/handoffs")
async def list_handoffs(
    read: Read,
    receiver: str | None = None,
    sender: str | None = None,
    state: Literal["offered", "accepted", "rejected"] | None = None,
) -> Page[Handoff]:
    """What waits for a department: `?receiver=production&state=offered`."""
    return await read.page(
        HANDOFFS, equal={"receiver": receiver, "sender": sender, "state": state}, order=("-offered_at",)
    )


@router.get("/consultations")
async def list_consultations(read: Read, department: str | None = None, open: bool | None = None) -> Page[Consultation]:
    """What a department was asked: `?department=purchasing&open=true`."""
    return await read.page(CONSULTATIONS, equal={"department": department, "open": open}, order=("-asked_at",))


@router.post("/cases/{case_id}/form", dependencies=PERSON)
async def complete_form(case_id: UUID, body: FilledForm, ask: Ask) -> Accepted:
    """Complete the form: the case is routed and offered at once."""
    return await ask(CompleteForm(case_id=case_id, **dict(body)))


@router.post("/cases/{case_id}/handoffs", dependencies=PERSON)
async def offer_handoff(case_id: UUID, body: Offer, ask: Ask) -> Accepted:
    """Offer a case that came back to somebody else."""
    return await ask(OfferHandoff(case_id=case_id, **dict(body)))


@router.post("/cases/{case_id}/handoffs/{number}/acceptance", dependencies=PERSON)
async def accept_handoff(case_id: UUID, number: Number, ask: Ask) -> Accepted:
    """Take the case: from now on your department holds it."""
    return await ask(AcceptHandoff(case_id=case_id, number=number))


@router.post("/cases/{case_id}/handoffs/{number}/rejection", dependencies=PERSON)
async def reject_handoff(case_id: UUID, number: Number, body: Rejection, ask: Ask) -> Accepted:
    """Do not take the case, say why and who should. The last bounce that the template bears opens a conflict."""
    return await ask(RejectHandoff(case_id=case_id, number=number, **dict(body)))


@router.post("/cases/{case_id}/rulings", dependencies=PERSON)
async def rule(case_id: UUID, body: Ruling, ask: Ask) -> Accepted:
    """Decide a conflict, as the common superior of its departments or a member of the decision board."""
    return await ask(Rule(case_id=case_id, **dict(body)))


@router.post("/cases/{case_id}/consultations/{department}/answer", dependencies=PERSON)
async def answer_consultation(case_id: UUID, department: Department, body: ConsultationAnswer, ask: Ask) -> Accepted:
    return await ask(AnswerConsultation(case_id=case_id, department=department, **dict(body)))


@router.post("/cases/{case_id}/solution", dependencies=PERSON)
async def give_solution(case_id: UUID, body: Solution, ask: Ask) -> Accepted:
    """Only by whoever is responsible (R), after everybody consulted (C) was heard."""
    return await ask(GiveSolution(case_id=case_id, **dict(body)))


@router.post("/cases/{case_id}/customer-told", dependencies=PERSON)
async def tell_customer(case_id: UUID, ask: Ask) -> Accepted:
    """The customer knows the solution."""
    return await ask(TellCustomer(case_id=case_id))


@router.post("/cases/{case_id}/call-back", dependencies=PERSON)
async def record_call_back(case_id: UUID, body: CallBack, ask: Ask) -> Accepted:
    """The customer was called back, not before the time that the template sets; this closes the loop."""
    return await ask(RecordCallBack(case_id=case_id, **dict(body)))


async def _instant(timeline: str, read: Reading) -> datetime | None:
    """Where the clocks of a timeline stand: an import's where its source has come to, not at today."""
    if not timeline:
        return read.at
    passing = await read.row(PASSING, timeline)
    return passing.passed if passing else None


async def _case(case_id: UUID, read: Reading) -> CaseRow:
    """The case, when there was one at the instant that is asked about."""
    row = await read.row(CASES, case_id)
    if row is not None:
        return row
    if read.as_of is not None and await read.standing(CASES, case_id) is not None:
        at = f"{read.as_of:%Y-%m-%dT%H:%M:%SZ}"
        raise NotFound(
            "unknown-case",
            f"case_id={case_id} was not on record yet at {at}; ask for a later instant, or leave as_of out",
            f"{at} 时尚无该工单的记录；请查询更晚的时刻，或去掉 as_of",
        )
    raise NotFound(
        "unknown-case", f"case_id={case_id} is no case; look it up by its reference", "没有这个工单，请按编号查找"
    )
