"""100 citizen requests of the City of Boston: each is a case routed to its department, with the target it was given."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from demo.sources.cloudevent import DATA, CloudEvent, Dated, cloud_event, in_event_time

SOURCE = "boston311"
TEMPLATE = "citizen-request"
FILE = DATA / "boston311" / "boston311-100.csv"
ZONE = ZoneInfo("America/New_York")  # the file's instants carry no zone: they are the city's wall clock
FORM_FIELDS = ("subject", "reason", "queue", "neighborhood", "source")


class Verdicts(NamedTuple):
    """What the source itself says of its requests. `judged`: the closed ones with a target."""

    requests: int
    closed: int
    judged: int
    on_time: int
    late: int
    without_target: int


def requests(file: Path = FILE) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [{name: value.strip() for name, value in row.items()} for row in csv.DictReader(lines)]


def events(file: Path = FILE) -> list[CloudEvent]:
    """Every request received and closed, in event-time order, then the source's watermark."""
    rows = requests(file)
    dated = [found for rank, row in enumerate(rows) for found in _of_request(2 * rank, row)]
    return in_event_time(SOURCE, dated, _known_until(rows))


def verdicts(file: Path = FILE) -> Verdicts:
    rows = requests(file)
    closed = [row for row in rows if row["closed_dt"]]
    judged = [row["ontime"] for row in closed if row["target_dt"]]
    return Verdicts(
        requests=len(rows),
        closed=len(closed),
        judged=len(judged),
        on_time=judged.count("ONTIME"),
        late=judged.count("OVERDUE"),
        without_target=len(closed) - len(judged),
    )


def _of_request(rank: int, row: dict[str, str]) -> Iterator[Dated]:
    number = row["case_enquiry_id"]
    opened = _instant(row["open_dt"])
    data = {
        "reference": number,
        "template": TEMPLATE,
        "category": row["type"],
        "title": row["case_title"],
        "department": row["department"],
        "target_at": _instant(row["target_dt"]).isoformat() if row["target_dt"] else None,
        "form": {name: row[name] for name in FORM_FIELDS if row[name]},
    }
    received = cloud_event(SOURCE, f"{number}-received", "baton.request.received.v1", opened, data)
    yield Dated(opened, rank, received)
    if row["closed_dt"]:
        closed = _instant(row["closed_dt"])
        outcome = {"reference": number, "outcome": row["closure_reason"]}
        yield Dated(
            closed, rank + 1, cloud_event(SOURCE, f"{number}-closed", "baton.request.closed.v1", closed, outcome)
        )


def _known_until(rows: list[dict[str, str]]) -> datetime:
    """When the file was written, at the earliest: after its last event, and after each target that it calls missed."""
    seen = [_instant(row[name]) for row in rows for name in ("open_dt", "closed_dt") if row[name]]
    missed = [_instant(row["target_dt"]) for row in rows if row["ontime"] == "OVERDUE" and not row["closed_dt"]]
    return max(seen + missed)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)
