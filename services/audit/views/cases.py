"""Which cases are there, by what name does their source know them, and who holds them now?"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.gateway import RequestReceived
from libs.events.contracts.tasks import CaseClosed, CaseOpened, ConflictOpened, ConflictRuled, HandoffAccepted
from libs.events.entries import Entry
from libs.events.views import View, on


class CaseRow(msgspec.Struct, frozen=True):
    """`state`: received (nobody opened it yet), open, conflict or closed. `since`: when it began in the world, which
    falls when something earlier is heard later. `noted_at`: when audit first heard of it; its place in lists, for ever.
    """

    case_id: UUID
    source: str
    reference: str
    template: str
    category: str
    title: str
    state: str
    since: datetime
    noted_at: datetime
    holder: str | None = None
    closed_at: datetime | None = None
    timeline: str = ""


def _received(row: CaseRow | None, fact: RequestReceived, entry: Entry) -> CaseRow:
    if row is not None:
        return msgspec.structs.replace(row, since=min(row.since, entry.occurred_at))
    return _row(fact, "received", entry)


def _opened(row: CaseRow | None, fact: CaseOpened, entry: Entry) -> CaseRow:
    opened = msgspec.structs.replace(_row(fact, "open", entry), holder=fact.holder)
    if row is None:
        return opened
    return msgspec.structs.replace(opened, since=min(row.since, opened.since), noted_at=row.noted_at)


def _row(fact: RequestReceived | CaseOpened, state: str, entry: Entry) -> CaseRow:
    return CaseRow(
        case_id=entry.subject,
        source=fact.source,
        reference=fact.reference,
        template=fact.template,
        category=fact.category,
        title=fact.title,
        state=state,
        since=entry.occurred_at,
        noted_at=entry.noted_at,
        timeline=fact.timeline,
    )


def _accepted(row: CaseRow | None, fact: HandoffAccepted, entry: Entry) -> CaseRow | None:
    return row and msgspec.structs.replace(row, holder=fact.receiver)


def _in_conflict(row: CaseRow | None, fact: ConflictOpened, entry: Entry) -> CaseRow | None:
    return row and msgspec.structs.replace(row, state="conflict")


def _ruled(row: CaseRow | None, fact: ConflictRuled, entry: Entry) -> CaseRow | None:
    return row and msgspec.structs.replace(row, state="open")


def _closed(row: CaseRow | None, fact: CaseClosed, entry: Entry) -> CaseRow | None:
    return row and msgspec.structs.replace(row, state="closed", closed_at=entry.occurred_at)


CASES = View(
    name="cases",
    version=2,
    row=CaseRow,
    key=("case_id",),
    folds=(
        on(RequestReceived, _received),
        on(CaseOpened, _opened),
        on(HandoffAccepted, _accepted),
        on(ConflictOpened, _in_conflict),
        on(ConflictRuled, _ruled),
        on(CaseClosed, _closed),
    ),
    indexes=(("reference",), ("source", "reference"), ("state", "noted_at"), ("noted_at",)),
)
