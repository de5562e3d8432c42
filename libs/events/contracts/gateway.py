"""What gateway says: what came in from outside, in the system's own words. Subject: the case that it will become."""

from __future__ import annotations

import msgspec

from libs.events.contract import Contract, Kind
from libs.events.entries import Fact, Instant

PRIORITIES = ("low", "normal", "high", "urgent")
"""What a request or a case may say of its priority, and a time limit may be narrowed down to."""


class RequestReceived(Fact, frozen=True):
    """Somebody outside wants something. `template` names the process; `form` is what came along, by field.

    `timeline`: "" when it happens now (domain clock), else the source on whose event time its clocks run (an import).
    `target_at`: the due instant that the source itself promised. `department`: where the source routed it, if it did.
    `happened_at`: when it happened as the source said it, None where it did not say.
    """

    source: str
    reference: str
    template: str
    category: str
    title: str
    form: dict[str, str]
    priority: str = "normal"
    department: str | None = None
    target_at: Instant | None = None
    timeline: str = ""
    happened_at: Instant | None = None


class RequestClosed(Fact, frozen=True):
    """The source says that its request is done; `outcome` and `happened_at` in the source's words."""

    source: str
    reference: str
    outcome: str
    timeline: str = ""
    happened_at: Instant | None = None


class SourceAdvanced(Fact, frozen=True):
    """The source's event-time watermark: nothing of it that occurred up to `up_to` is still to come."""

    source: str
    up_to: Instant


class WorkItemReported(Fact, frozen=True):
    """One delivery of an issue tracker. `item`: the issue's id at that host, None where the body names no issue.

    `tracker_at`: when it happened by the tracker's clock; several deliveries may share it. `updated_at`: when the issue
    last changed, as the body says. `change`: the number of the tracker's changelog entry. `said`: which of key,
    summary, status and assignee the body names (None: it was not noted). `gone`: the issue was deleted.
    """

    tracker: str
    host: str
    event: str
    digest: str
    item: str | None = None
    key: str | None = None
    summary: str | None = None
    status: str | None = None
    assignee: str | None = None
    changed: tuple[str, ...] = ()
    tracker_at: Instant | None = None
    updated_at: Instant | None = None
    change: int | None = None
    said: tuple[str, ...] | None = None
    gone: bool = False


class Difference(msgspec.Struct, frozen=True):
    """One thing that was known otherwise than the tracker has it."""

    field: str
    known: str | None
    found: str | None


class WorkItemReconciled(Fact, frozen=True):
    """The tracker was asked and its answer differed from what its deliveries had said: some were lost. It holds.

    `origin`: where the answer was read, at the instant `seen_at`. `updated_at`: when the issue last changed, as the
    answer says. `said`: see WorkItemReported. `gone`: the answer should have shown the issue and did not.
    """

    tracker: str
    host: str
    item: str
    differed: tuple[Difference, ...]
    origin: str
    seen_at: Instant
    key: str | None = None
    summary: str | None = None
    status: str | None = None
    assignee: str | None = None
    said: tuple[str, ...] = ()
    updated_at: Instant | None = None
    gone: bool = False


class DeliveryAltered(Fact, frozen=True):
    """A tracker's `identifier` came again with other content (`digest`): the first delivery stands."""

    tracker: str
    identifier: str
    digest: str


CONTRACT = Contract(
    "gateway",
    (
        Kind("RequestReceived", 1, RequestReceived, personal=("title", "form")),
        Kind("RequestClosed", 1, RequestClosed, personal=("outcome",)),
        Kind("SourceAdvanced", 1, SourceAdvanced),
        Kind("WorkItemReported", 1, WorkItemReported, personal=("summary", "assignee")),
        Kind("DeliveryAltered", 1, DeliveryAltered),
        Kind("WorkItemReconciled", 1, WorkItemReconciled, personal=("summary", "assignee", "differed")),
    ),
)
