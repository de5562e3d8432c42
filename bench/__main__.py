"""`make bench`: every comparison, as a table and as JSON. Exit 1 unless no side failed and every figure that was
asked for was judged and is reached.
"""

from __future__ import annotations

import asyncio
import importlib
import platform as machine
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import asyncpg
import msgspec
import psutil
import typer
from rich.console import Console
from rich.progress import Progress

from bench import reporting
from bench.comparing import PAIRS_MIN, ROUNDS, Comparison, Outcome, compare
from bench.measuring import FOREIGN_CORES_MAX, RETRIES_MAX, SYNC_MS_MAX, Ground
from infra.local import Platform
from infra.local.platform import Wishes
from infra.local.ports import random_free
from infra.local.postgres import binaries
from tests.launching import open_folder, remove

MODULES = (
    "bench.appends",
    "bench.reads",
    "bench.folds",
    "bench.transport",
    "bench.posts",
    "bench.timers",
    "bench.past",
)
PEERS = "bench.peers"
NODE = Path(__file__).parent / "node"
RESULTS = Path(__file__).parents[1] / "build" / "bench.json"


def main(
    only: Annotated[list[str] | None, typer.Option(help="comparisons whose name contains this")] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=50, help=f"fewer than {PAIRS_MIN} show figures and judge nothing: exit 1")
    ] = ROUNDS,
    retries: Annotated[int, typer.Option(min=0, max=10, help="for a sample that does not count")] = RETRIES_MAX,
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="times the sizes and seconds")] = 1.0,
    out: Annotated[Path, typer.Option("--json", help="a file for all samples")] = RESULTS,
) -> None:
    console = Console(stderr=True)
    wanted = [
        (module, comparison)
        for module in map(importlib.import_module, MODULES)
        for comparison in module.COMPARISONS
        if not only or any(word in comparison.name for word in only)
    ]
    if not wanted:
        raise typer.BadParameter(f"--only {' '.join(only or ())}: no comparison is called so")
    folder = open_folder()
    stores = Platform(folder / "state", random_free(), wishes=Wishes(services=()))
    outcomes: list[Outcome] = []
    made: dict[str, dict[str, str]] = {}
    try:
        stores.start_foundation()
        own = [psutil.Process(part.pid) for part in (stores.kafka, stores.postgres) if part.pid is not None]
        ground = Ground(stores.kafka.bootstrap, stores.postgres.admin_url, folder, binaries(), NODE)
        with Progress(console=console) as progress:
            for module, comparison in wanted:
                scaled = comparison.scaled(scale)
                if module.__name__ not in made:
                    made[module.__name__] = _prepared(module, scaled.on(ground))
                stocked = msgspec.structs.replace(ground, made=made[module.__name__])
                outcomes.append(_measure(progress, module, scaled, stocked, own, rounds, retries))
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_bytes(msgspec.json.format(msgspec.json.encode(_told(outcomes)), indent=1))
    finally:
        remove(stores, folder)
    if not reporting.report(outcomes):
        raise typer.Exit(1)


def _prepared(module: ModuleType, ground: Ground) -> dict[str, str]:
    """What a module's sides find in the stores: made once for all its comparisons, which are of one size."""
    prepare = getattr(module, "prepare", None)
    made: dict[str, str] = asyncio.run(prepare(ground)) if prepare is not None else {}
    return made


def _measure(
    progress: Progress,
    module: ModuleType,
    comparison: Comparison,
    ground: Ground,
    own: list[psutil.Process],
    rounds: int,
    retries: int,
) -> Outcome:
    task = progress.add_task(comparison.name, total=rounds * len(comparison.sides))
    outcome, seen = Outcome(comparison), 0

    def module_of(side: str) -> str:
        return module.__name__ if side in module.SIDES else PEERS

    standing = asyncio.run(_databases(ground.admin_url))
    for outcome in compare(comparison, module_of, ground, own, rounds, retries):
        progress.update(task, completed=sum(len(found) for found in outcome.rounds))
        for _, taken in outcome.taken[seen:]:
            if not taken.counts:
                progress.console.print(f"[dim]{reporting.of_sample(taken)}: not quiet[/dim]")
        seen = len(outcome.taken)
        asyncio.run(_clear(ground.admin_url, standing))
    progress.update(task, completed=rounds * len(comparison.sides))
    for side, why in outcome.failed.items():
        progress.console.print(f"{comparison.name}: {side} failed, {why}", style="red", markup=False)
    return outcome


async def _databases(admin_url: str) -> set[str]:
    connection = await asyncpg.connect(admin_url)
    try:
        return {row["datname"] for row in await connection.fetch("select datname from pg_database")}
    finally:
        await connection.close()


async def _clear(admin_url: str, standing: set[str]) -> None:
    """What a sample leaves behind (rows to vacuum, pages to write) does not burden the next one."""
    made = await _databases(admin_url) - standing
    connection = await asyncpg.connect(admin_url)
    try:
        for name in made:
            await connection.execute(f'drop database "{name}" with (force)')
        await connection.execute("checkpoint")
    finally:
        await connection.close()


def _told(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "machine": {
            "cores": psutil.cpu_count(),
            "memory": psutil.virtual_memory().total,
            "python": machine.python_version(),
        },
        "counts_when": {"foreign_cores_max": FOREIGN_CORES_MAX, "fdatasync_ms_max": SYNC_MS_MAX},
        "comparisons": [reporting.as_json(outcome) for outcome in outcomes],
    }


if __name__ == "__main__":
    command = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    command.command()(main)
    command()
