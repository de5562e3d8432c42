"""`baton replay`: the history of one case over all services, as audit has it."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table

from cli.clock import parse_instant
from cli.platform import AsJson
from infra.local import Platform, PlatformError, state_dir
from infra.local.doors import open_doors

AUDITOR = "baton-cli"
PLAIN_COLUMNS = 160


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
    with open_doors(Platform.at(state_dir()), tenant) as doors:
        told = doors.as_("auditor", AUDITOR).get("audit", f"/v1/cases/{case}/history", **asked)
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told, shown_in)


def _show(told: dict[str, Any], zone: ZoneInfo) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("when", "who", "what", "why"):
        table.add_column(column, overflow="fold")
    for entry in told["entries"]:
        who = entry["who"]["name"] or entry["who"]["actor"]
        why = "; ".join(entry["why"]["reasons"].values()) or entry["why"]["cause_type"] or ""
        when = datetime.fromisoformat(entry["when"]["occurred_at"]).astimezone(zone)
        table.add_row(f"{when:%a %Y-%m-%d %H:%M:%S}", who, entry["what"]["type"], why)
    Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS).print(table)
    print(f"{told['reference']} {told['state']}, holder {told['holder']}, legs in minutes {told['legs_minutes']}")
