"""`baton replay`: the history of one case over all services, as audit has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table

from cli.clock import parse_instant
from cli.platform import AsJson, running_platform
from cli.wording import NOBODY, in_words, lasting, shown
from infra.local import PlatformError
from infra.local.doors import Visitor, open_doors

AUDITOR = "baton-cli"
PLAIN_COLUMNS = 160
LATE = timedelta(minutes=1)
HEADS = {
    "when": "when ({zone})",
    "recorded": "recorded",
    "who": "who",
    "what": "what",
    "whom": "to whom, until when",
    "why": "why",
}
LEGS = {"offered": "offered to", "holding": "held by", "unruled": "unruled:"}
Told = dict[str, Any]


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    case: Annotated[str, typer.Option(help="a case id, or the reference that its source gave it")],
    source: Annotated[str | None, typer.Option(help="whose reference, where several sources use it")] = None,
    as_of: Annotated[str | None, typer.Option(help="what was known by this instant")] = None,
    occurred_until: Annotated[str | None, typer.Option(help="what had happened by this instant")] = None,
    zone: Annotated[str, typer.Option(help="in which zone instants are shown")] = "Asia/Shanghai",
    tenant: Annotated[str, typer.Option()] = "main",
    as_json: AsJson = False,
) -> None:
    """Tell a case again: who handed what to whom, when, why. 重放一个工单的全部历史。"""
    try:
        shown_in = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as wrong:
        raise PlatformError(f"--zone {zone!r} is no time zone: name one such as Asia/Shanghai or UTC") from wrong
    asked = {"as_of": as_of, "occurred_until": occurred_until}
    for field, text in asked.items():
        if text is not None:
            asked[field] = parse_instant(text, f"--{field.replace('_', '-')}").isoformat()
    with open_doors(running_platform(), tenant) as doors:
        told = told_of(doors.as_("auditor", AUDITOR), case, asked | {"source": source})
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told, shown_in)


def told_of(auditor: Visitor, case: str, asked: Mapping[str, str | None]) -> Told:
    """The history with the entries of all its pages. A reference may have any character, also those of addresses."""
    path = f"/v1/cases/{quote(case, safe='')}/history"
    told: Told = auditor.get("audit", path, **asked)
    while told["next_cursor"] is not None:
        page = auditor.get("audit", path, **asked, cursor=told["next_cursor"])
        told = {**page, "entries": told["entries"] + page["entries"]}
    return told


def _show(told: Told, zone: ZoneInfo) -> None:
    Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS, highlight=False, markup=False).print(
        table_of(told["entries"], zone)
    )
    for remark in remarks(told, zone):
        print(remark)


def table_of(entries: Sequence[Told], zone: ZoneInfo) -> Table:
    """A line for each entry; the column `recorded` only where something came on record late."""
    lines = list(_lines(entries, zone))
    late = any(line["recorded"] for line in lines)
    fields = [field for field in HEADS if late or field != "recorded"]
    table = Table(box=None, pad_edge=False)
    for field in fields:
        table.add_column(HEADS[field].format(zone=zone.key), overflow="fold")
    for line in lines:
        table.add_row(*(line[field] for field in fields))
    return table


def _lines(entries: Sequence[Told], zone: ZoneInfo) -> Iterator[dict[str, str]]:
    """`recorded` is told of an import, or a message that was late. What gives no reason itself follows from its cause,
    and from that one's reasons.
    """
    reasons = {entry["id"]: "; ".join(entry["why"]["reasons"].values()) for entry in entries}
    for entry in entries:
        occurred, recorded = (_at(entry["when"][what], zone) for what in ("occurred_at", "recorded_at"))
        cause = (entry["why"]["cause_type"], reasons.get(entry["why"]["cause"]))
        yield {
            "when": f"{occurred:%a %Y-%m-%d %H:%M:%S}",
            "recorded": f"{recorded:%Y-%m-%d %H:%M:%S}" if recorded - occurred >= LATE else "",
            "who": entry["who"]["name"] or entry["who"]["actor"],
            "what": entry["what"]["type"],
            "whom": in_words(entry["what"]["type"], entry["what"]["data"], occurred.date(), zone),
            "why": reasons[entry["id"]] or ": ".join(filter(None, cause)),
        }


def remarks(told: Told, zone: ZoneInfo) -> Iterator[str]:
    """What stands below the table: who had it when, breaches, whether it is final, how the case stands."""
    for leg in told["legs"]:
        start, end = _at(leg["start"], zone), _at(leg["end"], zone)
        whose = f"{LEGS.get(leg['state'], leg['state'])} {leg['department'] or NOBODY}"
        yield f"{shown(start)}–{shown(end, start.date())}  {whose:24} {lasting(leg['minutes']):>10}"
    for breach in told["breaches"]:
        stands = "withdrawn" if breach["withdrawn"] else "unconfirmed" if breach["unconfirmed"] else "stands"
        due = shown(_at(breach["due_at"], zone))
        yield f"breach of {_rule(breach)}, due {due}: {stands}"
    if told["as_of"] is not None:
        final = "final" if told["final"] else "provisional: something may still be on its way, ask again"
        yield f"as of {_at(told['as_of'], zone)}, {final}"
    if told["entries"]:
        yield f"{told['reference'] or told['case_id']} {told['state']}, holder {told['holder'] or NOBODY}"
    else:
        yield "nothing of this case was on record then"


def _rule(breach: Told) -> str:
    """By which rule it was due. Without a policy (version 0) its source had promised it; the version is None where
    nobody told of the start.
    """
    match breach["policy_version"]:
        case 0:
            return "what the source promised"
        case None:
            return str(breach["policy"])
        case version:
            return f"{breach['policy']} version {version}"


def _at(instant: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(instant).astimezone(zone)
