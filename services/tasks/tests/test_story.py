"""The complaint that nobody wants, act by act, exactly as it is to be told."""

from __future__ import annotations

from libs.events.contracts.tasks import (
    CallBackDone,
    CaseClosed,
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    ConflictRuled,
    ConsultationAnswered,
    ConsultationAsked,
    CustomerTold,
    FormCompleted,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
    StepCompleted,
    StepStarted,
    TaskAssigned,
)
from libs.events.entries import Fact
from libs.events.testing import MemoryService
from services.tasks.tests.world import CASE_ID, closed, monday, tuesday
from services.tasks.views.cases import CASES
from services.tasks.views.consultations import CONSULTATIONS
from services.tasks.views.handoffs import HANDOFFS

GLUE = "the veneer is glued in production"


def started(step: str) -> StepStarted:
    return StepStarted(step, "complaint", "quality", "normal")


def of_production(step: str, consulted: tuple[str, ...] = ()) -> TaskAssigned:
    return TaskAssigned(step, ("dept:production",), "person:prod-dir", consulted, ("dept:service",))


def of_service(step: str) -> TaskAssigned:
    return TaskAssigned(step, ("dept:service",), "person:svc-lead")


def told(tasks: MemoryService) -> list[tuple[str, str, Fact]]:
    """(local time, actor, fact) of everything decided in the case."""
    pairs = zip(tasks.entries, tasks.facts, strict=True)
    case = [(entry, fact) for entry, fact in pairs if entry.sequence is not None and entry.subject == CASE_ID]
    times = {monday(clock): clock for clock in CLOCKS} | {tuesday("13:40"): "Tue 13:40"}
    return [(times[entry.occurred_at], entry.actor, fact) for entry, fact in case]


CLOCKS = ("09:00", "09:40", "10:10", "10:50", "11:20", "12:25", "12:30", "13:05", "13:30", "13:35")


def test_the_complaint_that_nobody_wants() -> None:
    form = {"product": "cabinet", "defect": "blisters"}
    opened = CaseOpened(
        case_id=CASE_ID,
        source="phone",
        reference="STORY1",
        template="complaint",
        template_version=1,
        category="quality",
        priority="normal",
        title="veneer blisters",
        form={"product": "cabinet"},
        holder="service",
    )
    assert told(closed()) == [
        ("09:00", "tasks/open-case", opened),
        ("09:00", "tasks/open-case", started("form")),
        ("09:00", "tasks/open-case", of_service("form")),
        ("09:40", "svc-1", FormCompleted(form)),
        ("09:40", "svc-1", StepCompleted("form")),
        ("09:40", "svc-1", CaseRouted("production", "category=quality")),
        ("09:40", "svc-1", started("answer")),
        ("09:40", "svc-1", started("solution")),
        ("09:40", "svc-1", of_production("answer")),
        ("09:40", "svc-1", of_production("solution")),
        ("09:40", "svc-1", HandoffOffered(1, "service", "production")),
        ("10:10", "prod-1", HandoffRejected(1, "production", "raw material", 1)),
        ("10:10", "prod-1", HandoffOffered(2, "service", "purchasing", "raw material")),
        ("10:50", "purch-1", HandoffRejected(2, "purchasing", "specification", 2)),
        ("10:50", "purch-1", HandoffOffered(3, "service", "product", "specification")),
        ("11:20", "pd-1", HandoffRejected(3, "product", "not ours", 3)),
        ("11:20", "pd-1", ConflictOpened(("production", "purchasing", "product"), 3)),
        ("12:25", "vp-ops", ConflictRuled("vp-ops", "production", ("purchasing",), GLUE)),
        ("12:25", "vp-ops", of_production("solution", ("dept:purchasing",))),
        ("12:25", "vp-ops", HandoffOffered(4, "service", "production", GLUE)),
        ("12:25", "vp-ops", ConsultationAsked("solution", "purchasing", GLUE)),
        ("12:30", "prod-1", HandoffAccepted(4, "production")),
        ("12:30", "prod-1", StepCompleted("answer")),
        ("13:05", "purch-1", ConsultationAnswered("solution", "purchasing", "the glue batch is in order")),
        ("13:30", "prod-1", SolutionGiven("production", "new doors on Friday")),
        ("13:30", "prod-1", StepCompleted("solution")),
        ("13:35", "svc-1", CustomerTold(tuesday("13:35"))),
        ("13:35", "svc-1", started("callback")),
        ("13:35", "svc-1", of_service("callback")),
        ("Tue 13:40", "svc-1", CallBackDone(satisfied=True)),
        ("Tue 13:40", "svc-1", StepCompleted("callback")),
        ("Tue 13:40", "svc-1", CaseClosed("satisfied")),
    ]


def test_the_board_tells_the_end_and_every_handoff() -> None:
    tasks = closed()
    row = tasks.row(CASES, CASE_ID)
    assert (row.holder, row.state, row.bounces, row.step) == ("production", "closed", 3, "")
    assert row.closed_at == tuesday("13:40")
    handoffs = tasks.rows(HANDOFFS, case_id=CASE_ID)
    assert [(h.receiver, h.state, h.reason, h.ended_by) for h in handoffs] == [
        ("production", "rejected", "raw material", "prod-1"),
        ("purchasing", "rejected", "specification", "purch-1"),
        ("product", "rejected", "not ours", "pd-1"),
        ("production", "accepted", None, "prod-1"),
    ]
    assert [(h.ended_at - h.offered_at).seconds // 60 for h in handoffs] == [30, 40, 30, 5]
    (consultation,) = tasks.rows(CONSULTATIONS, case_id=CASE_ID)
    assert (consultation.open, consultation.answered_by) == (False, "purch-1")
