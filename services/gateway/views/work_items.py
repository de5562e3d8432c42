"""What do issue trackers say of their work items, each known by host and issue id?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.events.contracts.gateway import WorkItemReported
from libs.events.entries import Entry
from libs.events.views import View, on


class WorkItemRow(msgspec.Struct, frozen=True):
    """The newest report by the tracker's own clock; `deliveries` counts all of them."""

    host: str
    item: str
    tracker: str
    key: str | None
    summary: str | None
    status: str | None
    assignee: str | None
    last_event: str
    reported_at: datetime
    deliveries: int


def _reported(row: WorkItemRow | None, fact: WorkItemReported, entry: Entry) -> WorkItemRow:
    reported_at = fact.tracker_at or entry.occurred_at
    count = 1 if row is None else row.deliveries + 1
    if row is not None and reported_at < row.reported_at:
        return msgspec.structs.replace(row, deliveries=count)  # trackers do not deliver in order
    return WorkItemRow(
        host=fact.host,
        item=fact.item or "",
        tracker=fact.tracker,
        key=fact.key or (row.key if row else None),
        summary=fact.summary or (row.summary if row else None),
        status=fact.status or (row.status if row else None),
        assignee=fact.assignee,
        last_event=fact.event,
        reported_at=reported_at,
        deliveries=count,
    )


def _of_item(fact: WorkItemReported, entry: Entry) -> Iterable[tuple[str, str]]:
    return () if fact.item is None else ((fact.host, fact.item),)


WORK_ITEMS = View(
    name="work_items",
    version=1,
    row=WorkItemRow,
    key=("host", "item"),
    folds=(on(WorkItemReported, _reported, _of_item),),
    indexes=(("key",),),
)
