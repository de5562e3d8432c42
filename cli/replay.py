"""`baton replay`: the history of one case over all services, as audit has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table

from cli.clock import parse_instant
from cli.platform import AsJson, running_platform
from infra.local import PlatformError
from infra.local.doors import Visitor, open_doors

AUDITOR = "baton-cli"
PLAIN_COLUMNS = 160
LATE = timedelta(minutes=1)


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    case: Annotated[str, typer.Option(help="a case id, or the reference that its source gave it")],
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
        told = _told(doors.as_("auditor", AUDITOR), f"/v1/cases/{case}/history", asked)
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told, shown_in)


def _told(auditor: Visitor, path: str, asked: Mapping[str, str | None]) -> dict[str, Any]:
    """The history with the entries of all its pages."""
    told: dict[str, Any] = auditor.get("audit", path, **asked)
    while told["next_cursor"] is not None:
        page = auditor.get("audit", path, **asked, cursor=told["next_cursor"])
        told = {**page, "entries": told["entries"] + page["entries"]}
    return told


def _show(told: dict[str, Any], zone: ZoneInfo) -> None:
    """`recorded` is shown where a fact came on record later than it occurred: an import, or a message that was late."""

    def at(instant: str) -> datetime:
        return datetime.fromisoformat(instant).astimezone(zone)

    table = Table(box=None, pad_edge=False)
    for column in ("when", "recorded", "who", "what", "why"):
        table.add_column(column, overflow="fold")
    for entry in told["entries"]:
        who = entry["who"]["name"] or entry["who"]["actor"]
        why = "; ".join(entry["why"]["reasons"].values()) or entry["why"]["cause_type"] or ""
        occurred, recorded = at(entry["when"]["occurred_at"]), at(entry["when"]["recorded_at"])
        late = f"{recorded:%Y-%m-%d %H:%M:%S}" if recorded - occurred >= LATE else ""
        table.add_row(f"{occurred:%a %Y-%m-%d %H:%M:%S}", late, who, entry["what"]["type"], why)
    Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS).print(table)
    for breach in told["breaches"]:
        stands = "withdrawn" if breach["withdrawn"] else "unconfirmed" if breach["unconfirmed"] else "stands"
        print(f"breach of {breach['policy']} version {breach['policy_version']}, due {at(breach['due_at'])}: {stands}")
    if told["as_of"] is not None:
        final = "final" if told["final"] else "provisional: something may still be on its way, ask again"
        print(f"as of {at(told['as_of'])}, {final}")
    print(f"{told['reference']} {told['state']}, holder {told['holder']}, legs in minutes {told['legs_minutes']}")
