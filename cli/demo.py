"""`baton demo`: the main job on an empty state, in one go; and `baton import`: the shipped real input alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.platform import AsJson, PortBase, Traces, running_platform
from cli.rebuild import check_everything
from cli.replay import PLAIN_COLUMNS
from cli.standing import standing
from demo import imports, rulebook
from demo.stage import MONDAY, Stage, StoryFailed
from demo.stories import complaint
from infra.local import Platform, PlatformError, state_dir
from infra.local.doors import Doors, open_doors
from infra.local.platform import Wishes
from infra.local.progress import Progress
from infra.local.rest import Positions, positions, run_on, wait_rest
from infra.local.upkeep import bring_down, bring_up
from libs.service import issuer

STORIES: dict[str, Callable[[Stage], str]] = {
    "complaint": complaint.play,
    "complaint-unruled": complaint.play_unruled,
}
SOURCES = ("boston311", "northwind", "jira")
OPERATOR = "ops-1"
MARK = "demo"
START = MONDAY.replace(hour=8)


def register(app: typer.Typer) -> None:
    app.command()(demo)
    app.command("import")(import_source)


def demo(
    story: Annotated[str, typer.Option(help=f"one of {', '.join(STORIES)}")] = "complaint",
    real_input: Annotated[bool, typer.Option(help="import the shipped real input as well")] = True,
    over: Annotated[bool, typer.Option("--over", help="empty the state even if it is not a demo's")] = False,
    port_base: PortBase = None,
    traces: Traces = False,
    as_json: AsJson = False,
) -> None:
    """Play a story on an empty state through the public doors, check it, and leave the platform up. 演示。

    The platform of an earlier demo is stopped first and erased, with everything that was recorded on it since.
    此前演示的平台及其后记录的全部数据会被清除。
    """
    if story not in STORIES:
        raise PlatformError(f"--story {story!r} is not told; choose one of {', '.join(STORIES)}")
    progress, began = Progress(), time.monotonic()
    platform = _empty_platform(progress, over, port_base, traces)
    told: dict[str, Any] = {"story": story}
    with open_doors(platform) as doors:
        publish(doors, progress)
        stage = Stage(doors, progress.say)
        try:
            told["case"] = STORIES[story](stage)
        except StoryFailed as failed:
            raise PlatformError(f"the story did not come out: {failed}") from failed
        told["checks"] = stage.checks
        history = doors.as_("auditor", "auditor-1").get("audit", f"/v1/cases/{told['case']}/history")
        told["legs_minutes"] = history["legs_minutes"]
        if real_input:
            told["verdicts"] = _import_all(doors, platform, progress)
        with progress.step("rebuilding every read model of every service beside the live one") as advance:
            told["rebuilt"] = [
                {"service": r.service, "view": r.view, "rows": r.rows, "equal": not r.differing}
                for r in check_everything(platform, advance)
            ]
        (platform.state / MARK).write_text(str(_facts(wait_rest(doors))))
        run_on(doors)
    told["seconds"] = round(time.monotonic() - began, 1)
    _print(platform, told, as_json)
    refuse_differences(told)


def import_source(
    source: Annotated[str, typer.Argument(help="boston311, northwind or jira")],
    as_json: AsJson = False,
) -> None:
    """Send shipped real input through the gateway, and print our verdicts beside the source's. 导入。"""
    if source not in SOURCES:
        raise PlatformError(f"there is no source {source!r}: choose one of {', '.join(SOURCES)}")
    progress, platform = Progress(), running_platform()
    with open_doors(platform) as doors:
        verdict = _import(doors, platform, source, progress)
    told = _for_programs(verdict)
    if as_json:
        print(json.dumps(told))
    else:
        Console(highlight=False, markup=False).print(verdict_table([told]))
        if verdict.known:
            print(f"{source} was imported before: {verdict.known} of what it sends was known, and changed nothing")
    if not verdict.equal:
        raise PlatformError(
            f"{differences(told)}. What could not be taken is in `baton parked list`; on an empty state (`baton demo`) "
            "the figures are the source's"
        )


def publish(doors: Doors, progress: Progress) -> None:
    """Organisation, processes, limits, goals and texts, as operations publishes them."""
    ops = doors.as_("ops", OPERATOR)
    rounds = rulebook.everything()
    total = sum(map(len, rounds))
    with progress.step("publishing organisation, processes, limits, goals and texts") as advance:
        done = 0
        for calls in rounds:
            for call in calls:
                ops.post(call.service, call.path, call.body)
                done += 1
                advance(done, total)
            wait_rest(doors)


def _empty_platform(progress: Progress, over: bool, port_base: int | None, traces: bool) -> Platform:
    """This checkout's platform, started anew with nothing in it and its clock held; a page of traces stays."""
    state = state_dir()
    mark, last = state / MARK, Platform.at(state, progress)
    if last.postgres.data.exists() and not mark.exists() and not over:
        raise PlatformError(
            f"{state} holds a state that is not a demo's, and a demo begins on an empty one: "
            "play it elsewhere with BATON_STATE=<folder>, or lose that state with --over (make demo ARGS=--over)"
        )
    if last.postgres.data.exists():
        progress.say(f"A demo begins on an empty state: {_forgotten(last, mark)}")
    if last.running():
        traces = traces or last.wishes.traces
        bring_down(state, progress)
    last.reset()
    wishes = Wishes(clock=f"held:{START.isoformat()}", traces=traces)
    brought = bring_up(state, wishes, progress, port_base=port_base)
    mark.touch(mode=0o600)
    mark.write_text("")  # the number of facts comes at the end
    return brought.platform


def _forgotten(last: Platform, mark: Path) -> str:
    """What is thrown away, with numbers as far as all services answer and the last demo came to its end."""
    then = mark.read_text() if mark.exists() else ""
    try:
        with open_doors(last) as doors:
            now = _facts(positions(doors))
    except PlatformError:
        return f"what was recorded in {last.state} is forgotten"
    since = f", {now - int(then)} of them recorded since the last demo" if then else ""
    return f"{now} facts in {last.state} are forgotten{since}"


def _facts(services: Mapping[str, Positions]) -> int:
    """How many facts these services have decided."""
    return sum(at["sequence"] for at in services.values())


def _import_all(doors: Doors, platform: Platform, progress: Progress) -> list[dict[str, Any]]:
    return [_for_programs(_import(doors, platform, source, progress)) for source in SOURCES]


def _for_programs(verdict: imports.Verdict) -> dict[str, Any]:
    """The shape that `--json` promises."""
    return {**asdict(verdict), "equal": verdict.equal}


def _import(doors: Doors, platform: Platform, source: str, progress: Progress) -> imports.Verdict:
    match source:
        case "boston311":
            return imports.import_boston(doors, progress)
        case "northwind":
            return imports.import_northwind(doors, progress)
        case "jira":
            return imports.import_jira(doors, issuer.secret(platform.secrets.keys, "jira"), progress)
    raise PlatformError(f"there is no source {source!r}: choose boston311, northwind or jira")


def verdict_table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    """A line for each figure of each source, ours beside the source's own."""
    table = Table(box=None, pad_edge=False)
    for column in ("source", "figure"):
        table.add_column(column)
    for column in ("ours", "theirs"):
        table.add_column(column, justify="right")
    table.add_column("")
    for verdict in verdicts:
        for figure, ours in verdict["ours"].items():
            theirs = verdict["theirs"].get(figure)
            said = "equal" if ours == theirs else "DIFFERS"
            table.add_row(verdict["source"], figure.replace("_", " "), str(ours), str(theirs), said)
    return table


def differences(verdict: Mapping[str, Any]) -> str:
    """Each figure that is not the source's, with both."""
    differing = [
        f"{figure} is {ours}, {theirs} at the source"
        for figure, ours in verdict["ours"].items()
        if ours != (theirs := verdict["theirs"].get(figure))
    ]
    return f"{verdict['source']}: {'; '.join(differing)}"


def _print(platform: Platform, told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    width = None if sys.stdout.isatty() else PLAIN_COLUMNS
    say = Console(highlight=False, markup=False, width=width).print
    say(f"\nStory “{told['story']}” came out: {len(told['checks'])} checks, legs in minutes {told['legs_minutes']}")
    if verdicts := told.get("verdicts"):
        say("\nReal input, what we found beside what the source itself says:")
        say(verdict_table(verdicts))
        say("")
    rebuilt = told["rebuilt"]
    equal = sum(view["equal"] for view in rebuilt)
    rows = sum(view["rows"] for view in rebuilt)
    say(f"{equal} of {len(rebuilt)} read models, {rows} rows, rebuilt from their journals and equal to the live ones")
    say(f"{told['seconds']} s. The platform is up, and its clock runs on from where the story ended:")
    for part in standing(platform).parts:
        say(f"  {part.name:10} {part.address}")
    say("Look around, with .venv/bin on the PATH: baton replay --case STORY1, baton status; then docs/. End: make down")


def refuse_differences(told: dict[str, Any]) -> None:
    wrong = [differences(v) for v in told.get("verdicts", []) if not v["equal"]]
    wrong += [f"{r['service']}.{r['view']}" for r in told["rebuilt"] if not r["equal"]]
    if not told["rebuilt"]:
        raise PlatformError("nothing was rebuilt, so nothing is known to be equal")
    if wrong:
        raise PlatformError(f"these do not agree: {', '.join(wrong)}")
