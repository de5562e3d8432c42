"""How much did each source send that was accepted? Duplicates are answered, not stored, so they are not counted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.events.contracts.gateway import (
    DeliveryAltered,
    RequestClosed,
    RequestReceived,
    SourceAdvanced,
    WorkItemReconciled,
    WorkItemReported,
)
from libs.events.entries import Entry
from libs.events.views import View, on


class DeliveriesRow(msgspec.Struct, frozen=True):
    """`source`: a CloudEvents source, or tracker and host. `up_to`: its watermark, if it sends any.

    `repaired`: answers of the tracker that showed that a delivery had been lost.
    """

    source: str
    accepted: int = 0
    altered: int = 0
    repaired: int = 0
    up_to: datetime | None = None


def _accepted(row: DeliveriesRow | None, source: str) -> DeliveriesRow:
    found = row or DeliveriesRow(source=source)
    return msgspec.structs.replace(found, accepted=found.accepted + 1)


def _request(row: DeliveriesRow | None, fact: RequestReceived | RequestClosed, entry: Entry) -> DeliveriesRow:
    return _accepted(row, fact.source)


def _advanced(row: DeliveriesRow | None, fact: SourceAdvanced, entry: Entry) -> DeliveriesRow:
    return msgspec.structs.replace(_accepted(row, fact.source), up_to=fact.up_to)


def _work_item(row: DeliveriesRow | None, fact: WorkItemReported, entry: Entry) -> DeliveriesRow:
    return _accepted(row, f"{fact.tracker}:{fact.host}")


def _repaired(row: DeliveriesRow | None, fact: WorkItemReconciled, entry: Entry) -> DeliveriesRow:
    found = row or DeliveriesRow(source=f"{fact.tracker}:{fact.host}")
    return msgspec.structs.replace(found, repaired=found.repaired + 1)


def _altered(row: DeliveriesRow | None, fact: DeliveryAltered, entry: Entry) -> DeliveriesRow:
    found = row or DeliveriesRow(source=fact.tracker)
    return msgspec.structs.replace(found, altered=found.altered + 1)


def _by_source(fact: RequestReceived | RequestClosed | SourceAdvanced, entry: Entry) -> Iterable[str]:
    return (fact.source,)


DELIVERIES = View(
    name="deliveries",
    version=2,
    row=DeliveriesRow,
    key=("source",),
    folds=(
        on(RequestReceived, _request, _by_source),
        on(RequestClosed, _request, _by_source),
        on(SourceAdvanced, _advanced, _by_source),
        on(WorkItemReported, _work_item, lambda fact, entry: (f"{fact.tracker}:{fact.host}",)),
        on(WorkItemReconciled, _repaired, lambda fact, entry: (f"{fact.tracker}:{fact.host}",)),
        on(DeliveryAltered, _altered, lambda fact, entry: (fact.tracker,)),
    ),
    past=False,
)
