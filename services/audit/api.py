"""Doors in: the history of a case as of any moment, and the cases to choose from. For auditors and operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from libs.events.errors import NotFound, Refusal
from libs.events.reading import CURSOR_CURE, PAGE_ROWS_MAX
from libs.organisation import PEOPLE
from libs.service import problems
from libs.service.auth import Identity
from libs.service.doors import Doors, Instant, Page, Read, as_of_said, doors_of, identity_of, roles
from libs.service.errors import Fault, WrongShape, shorten
from libs.service.querying import require_come
from libs.service.rows import AsRow
from services.audit.domain.history import Asked, Breach, History, LegTold, Told, tell
from services.audit.views.cases import CASES, CaseRow
from services.audit.views.ledger import LEDGER, LedgerRow

HISTORY_LINES_MAX = 5_000
ENTRIES_MAX = 1_000
LEDGER_WAIT_S = 2.0
NAME_CHARS_MAX = 200

router = APIRouter(prefix="/v1", dependencies=[roles("auditor", "ops")])


class CaseHistory(msgspec.Struct, frozen=True):
    """`final`: every owner has announced that nothing of it up to `as_of` is still to come; false without `as_of`.

    `entries` are in the order of their recording; `next_cursor` is null when these are the last. The rest is about the
    whole case at that moment, whatever page of its entries is shown.
    """

    case_id: UUID
    source: str | None
    reference: str | None
    template: str | None
    title: str | None
    as_of: datetime | None
    occurred_until: datetime | None
    final: bool
    holder: str | None
    state: str | None
    legs: tuple[LegTold, ...]
    legs_minutes: list[int | float]
    breaches: tuple[Breach, ...]
    entries: tuple[Told, ...]
    next_cursor: str | None


@router.get("/cases")
async def cases(
    read: Read,
    reference: Annotated[str | None, Query(max_length=NAME_CHARS_MAX)] = None,
    source: Annotated[str | None, Query(max_length=NAME_CHARS_MAX)] = None,
    template: Annotated[str | None, Query(max_length=NAME_CHARS_MAX)] = None,
    holder: Annotated[str | None, Query(max_length=NAME_CHARS_MAX)] = None,
    state: Literal["received", "open", "conflict", "closed"] | None = None,
) -> Page[CaseRow]:
    """Cases in the order in which they were first heard of."""
    equal = {"reference": reference, "source": source, "template": template, "holder": holder, "state": state}
    return await read.page(CASES, equal=equal, order=("noted_at",))


@router.get("/cases/{case:path}/history", responses={409: problems.answer(409)})
async def history(
    case: str,
    doors: Annotated[Doors, Depends(doors_of)],
    identity: Annotated[Identity, Depends(identity_of)],
    request: Request,
    as_of: Annotated[Instant | None, Query(description="what was on record at this instant, over all services")] = None,
    occurred_until: Annotated[Instant | None, Query(description="what had happened by this instant")] = None,
    source: Annotated[
        str | None, Query(max_length=NAME_CHARS_MAX, description="whose reference, where several use it")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=ENTRIES_MAX)] = ENTRIES_MAX,
    cursor: Annotated[UUID | None, Query(description="next_cursor of the page before: an entry's id")] = None,
) -> Annotated[CaseHistory, AsRow]:
    """Everything about a case, by its id or its source's reference, either percent-encoded (`/` as `%2F`)."""
    final = await _is_final(doors, as_of, as_of_said(request))
    case_id, row = await _case(doors, identity.tenant, case, source)
    lines = await _lines(doors, identity.tenant, case_id)
    if not lines:
        raise _unknown(case, source)
    names = await _names(doors, identity.tenant, lines, as_of or occurred_until)
    told = tell(lines, Asked(doors.now(), as_of, occurred_until, names))
    entries, following = _cut(told.entries, limit, cursor)
    row = row if told.entries else None  # when nothing of it was on record, its title was not either
    return _answer(case_id, row, told, as_of, occurred_until, final, entries, following)


def _answer(
    case_id: UUID,
    row: CaseRow | None,
    told: History,
    as_of: datetime | None,
    occurred_until: datetime | None,
    final: bool,
    entries: tuple[Told, ...],
    following: UUID | None,
) -> CaseHistory:
    return CaseHistory(
        case_id=case_id,
        source=row.source if row else None,
        reference=row.reference if row else None,
        template=row.template if row else None,
        title=row.title if row else None,
        as_of=as_of,
        occurred_until=occurred_until,
        final=final,
        holder=told.holder,
        state=told.state,
        legs=told.legs,
        legs_minutes=told.legs_minutes,
        breaches=told.breaches,
        entries=entries,
        next_cursor=str(following) if following else None,
    )


async def _is_final(doors: Doors, as_of: datetime | None, said: str) -> bool:
    """Whether all that was recorded up to `as_of` is in the ledger. Asked before reading, so that the ledger has it."""
    marks = tuple(doors.watermarks().values())
    await doors.projector.wait(max((mark.position for mark in marks), default=0), LEDGER_WAIT_S)
    if as_of is None:
        return False
    final = all(mark.at is not None and mark.at >= as_of and not mark.parked for mark in marks)
    require_come(as_of, doors.now(), final=final, said=said)
    return final


async def _case(doors: Doors, tenant: str, case: str, source: str | None) -> tuple[UUID, CaseRow | None]:
    """The case of this id or reference."""
    case_id = _as_id(case)
    if case_id is not None:
        row = await doors.reader.row(CASES, case_id, tenant=tenant)
        if row is not None:
            return case_id, row
    equal = {"reference": case, "source": source}
    found = (await doors.reader.page(CASES, tenant=tenant, equal=equal, limit=2)).rows
    if len(found) > 1:
        raise Refusal(
            "reference-ambiguous",
            f"several sources use the reference {case}: say in `source` whose is meant, or ask by the case's id",
            f"多个来源使用编号 {case}；请用 source 指明来源，或使用工单 ID",
        )
    if found:
        return found[0].case_id, found[0]
    if case_id is None:
        raise _unknown(case, source)
    return case_id, None


def _as_id(case: str) -> UUID | None:
    try:
        return UUID(case)
    except ValueError:
        return None


async def _lines(doors: Doors, tenant: str, case_id: UUID) -> list[LedgerRow]:
    lines: list[LedgerRow] = []
    cursor: str | None = None
    while len(lines) <= HISTORY_LINES_MAX:
        page = await doors.reader.page(
            LEDGER,
            tenant=tenant,
            equal={"subject": case_id},
            order=("recorded_at", "owner"),
            limit=PAGE_ROWS_MAX,
            cursor=cursor,
        )
        lines += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return lines
    raise Refusal(
        "history-too-long",
        f"the case {case_id} has more than {HISTORY_LINES_MAX} entries, the most that are told in one answer",
        f"工单 {case_id} 的记录超过 {HISTORY_LINES_MAX} 条，无法一次列出",
    )


async def _names(doors: Doors, tenant: str, lines: list[LedgerRow], then: datetime | None) -> dict[str, str]:
    """Names of the people who acted, as they were then; a service's own acts have a slash in their actor.

    Whoever was not registered by then (an import of older facts) is called by today's name.
    """
    moments = (None,) if then is None else (await doors.reader.moment(then), None)
    names: dict[str, str] = {}
    for actor in sorted({line.actor for line in lines if "/" not in line.actor}):
        for moment in moments:
            person = await doors.reader.row(PEOPLE, actor, tenant=tenant, at=moment)
            if person is not None:
                names[actor] = person.name
                break
    return names


def _cut(entries: tuple[Told, ...], limit: int, cursor: UUID | None) -> tuple[tuple[Told, ...], UUID | None]:
    """One page of the entries after the one named by `cursor`, and the cursor of the next."""
    start = 0
    if cursor is not None:
        places = [place for place, entry in enumerate(entries, start=1) if entry.id == cursor]
        if not places:
            raise WrongShape([Fault("query.cursor", *CURSOR_CURE, cursor)])
        start = places[0]
    page = entries[start : start + limit]
    return page, page[-1].id if start + limit < len(entries) else None


def _unknown(case: str, source: str | None) -> NotFound:
    named = shorten(case)
    of, of_zh = ("", "") if source is None else (f" of source {shorten(source)}", f"来源 {shorten(source)} 的")
    return NotFound(
        "unknown-case",
        f"nobody told of a case {named}{of}; look it up in /v1/cases",
        f"没有{of_zh}工单 {named} 的记录，请在 /v1/cases 中查找",
    )
