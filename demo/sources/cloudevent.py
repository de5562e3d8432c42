"""A CloudEvent as an importing source writes it: its own instant, on its own timeline."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

CloudEvent = dict[str, Any]
DATA = Path(__file__).parents[1] / "data"


class Dated(NamedTuple):
    """An event with what orders it: its instant, then the source's own order."""

    at: datetime
    rank: int
    event: CloudEvent


def cloud_event(source: str, name: str, type_: str, at: datetime, data: dict[str, Any]) -> CloudEvent:
    """A structured CloudEvent; `name` is its id within the source. Its clocks run on the source's event time."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": type_,
        "time": at.isoformat(),
        "timeline": source,
        "datacontenttype": "application/json",
        "data": data,
    }


def in_event_time(source: str, dated: Iterable[Dated], known_until: datetime) -> list[CloudEvent]:
    """The events in the order in which they happened, and the watermark that says that this was all of them."""
    ordered = [found.event for found in sorted(dated, key=lambda found: found[:2])]
    mark = {"up_to": known_until.isoformat()}
    name = f"advanced-{known_until.isoformat()}"
    return [*ordered, cloud_event(source, name, "baton.source.advanced.v1", known_until, mark)]
