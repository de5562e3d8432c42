"""Northwind's 830 orders as the messages of an ERP: placed, and shipped when it did. Its dates have no time of day."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

from demo.sources.cloudevent import DATA, CloudEvent, Dated, cloud_event, in_event_time

SOURCE = "northwind"
TEMPLATE = "order"
FILE = DATA / "northwind" / "orders.csv"
ZONE = "UTC"  # the file names none
DETAILS = ("customer_id", "employee_id", "shipper", "freight", "ship_country")


class Verdicts(NamedTuple):
    """What the dates of the source say. `late`: shipped on a later day than required."""

    orders: int
    shipped: int
    late: int
    open: int


def orders(file: Path = FILE) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def events(file: Path = FILE) -> list[CloudEvent]:
    """Every order placed and shipped, in event-time order, then the source's watermark: the end of its last day."""
    rows = orders(file)
    dated = [found for rank, row in enumerate(rows) for found in _of_order(2 * rank, row)]
    return in_event_time(SOURCE, dated, max(found.at for found in dated))


def verdicts(file: Path = FILE) -> Verdicts:
    rows = orders(file)
    shipped = [row for row in rows if row["shipped_date"]]
    late = [row for row in shipped if row["shipped_date"] > row["required_date"]]
    return Verdicts(orders=len(rows), shipped=len(shipped), late=len(late), open=len(rows) - len(shipped))


def _of_order(rank: int, row: dict[str, str]) -> Iterator[Dated]:
    number, placed = row["order_id"], _end_of(row["order_date"])
    data = {
        "order": number,
        "customer": row["customer"],
        "placed_on": row["order_date"],
        "required_by": row["required_date"],
        "zone": ZONE,
        "details": {name: row[name] for name in DETAILS if row[name]},
    }
    yield Dated(placed, rank, cloud_event(SOURCE, f"{number}-placed", "baton.order.placed.v1", placed, data))
    if row["shipped_date"]:
        shipped = _end_of(row["shipped_date"])
        done = {"order": number, "shipped_on": row["shipped_date"], "zone": ZONE}
        event = cloud_event(SOURCE, f"{number}-shipped", "baton.order.shipped.v1", shipped, done)
        yield Dated(shipped, rank + 1, event)


def _end_of(day: str) -> datetime:
    """Orders the messages as the gateway will date them; the gateway itself reads the dates."""
    midnight = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)
    return midnight - timedelta(microseconds=1)
