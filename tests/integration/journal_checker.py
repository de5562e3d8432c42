"""Holds a journal against what its clients were told. It knows the table, not the kernel's code."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

Row = asyncpg.Record


@dataclass(frozen=True)
class Verdict:
    """How much was compared, and every violation by name (none: empty)."""

    rows: int
    acks: Counter[str]
    violations: Counter[str]


async def check(url: str, logs: Iterable[Path], read: list[tuple[int, UUID]]) -> Verdict:
    """`read`: what a concurrent reader saw, in its order."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("select * from journal.entries order by position")
    heard = await connection.fetch("select topic, next_offset from journal.offsets")
    offsets = {row["topic"]: row["next_offset"] for row in heard}
    await connection.close()
    violations: Counter[str] = Counter()
    _order(rows, violations)
    _versions_and_causes(rows, violations)
    whole = [log.read_text().rpartition("\n")[0] for log in logs]  # a killed process may leave half a line
    acks = [json.loads(line) for text in whole for line in text.splitlines()]
    _acknowledged(rows, acks, violations)
    _offsets(acks, offsets, violations)
    if read != [(row["position"], row["id"]) for row in rows]:
        violations["a reader saw something else"] += 1
    return Verdict(len(rows), Counter(ack[0] for ack in acks), +violations)


def _order(rows: list[Row], violations: Counter[str]) -> None:
    sequence, noted_at = 0, None
    for position, row in enumerate(rows, 1):
        sequence += row["decided"]
        violations["position has a gap"] += row["position"] != position
        violations["sequence has a gap"] += row["sequence"] != sequence
        violations["noted_at does not grow"] += noted_at is not None and row["noted_at"] <= noted_at
        noted_at = row["noted_at"]
    violations["an id is there twice"] += len(rows) - len({row["id"] for row in rows})


def _versions_and_causes(rows: list[Row], violations: Counter[str]) -> None:
    versions: dict[UUID, int] = defaultdict(int)
    by_id = {row["id"]: row for row in rows}
    commands: dict[UUID, list[int]] = defaultdict(list)
    for row in rows:
        if row["decided"]:
            versions[row["stream"]] += 1
            violations["version has a gap"] += row["version"] != versions[row["stream"]]
            violations["recorded elsewhere than noted"] += row["recorded_at"] != row["noted_at"]
            commands[row["command_id"]].append(row["position"])
        else:
            violations["noted before it was recorded"] += row["noted_at"] <= row["recorded_at"]
        cause = by_id.get(row["causation_id"])
        violations["effect without its cause"] += row["causation_id"] is not None and cause is None
        violations["noted before its cause"] += cause is not None and cause["noted_at"] >= row["noted_at"]
    for positions in commands.values():
        violations["an append was torn apart"] += positions != list(range(positions[0], positions[0] + len(positions)))


def _acknowledged(rows: list[Row], acks: list[list[Any]], violations: Counter[str]) -> None:
    by_command: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_command[str(row["command_id"])].append(row)
    for kind, *said in acks:
        if kind == "appended":
            command, stream, facts, position, version, noted_at = said
            found = [(str(r["stream"]), r["position"], r["version"]) for r in by_command[command]]
            first = position - facts + 1, version - facts + 1
            wanted = [(stream, first[0] + i, first[1] + i) for i in range(facts)]
            violations["acknowledged, and lost or doubled"] += found != wanted
            if found == wanted:
                told = datetime.fromisoformat(noted_at)
                violations["another instant was told"] += by_command[command][-1]["noted_at"] != told
        elif kind == "refused":
            violations["refused, and there"] += bool(by_command[said[0]])
        elif kind == "heard":
            id_, at = said
            violations["heard, and lost"] += not 0 < at <= len(rows) or str(rows[at - 1]["id"]) != id_


def _offsets(acks: list[list[Any]], offsets: dict[str, int], violations: Counter[str]) -> None:
    """Offsets are what was acknowledged last; one more call may have been written whose answer nobody lived to log."""
    last = {f"bells-{said[0]}": said[1] for kind, *said in acks if kind == "offset"}
    for topic, next_offset in last.items():
        violations["an offset was lost"] += not next_offset <= offsets.get(topic, -1) <= next_offset + 20
