"""`baton rebuild`: every view folded anew from its journal, compared with the live one or put in its place."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import typer

from cli.platform import AsJson, require_service, running_platform
from infra.local import Platform, PlatformError, upkeep
from infra.local.progress import Advance
from libs.events import rebuilding
from libs.events.journal import Journal
from libs.events.pools import open_pool
from libs.events.rebuilding import Rebuilt
from libs.events.service import Service

STATEMENT_SECONDS_MAX = 300.0
CONNECTIONS_MAX = 2


def register(app: typer.Typer) -> None:
    app.command()(rebuild)


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="compare only; exit 1 on a difference")] = False,
    service: Annotated[str | None, typer.Option(help="one service only")] = None,
    view: Annotated[str | None, typer.Option(help="one view only")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold every view anew from its journal, beside the live one. 由事件记录重建全部视图，与现有视图比对。"""
    platform = running_platform()
    upkeep.require_parts(platform, "rebuilding", "postgres")
    if service is not None:
        require_service(service, platform.services)
    names = list(platform.services) if service is None else [service]
    if view is not None:
        _require_view(view, names)
    results = [result for name in names for result in asyncio.run(_of_service(platform, name, view, check))]
    if as_json:
        print(json.dumps(msgspec.to_builtins(results), indent=2))
    else:
        for result in results:
            print(_line(result))
    if not results:
        raise PlatformError("nothing was compared: no service belongs to this platform")
    differing = [result for result in results if result.differing]
    if check and differing:
        raise PlatformError("; ".join(f"{r.service}.{r.view} differs at {', '.join(r.differing)}" for r in differing))


def _require_view(view: str, services: Sequence[str]) -> None:
    there = [found.name for name in services for found in declared(name).views]
    if view not in there:
        raise PlatformError(
            f"there is no view {view!r} of {', '.join(services)}: choose one of {', '.join(sorted(set(there)))}"
        )


def check_everything(platform: Platform, advance: Advance) -> list[Rebuilt]:
    """Every view of every service, compared with its journal."""
    total = sum(len(declared(name).views) for name in platform.services)
    numbers = itertools.count(1)

    def compared() -> None:
        advance(next(numbers), total)

    return [
        result
        for name in platform.services
        for result in asyncio.run(_of_service(platform, name, None, check=True, done=compared))
    ]


def declared(name: str) -> Service:
    """A service's declaration, as its main.py wires it."""
    service: Service = importlib.import_module(f"services.{name}.main").SERVICE
    return service


async def _of_service(
    platform: Platform, name: str, view: str | None, check: bool, done: Callable[[], None] = lambda: None
) -> list[Rebuilt]:
    service, dsn = declared(name), platform.databases[name].url
    journal = await Journal.open(dsn, service=name)
    pool = await open_pool(
        dsn,
        connections_max=CONNECTIONS_MAX,
        command_timeout_s=STATEMENT_SECONDS_MAX,
        settings={"application_name": "baton-rebuild"},
    )
    try:
        do = rebuilding.check if check else rebuilding.replace
        results: list[Rebuilt] = []
        for found in service.views:
            if view in (None, found.name):
                results.append(await do(service, found, journal, pool))
                done()
        return results
    finally:
        await journal.close()
        pool.terminate()


def _line(result: Rebuilt) -> str:
    state = "equal" if not result.differing else f"DIFFERS at {', '.join(result.differing)}"
    if result.behind:
        state += f", but {result.behind} entries behind its journal"
    if result.unreadable:
        state += f", without {result.unreadable} heard entries that cannot be read"
    return (
        f"{result.service:10} {result.view:16} rows {result.rows:6} past {result.past_rows:6} "
        f"{result.digest[:16]} {state}"
    )
