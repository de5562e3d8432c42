"""The outcomes as a table for people, and as JSON."""

from __future__ import annotations

import statistics
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.comparing import PAIRS_MIN, Goal, Limit, Outcome, Verdict
from bench.measuring import Sample, Taken

WIDTH = 150


def report(outcomes: list[Outcome]) -> bool:
    """Print everything; whether no side failed and all that was asked for was judged and is reached, but for peers that
    are absent here.
    """
    console = Console(width=WIDTH)
    for outcome in outcomes:
        console.print(_sides(outcome))
    verdicts = Table(title="ours ÷ theirs, median of the ratios of each round", title_justify="left")
    for column in ("work", "beside", "of", "asked", "median", "each round", "reached"):
        verdicts.add_column(column, justify="right" if column in ("asked", "median") else "left")
    for outcome in outcomes:
        for goal in outcome.comparison.asked:
            verdicts.add_row(*_verdict(outcome, goal))
    console.print(verdicts)
    fine = {Verdict.REACHED, Verdict.SHOWN, Verdict.ABSENT}
    return all(outcome.verdict(goal) in fine for outcome in outcomes for goal in outcome.comparison.asked)


def of_sample(taken: Taken) -> str:
    return (
        f"{taken.side}: {taken.sample.rate:,.0f}/s, foreign {taken.foreign_cores:.2f} cores,"
        f" fdatasync {taken.sync_before_ms:.2f} and {taken.sync_after_ms:.2f} ms"
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    goals = outcome.comparison.asked
    return {
        "name": outcome.comparison.name,
        "unit": outcome.comparison.unit,
        "absent": outcome.absent,
        "failed": outcome.failed,
        "goals": [
            {
                **msgspec.to_builtins(goal),
                "ratios": outcome.ratios(goal) if isinstance(goal, Goal) else None,
                "counting": len(outcome.judged_by(goal)),
                "verdict": outcome.verdict(goal),
            }
            for goal in goals
        ],
        "samples": [{"round": round_, **msgspec.to_builtins(taken)} for round_, taken in outcome.taken],
    }


def _sides(outcome: Outcome) -> Table:
    table = Table(title=f"{outcome.comparison.name} ({outcome.comparison.unit})", title_justify="left")
    for column in ("side", "counting", "min", "median", "max", "p50 ms", "p99 ms", "MB"):
        table.add_column(column, justify="left" if column == "side" else "right")
    table.caption_justify = "left"
    notes: list[str] = []
    for side in outcome.comparison.sides:
        if side in outcome.absent:
            table.add_row(side, "absent")
            continue
        samples, all_ = outcome.samples(side), [taken for _, taken in outcome.taken if taken.side == side]
        rates = [sample.rate for sample in samples]
        figures = [f"{figure:,.0f}" for figure in (min(rates), statistics.median(rates), max(rates))] if rates else []
        table.add_row(
            side,
            f"{len(samples)} of {len(all_)}",
            *(figures or ("–", "–", "–")),
            *(_median(samples, of) for of in ("p50_ms", "p99_ms", "megabytes")),
        )
        if more := [sample.more for sample in samples if sample.more]:
            parts = (f"{name} {statistics.median(found[name] for found in more):,.1f}" for name in more[0])
            notes.append(f"{side}: {', '.join(parts)}")
    notes += (f"{side} is absent: {lacks}" for side, lacks in outcome.absent.items())
    for side, why in outcome.failed.items():
        notes.append(f"{side} failed in {why.partition(':')[0]}: {why.splitlines()[-1]}")
    table.caption = Text("\n".join(notes))  # what a side said is no markup
    return table


def _verdict(outcome: Outcome, goal: Goal | Limit) -> tuple[str, ...]:
    reached = {
        Verdict.REACHED: "yes",
        Verdict.MISSED: "NO",
        Verdict.UNJUDGED: f"not judged: {len(outcome.judged_by(goal))} of {PAIRS_MIN} rounds count",
        Verdict.FAILED: "failed",
        Verdict.ABSENT: "absent",
        Verdict.SHOWN: "–",
    }[outcome.verdict(goal)]
    if isinstance(goal, Limit):
        found = _median(outcome.samples(outcome.comparison.ours), goal.of)
        return outcome.comparison.name, "–", goal.of, f"≤ {goal.at_most:g}", found, "", reached
    ratios = outcome.ratios(goal)
    asked = f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}" if goal.at_most else "shown"
    return (
        outcome.comparison.name,
        goal.other,
        goal.of,
        asked,
        f"{statistics.median(ratios):.2f}" if ratios else "–",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
        reached,
    )


def _median(samples: list[Sample], of: str) -> str:
    found = [value for sample in samples if (value := getattr(sample, of)) is not None]
    return f"{statistics.median(found):,.2f}" if found else "–"
