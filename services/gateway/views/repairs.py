"""What did reconciliations find that deliveries had not said?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from libs.events.contracts.gateway import Difference, WorkItemReconciled
from libs.events.entries import Entry
from libs.events.views import View, on


class RepairRow(msgspec.Struct, frozen=True):
    """`repair`: the event's id. `origin`, `seen_at`: where and when the tracker's answer was read."""

    repair: UUID
    host: str
    item: str
    key: str | None
    differed: tuple[Difference, ...]
    origin: str
    seen_at: datetime
    repaired_at: datetime


def _reconciled(row: RepairRow | None, fact: WorkItemReconciled, entry: Entry) -> RepairRow:
    return RepairRow(
        repair=entry.id,
        host=fact.host,
        item=fact.item,
        key=fact.key,
        differed=fact.differed,
        origin=fact.origin,
        seen_at=fact.seen_at,
        repaired_at=entry.occurred_at,
    )


def _by_event(fact: WorkItemReconciled, entry: Entry) -> Iterable[UUID]:
    return (entry.id,)


REPAIRS = View(
    name="repairs",
    version=1,
    row=RepairRow,
    key=("repair",),
    folds=(on(WorkItemReconciled, _reconciled, _by_event),),
    indexes=(("host", "item"), ("repaired_at",)),
)
