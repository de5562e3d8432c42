"""What do issue trackers say of their work items, each known by host and issue id?

The tracker's own clock decides what is newer, field by field, so the order in which deliveries come changes nothing: of
each field the word with the highest stamp holds. A stamp is a text: when the issue was last updated, whether a delivery
or (above it, when both say the same instant) an answer says so, the number of the change, when it was sent or seen, and
the delivery's digest. A body about a comment may not say when the issue was updated; it is below all that do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.events.contracts.gateway import WorkItemReconciled, WorkItemReported
from libs.events.entries import Entry
from libs.events.views import View, on

FIELDS = ("key", "summary", "status", "assignee", "gone")
DELIVERED, ANSWERED = "0", "1"
RECONCILED = "reconciled"
LAST_WORD = "deleted"  # above every stamp, which begins with a year: an id is never given again


class WorkItemRow(msgspec.Struct, frozen=True):
    """`reported_at`: the tracker's instant of the newest word, `last_event`: what that was about. `gone`: the tracker
    no longer has it.

    `deliveries` counts what the tracker sent, `repairs` the answers that showed that something had been lost. `newest`
    is the stamp of the newest word, `apart` has the stamps of the fields that another word than that one decided.
    """

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
    gone: bool = False
    repairs: int = 0
    newest: str = ""
    apart: dict[str, str] = {}


def stamp(updated_at: datetime | None, by: str, seen_at: datetime, change: int = 0, name: str = "") -> str:
    """A text that sorts as these do."""
    dated = "" if updated_at is None else sortable(updated_at)
    return f"{dated} {by} {change:018} {sortable(seen_at)} {name}"


def stamps(row: WorkItemRow) -> dict[str, str]:
    """The stamp of each field's word."""
    return {field: row.apart.get(field, row.newest) for field in FIELDS}


def dated(word: str) -> str:
    """When the issue was last updated by the word of this stamp, sortable; empty when it does not say."""
    return word.partition(" ")[0]


def sortable(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _reported(row: WorkItemRow | None, fact: WorkItemReported, entry: Entry) -> WorkItemRow:
    sent_at = fact.tracker_at or entry.occurred_at
    updated_at = sent_at if fact.gone else fact.updated_at  # a deletion leaves the issue's own instant as it was
    at = updated_at or sent_at
    own = stamp(updated_at, DELIVERED, sent_at, fact.change or 0, fact.digest)
    found = row or _unknown(fact, at)
    said = {field: (getattr(fact, field), own) for field in _said(fact)}
    merged = _merged(found, {**said, "gone": (fact.gone, LAST_WORD if fact.gone else own)}, own)
    merged = msgspec.structs.replace(merged, deliveries=found.deliveries + 1)
    return _headed(merged, fact.event, at) if own >= found.newest else merged


def _reconciled(row: WorkItemRow | None, fact: WorkItemReconciled, entry: Entry) -> WorkItemRow:
    at = fact.updated_at or fact.seen_at
    found = row or _unknown(fact, at)
    there = (fact.gone, stamp(fact.seen_at, ANSWERED, fact.seen_at))
    if fact.updated_at is None:
        merged = _merged(found, {"gone": there}, found.newest)
    else:
        own = stamp(at, ANSWERED, fact.seen_at)
        said = {field: (getattr(fact, field), own) for field in fact.said}
        merged = _merged(found, {**said, "gone": there}, own)
        merged = _headed(merged, RECONCILED, at) if own >= found.newest else merged
    return msgspec.structs.replace(merged, repairs=found.repairs + 1)


def _said(fact: WorkItemReported) -> tuple[str, ...]:
    if fact.said is not None:
        return fact.said
    named = tuple(field for field in ("key", "summary", "status") if getattr(fact, field) is not None)
    return (*named, "assignee")  # noted before it was noted what a body names


def _unknown(fact: WorkItemReported | WorkItemReconciled, at: datetime) -> WorkItemRow:
    return WorkItemRow(fact.host, fact.item or "", fact.tracker, None, None, None, None, "", at, 0)


def _merged(row: WorkItemRow, said: Mapping[str, tuple[Any, str]], own: str) -> WorkItemRow:
    """The row with each field that a newer word names; `own` is the stamp of what is said."""
    held, changes = stamps(row), dict[str, Any]()
    for field, (value, at) in said.items():
        if at >= held[field]:
            held[field], changes[field] = at, value
    newest = max(row.newest, own)
    apart = {field: at for field, at in held.items() if at != newest}
    return msgspec.structs.replace(row, **changes, newest=newest, apart=apart)


def _headed(row: WorkItemRow, event: str, at: datetime) -> WorkItemRow:
    return msgspec.structs.replace(row, last_event=event, reported_at=at)


def _of_item(fact: WorkItemReported | WorkItemReconciled, entry: Entry) -> Iterable[tuple[str, str]]:
    return () if fact.item is None else ((fact.host, fact.item),)


WORK_ITEMS = View(
    name="work_items",
    version=3,
    row=WorkItemRow,
    key=("host", "item"),
    folds=(on(WorkItemReported, _reported, _of_item), on(WorkItemReconciled, _reconciled, _of_item)),
    indexes=(("key",),),
)
