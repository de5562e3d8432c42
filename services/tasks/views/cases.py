"""The board: every case, who holds it, how far it is, and when it is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from libs.events.contracts.sla import ClockStarted
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
    SourceCloseDeclined,
    StepCompleted,
    StepStarted,
    TaskAssigned,
)
from libs.events.entries import Entry, Fact
from libs.events.views import View, on

OPENED, OFFERED, RETURNED, UNRULED, HELD = "opened", "offered", "returned", "unruled", "held"
SOLVED, TOLD, CLOSED = "solved", "told", "closed"
LAG_DIGITS = 4


class CaseRow(msgspec.Struct, frozen=True):
    """One case. `holder` has it at every instant; `offered_to` is asked to take it, None when nobody is.

    `step` is the first of the `running` steps, "" between steps. `due`: running step → when its clock is due.
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
    holder: Annotated[
        str, Meta(description="the one department that has the case; an offer changes it only when it is accepted")
    ]
    state: str
    opened_at: datetime
    updated_at: datetime
    version: Annotated[
        int,
        Meta(
            description="for `If-Match`: raised by whatever is decided about the case; clocks (`due`) do not raise it"
        ),
    ]
    step: str = ""
    running: Annotated[
        tuple[str, ...],
        Meta(description="the steps under way, in the order in which they began; several may run at once"),
    ] = ()
    responsible: Annotated[
        str | None,
        Meta(
            description="the department in the seats of the responsible (R): as routed, then as accepted or ruled, the "
            "latest of them; a rejection does not take it out. null before routing. Who is asked now is `offered_to`"
        ),
    ] = None
    offered_to: str | None = None
    handoff: Annotated[int, Meta(description="the number of the latest offer, answered or not; 0 before the first")] = 0
    bounces: Annotated[int, Meta(description="how many offers were rejected, from the beginning on")] = 0
    conflict: Annotated[
        tuple[str, ...], Meta(description="the departments that wait for a ruling; empty when none is needed")
    ] = ()
    call_back_from: datetime | None = None
    due: dict[str, datetime] = {}
    closed_at: datetime | None = None
    timeline: str = ""


class CaseOnBoard(CaseRow, frozen=True):
    """A case at one instant. `due_at`: the nearest due instant of a running step, None where no clock runs.

    `red`: that instant has passed; `lag_days`: by how many days.
    """

    due_at: datetime | None = None
    lag_days: float = 0.0
    red: bool = False


def on_board(row: CaseRow, at: datetime | None) -> CaseOnBoard:
    """The case as the board shows it at this instant; None: before all that is due (an import that is still coming)."""
    due_at = min(row.due.values(), default=None)
    late = max(at - due_at, timedelta()) if at is not None and due_at is not None else timedelta()
    lag_days = round(late / timedelta(days=1), LAG_DIGITS)
    return CaseOnBoard(**msgspec.structs.asdict(row), due_at=due_at, lag_days=lag_days, red=late > timedelta())


def _opened(row: CaseRow | None, fact: CaseOpened, entry: Entry) -> CaseRow:
    return CaseRow(
        case_id=fact.case_id,
        source=fact.source,
        reference=fact.reference,
        template=fact.template,
        template_version=fact.template_version,
        category=fact.category,
        priority=fact.priority,
        title=fact.title,
        form=fact.form,
        holder=fact.holder,
        state=OPENED,
        opened_at=entry.occurred_at,
        updated_at=entry.occurred_at,
        version=entry.version,
        timeline=fact.timeline,
    )


def _form(row: CaseRow | None, fact: FormCompleted, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, form=fact.form, category=fact.category or row.category)


def _routed(row: CaseRow | None, fact: CaseRouted, entry: Entry) -> CaseRow | None:
    """A case whose responsible department holds it from the start is held; another one waits for its offer."""
    if row is None:
        return None
    state = HELD if fact.department == row.holder else row.state
    return _now(row, entry, responsible=fact.department, state=state)


def _started(row: CaseRow | None, fact: StepStarted, entry: Entry) -> CaseRow | None:
    return row and _running(row, entry, (*row.running, fact.step))


def _completed(row: CaseRow | None, fact: StepCompleted, entry: Entry) -> CaseRow | None:
    return row and _running(row, entry, tuple(step for step in row.running if step != fact.step))


def _running(row: CaseRow, entry: Entry, running: tuple[str, ...]) -> CaseRow:
    due = {step: at for step, at in row.due.items() if step in running}
    return _now(row, entry, running=running, step=running[0] if running else "", due=due)


def _clock(row: CaseRow | None, fact: ClockStarted, entry: Entry) -> CaseRow | None:
    """Another service's fact may be heard after the step ended: then there is nothing left to be due."""
    if row is None or fact.step not in row.running:
        return row
    return msgspec.structs.replace(row, due={**row.due, fact.step: fact.due_at})


def _offered(row: CaseRow | None, fact: HandoffOffered, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=OFFERED, offered_to=fact.receiver, handoff=fact.number)


def _accepted(row: CaseRow | None, fact: HandoffAccepted, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=HELD, holder=fact.receiver, responsible=fact.receiver, offered_to=None)


def _rejected(row: CaseRow | None, fact: HandoffRejected, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=RETURNED, offered_to=None, bounces=fact.bounces)


def _disputed(row: CaseRow | None, fact: ConflictOpened, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=UNRULED, conflict=fact.departments)


def _ruled(row: CaseRow | None, fact: ConflictRuled, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, conflict=(), responsible=fact.responsible)


def _solved(row: CaseRow | None, fact: SolutionGiven, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=SOLVED)


def _told(row: CaseRow | None, fact: CustomerTold, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=TOLD, call_back_from=fact.call_back_from)


def _closed(row: CaseRow | None, fact: CaseClosed, entry: Entry) -> CaseRow | None:
    return row and _now(row, entry, state=CLOSED, closed_at=entry.occurred_at, due={})


def _went_on(row: CaseRow | None, fact: Fact, entry: Entry) -> CaseRow | None:
    """Nothing that the board shows has changed, but a command that was about the case before is late."""
    return row and _now(row, entry)


def _now(row: CaseRow, entry: Entry, **changes: Any) -> CaseRow:
    return msgspec.structs.replace(row, updated_at=entry.occurred_at, version=entry.version, **changes)


CASES = View(
    name="cases",
    version=2,
    row=CaseRow,
    key=("case_id",),
    folds=(
        on(CaseOpened, _opened),
        on(FormCompleted, _form),
        on(CaseRouted, _routed),
        on(StepStarted, _started),
        on(StepCompleted, _completed),
        on(ClockStarted, _clock),
        on(HandoffOffered, _offered),
        on(HandoffAccepted, _accepted),
        on(HandoffRejected, _rejected),
        on(ConflictOpened, _disputed),
        on(ConflictRuled, _ruled),
        on(SolutionGiven, _solved),
        on(CustomerTold, _told),
        on(CallBackDone, _went_on),
        on(CaseClosed, _closed),
        on(TaskAssigned, _went_on),
        on(ConsultationAsked, _went_on),
        on(ConsultationAnswered, _went_on),
        on(SourceCloseDeclined, _went_on),
    ),
    indexes=(("reference",), ("holder", "state"), ("offered_to",), ("template", "state"), ("opened_at",)),
)
