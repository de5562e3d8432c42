"""`baton up`, `down`, `status`, `logs`, `reset`, `stop`, `start`, `restart`: the platform of this checkout."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.standing import COLUMNS, Standing, standing
from infra.local import Platform, PlatformError, ports, state_dir, supervisor, upkeep
from infra.local.parts import Part
from infra.local.platform import REAL_CLOCK, Wishes, project_root
from infra.local.progress import Progress
from infra.local.services import installed

FOLLOW_SECONDS = 0.2
LOG_LINES = 100
ALL = "all"

AsJson = Annotated[bool, typer.Option("--json", help="for programs")]

PortBase = Annotated[
    int | None, typer.Option(envvar="BATON_PORT_BASE", help="first port of the block of 20 to use; remembered")
]

Traces = Annotated[bool, typer.Option("--traces", help="with Zipkin's page of traces 附链路追踪页面")]


def register(app: typer.Typer) -> None:
    for verb in (up, down, status, logs, reset, start, stop, restart):
        app.command()(verb)


def up(
    port_base: PortBase = None,
    clock: Annotated[
        str, typer.Option(help="`real`, or `held:2025-03-03T09:00:00+08:00` for a clock that stands still")
    ] = REAL_CLOCK,
    services: Annotated[str, typer.Option(help="`all`, `none`, or some of them, such as `tasks,sla`")] = ALL,
    traces: Traces = False,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, PostgreSQL and every service, and keep them running. 启动整个平台。

    What was stopped by hand stays so, until `baton start`.
    """
    _check_clock(clock)
    wishes, progress, began = (
        Wishes(clock=clock, services=_chosen(services), traces=traces),
        Progress(),
        time.monotonic(),
    )
    brought = upkeep.bring_up(state_dir(), wishes, progress, port_base=port_base)
    progress.say("already up" if brought.was_up else f"up after {time.monotonic() - began:.1f} s")
    _show_or_fail(standing(brought.platform), as_json)


def down() -> None:
    """Stop everything that `up` started; what was recorded stays. 停止平台，数据保留。"""
    upkeep.bring_down(state_dir(), Progress())


def status(as_json: AsJson = False) -> None:
    """What runs where, and whether it is ready; exit 1 when something is not. 各部分的地址与状态。"""
    _show_or_fail(standing(known_platform()), as_json)


def logs(
    part: Annotated[str, typer.Argument(help="a service, kafka, postgres, zipkin or supervisor")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until interrupted")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many of the last lines")] = LOG_LINES,
) -> None:
    """Show the log of one part. 查看某一部分的日志。"""
    folder = state_dir() / "logs"
    path = folder / f"{part}.log"
    if not path.exists():
        there = ", ".join(sorted(log.stem for log in folder.glob("*.log"))) or "none yet: `baton up` first"
        raise PlatformError(f"no log of {part!r} in {folder}; there is {there}")
    try:
        _tail(path, lines, follow)
    except KeyboardInterrupt:
        return


def reset() -> None:
    """Forget all recorded facts, logs and traces, while down; ports and keys stay. 清空数据（须先停止）。"""
    platform = known_platform()
    if not platform.running():
        supervisor.dismiss(platform.state)
    platform.reset()
    print(f"everything that was recorded with state {platform.state} is forgotten; ports and keys stay")


def start(part: Annotated[str, typer.Argument(help="a service, kafka, postgres or zipkin")]) -> None:
    """Start one part that was stopped. 启动某一部分。"""
    platform = Platform.at(state_dir())
    found = _part(platform, part)
    was = found.running
    if part in platform.services:
        upkeep.require_parts(platform, part, "postgres", "kafka")
    found.start()
    found.wait_ready()
    print(f"{part} {'was running' if was else 'is started'}, and is ready: process {found.pid}")


def stop(part: Annotated[str, typer.Argument(help="a service, kafka, postgres or zipkin")]) -> None:
    """Stop one part; it stays stopped until it is started. 停止某一部分。"""
    found = _part(Platform.at(state_dir()), part)
    was = found.running
    gently = found.stop()
    if was is None:
        print(f"{part} was not running; it stays stopped until `baton start {part}`")
    else:
        how = "is stopped" if gently else "had to be killed, since it did not end in time"
        print(f"{part} {how} (process {was.pid}); it stays stopped until `baton start {part}`")


def known_platform() -> Platform:
    """This checkout's platform, once it has been up; who only reads must not make passwords for one that never was."""
    state = state_dir()
    if ports.remembered(state) is None:
        raise PlatformError(f"there is no platform with state {state}: `baton up`, or name another in BATON_STATE")
    return Platform.at(state)


def running_platform() -> Platform:
    """This checkout's platform, when anything of it runs; another one may answer at its ports otherwise."""
    platform = known_platform()
    if not platform.running():
        raise PlatformError(
            f"nothing runs with state {platform.state}: `baton up` first, or name another in BATON_STATE"
        )
    return platform


def require_service(name: str, there: Iterable[str]) -> None:
    """Raises PlatformError with those there are."""
    if name not in there:
        raise PlatformError(f"there is no service {name!r}: choose one of {', '.join(there)}")


def restart(
    services: Annotated[list[str] | None, typer.Argument(help="these services; all of them unless named")] = None,
    as_json: AsJson = False,
) -> None:
    """Restart services one after another; each answers all the while. 逐个重启服务，期间照常应答。"""
    for done in upkeep.restart(state_dir(), services or (), Progress()):
        if as_json:
            print(json.dumps(asdict(done)), flush=True)
            continue
        how = "ended" if done.gently else "did not end in time and was killed"
        print(f"{done.service}: process {done.former} {how}, process {done.successor} answers")


def _part(platform: Platform, name: str) -> Part:
    parts = platform.parts
    if name not in parts:
        raise PlatformError(f"there is no part {name!r}: choose one of {', '.join(parts)}")
    return parts[name]


def _chosen(services: str) -> tuple[str, ...] | None:
    if services == ALL:
        return None
    there = installed(project_root())
    chosen = () if services == "none" else tuple(services.split(","))
    for name in chosen:
        if name not in there:
            raise PlatformError(
                f"--services: there is no service {name!r}: choose from {', '.join(there)}, or all, none"
            )
    return chosen


def _check_clock(clock: str) -> None:
    kind, _, instant = clock.partition(":")
    if clock == REAL_CLOCK:
        return
    cure = "`real`, or `held:` and an instant with its zone, such as held:2025-03-03T09:00:00+08:00"
    if kind != "held":
        raise PlatformError(f"--clock {clock!r} is not understood: {cure}")
    try:
        zoned = datetime.fromisoformat(instant).tzinfo is not None
    except ValueError as wrong:
        raise PlatformError(f"--clock {clock!r} is no instant: {cure}") from wrong
    if not zoned:
        raise PlatformError(f"--clock {clock!r} lacks a zone: {cure}")


def _tail(path: Path, lines: int, follow: bool) -> None:
    with path.open(errors="replace") as file:
        for line in deque(file, maxlen=lines):
            print(line, end="")
        while follow:
            if line := file.readline():
                print(line, end="", flush=True)
            elif path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                return _tail(path, LOG_LINES, follow)  # set aside and begun anew
            else:
                time.sleep(FOLLOW_SECONDS)


def _show_or_fail(found: Standing, as_json: bool) -> None:
    _show(found, as_json)
    if not found.ready:
        raise typer.Exit(1)


def _show(found: Standing, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.for_programs(), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column)
    for row in found.rows():
        table.add_row(*row)
    Console().print(table)
    for remark in found.remarks():
        print(remark)
