"""`baton clock`: the domain clock of all services together."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from cli.platform import AsJson, running_platform
from infra.local import PlatformError
from infra.local.doors import open_doors
from infra.local.rest import advance, positions, run_on

app = typer.Typer(help="The domain clock: show it, advance it while it is held, let it run on. 业务时钟。")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="clock")


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """What instant it is for each service. 各服务当前的业务时间。"""
    with open_doors(running_platform()) as doors:
        clocks = {name: at["clock"] for name, at in positions(doors).items()}
    if as_json:
        print(json.dumps(clocks, indent=2))
        return
    for name, clock in clocks.items():
        print(f"{name:10} {clock['now']} {'held' if clock['held_at'] else 'running'}")


@app.command("advance")
def advance_to(
    to: Annotated[str, typer.Option(help="an instant with its zone, such as 2026-11-02T11:40+08:00")],
    as_json: AsJson = False,
) -> None:
    """Move a held clock forward; everything that falls due on the way fires at its instant. 把时钟拨到更晚的时刻。"""
    instant = parse_instant(to, "--to")
    with open_doors(running_platform()) as doors:
        stops = advance(doors, instant)
    if as_json:
        print(json.dumps({"to": instant.isoformat(), "stops": stops}))
    else:
        print(f"{instant.isoformat()}: at rest, {stops} due instants on the way")


@app.command("run-on")
def let_run() -> None:
    """Let a held clock run on in real time from where it stands. 让时钟恢复走动。"""
    with open_doors(running_platform()) as doors:
        run_on(doors)


def parse_instant(text: str, field: str) -> datetime:
    """An instant with a zone; raises PlatformError that names the field and the cure."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise PlatformError(f"{field} {text!r} is no instant: write 2026-11-02T11:40:00+08:00") from wrong
    if instant.tzinfo is None:
        raise PlatformError(f"{field} {text!r} lacks a zone: write 2026-11-02T11:40:00+08:00 or …Z")
    return instant
