"""A tracker's answer beside what its deliveries said: where they differ, something was lost, and the answer holds.

Unless what is known is newer than the answer: then the answer changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from libs.events.contracts.gateway import Difference, WorkItemReconciled
from libs.events.deciding import Asked, Decider, Handle
from libs.events.errors import Refusal
from services.gateway.commands import ReconcileWorkItem
from services.gateway.views.work_items import ANSWERED, WORK_ITEMS, WorkItemRow, dated, sortable, stamp, stamps

ANSWER_BEHIND = "answer-behind"


def evolve(repairs: int, fact: WorkItemReconciled) -> int:
    return repairs + 1


def reconcile(repairs: int, command: ReconcileWorkItem, asked: Asked) -> Sequence[WorkItemReconciled]:
    known = asked.views.row(WORK_ITEMS, (command.host, command.item))
    if known is None and command.gone:
        return []
    seen_at = min(command.seen_at, asked.at)
    held = {} if known is None else stamps(known)
    found = list(_found(command, seen_at))
    different = [each for each in found if known is None or getattr(known, each[0]) != each[1]]
    healing = [each for each in different if each[2] >= held.get(each[0], "")]
    differed = [_difference(field, getattr(known, field, None), value) for field, value, _ in healing]
    words = ("",) if known is None else (known.newest, *(held[field] for field in command.said))
    if command.updated_at is not None and min(map(dated, words)) < sortable(command.updated_at):
        # Also where nothing else differs: what was lost must not overwrite this when it comes late.
        differed.append(_difference("updated_at", getattr(known, "reported_at", None), command.updated_at))
    if differed:
        return [_reconciled(command, seen_at, differed)]
    if different and known is not None:
        raise _behind(known)
    return []


def _found(command: ReconcileWorkItem, seen_at: datetime) -> Iterator[tuple[str, Any, str]]:
    """(field, value, stamp) of everything that the answer has a word on."""
    yield "gone", command.gone, stamp(seen_at, ANSWERED, seen_at)
    if command.updated_at is not None:
        own = stamp(command.updated_at, ANSWERED, seen_at)
        for field in command.said:
            yield field, getattr(command, field), own


def _reconciled(command: ReconcileWorkItem, seen_at: datetime, differed: Sequence[Difference]) -> WorkItemReconciled:
    return WorkItemReconciled(
        tracker=command.tracker,
        host=command.host,
        item=command.item,
        differed=tuple(differed),
        origin=command.origin,
        seen_at=seen_at,
        key=command.key,
        summary=command.summary,
        status=command.status,
        assignee=command.assignee,
        said=command.said,
        updated_at=command.updated_at,
        gone=command.gone,
    )


def _behind(known: WorkItemRow) -> Refusal:
    at = known.reported_at.isoformat()
    return Refusal(
        ANSWER_BEHIND,
        f"{known.host} has said newer things of {known.key or known.item} (at {at}) than this answer; ask it anew",
        f"{known.host} 关于 {known.key or known.item} 的消息（{at}）比此查询结果更新；请重新查询",
    )


def _difference(field: str, known: Any, found: Any) -> Difference:
    return Difference(field, _text(known), _text(found))


def _text(value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


WORK_ITEM = Decider("work-item", 0, evolve)
HANDLES = (Handle(ReconcileWorkItem, WORK_ITEM, reconcile, key=lambda command: command.work_item),)
