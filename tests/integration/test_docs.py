"""The documents hold: every command in them runs, prints what they show, and every limit and link in them is right.

A ```sh block is run; a ```text block right after it is what it must print, where `…` stands for anything in a line and
a line of `…` alone for any lines. The blocks of one document share one shell, as a reader's would.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.local import Platform
from infra.local.platform import project_root
from infra.local.ports import random_free

ROOT = project_root()
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RUN = tuple(path for path in DOCUMENTS if "```sh" in path.read_text())
BRING_UP_SECONDS_MAX = 600
DOCUMENT_SECONDS_MAX = 600
SKIPPED = {
    "make demo": "the fixture has run what it runs, `baton demo`, on a state of its own",
    "make test": "this very test is part of it",
    "make down": "ends the checkout's platform; the fixture ends its own with `baton down`",
}
MARK = "\x1e"


class Block(NamedTuple):
    """One ```sh block, by the line on which it begins, and what it must print (None: anything)."""

    line: int
    code: str
    shown: str | None


def blocks(text: str) -> list[Block]:
    """The ```sh blocks of a document in their order."""
    found: list[Block] = []
    fence, began, body, gap = "", 0, list[str](), True
    for number, line in enumerate(text.splitlines(), start=1):
        if not fence and line.startswith("```"):
            fence, began, body = line.removeprefix("```") or "plain", number, []
        elif fence and line == "```":
            if fence == "sh":
                found.append(Block(began, "\n".join(body), None))
            elif fence == "text" and found and not gap:
                found[-1] = found[-1]._replace(shown="\n".join(body))
            fence, gap = "", fence != "sh"
        elif fence:
            body.append(line)
        elif line.strip():
            gap = True
    return found


def script(found: list[Block]) -> str:
    """All blocks for one shell; a mark before each tells their outputs apart."""
    parts = [f"printf '{MARK}{block.line}\\n'\n{without_skipped(block.code)}" for block in found]
    return "\n".join(("set -euo pipefail", *parts))


def without_skipped(code: str) -> str:
    return "\n".join(f": {line}" if line.partition("#")[0].strip() in SKIPPED else line for line in code.splitlines())


def as_shown(shown: str, printed: str) -> bool:
    """Whether the output is the one that a document shows, where “…” is any text, and alone any lines."""
    blocks: list[list[re.Pattern[str]]] = [[]]
    for line in shown.splitlines():
        if line.strip() == "…":
            blocks.append([])
        else:
            blocks[-1].append(re.compile(".*".join(map(re.escape, line.rstrip().split("…")))))
    found = [line.rstrip() for line in printed.rstrip().splitlines()]

    def stands(block: list[re.Pattern[str]], at: int) -> bool:
        lines = found[at : at + len(block)]
        return len(lines) == len(block) and all(map(re.Pattern.fullmatch, block, lines))

    first, *others = blocks
    if not others:
        return len(found) == len(first) and stands(first, 0)
    *middle, last = others
    at, end = len(first), len(found) - len(last)
    if at > end or not stands(first, 0) or not stands(last, end):
        return False
    for block in middle:  # the earliest place leaves the most for those behind it
        places = (place for place in range(at, end - len(block) + 1) if stands(block, place))
        if (place := next(places, None)) is None:
            return False
        at = place + len(block)
    return True


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, str]]:
    """The environment of a reader on whose machine the demo has told its story."""
    folder = Path(tempfile.mkdtemp(prefix=f"baton-tests-{os.getpid()}-"))
    folder.chmod(0o755)  # the unprivileged PostgreSQL must be able to enter
    state = folder / "state"
    environment = {
        **os.environ,
        "BATON_STATE": str(state),
        "BATON_PORT_BASE": str(random_free().base),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "COLUMNS": "160",
    }
    try:
        run("baton demo --no-real-input", environment, BRING_UP_SECONDS_MAX)
        yield environment
    finally:
        run("baton down", environment, BRING_UP_SECONDS_MAX)
        Platform.at(state).postgres.erase()  # may lie elsewhere
        shutil.rmtree(folder)


def run(code: str, environment: dict[str, str], seconds_max: int) -> str:
    done = subprocess.run(
        ["bash", "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds_max,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode} after:\n{done.stdout[-4_000:]}"
    return done.stdout


@pytest.mark.platform
@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_runs_and_prints_what_is_shown(path: Path, told: dict[str, str]) -> None:
    found = blocks(path.read_text())
    outputs = run(script(found), told, DOCUMENT_SECONDS_MAX).split(MARK)[1:]
    assert len(outputs) == len(found)
    for block, output in zip(found, outputs, strict=True):
        printed = output.partition("\n")[2]
        if block.shown is not None:
            assert as_shown(block.shown, printed), (
                f"{path.name}:{block.line} shows\n{block.shown}\nbut it prints\n{printed}"
            )


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nb\nc", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("…\nb\n…\nd", "a\nb\nc\nb\nd", True),
        ("…\nb\nd", "b\nc\nb\nd", True),
        ("…\nb\nd\n…", "b\nc\nb\ne", False),
        ("at … by …", "at 10:10 by svc-1", True),
        ("a … c", "a b\nc\n", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_document_shows_what_is_printed(shown: str, printed: str, same: bool) -> None:
    assert as_shown(shown, printed) is same


def test_no_command_is_shown_without_being_run() -> None:
    """An indented block, or a fence of another kind of shell, would be passed over."""
    for path in DOCUMENTS:
        text = path.read_text()
        assert not re.findall(r"^```(?:bash|shell|console)", text, re.M), path.name
        outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        assert not re.findall(r"^(?: {4}|\t).+", outside, re.M), path.name


def test_every_link_leads_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: no {target}"


def test_every_limit_in_the_tables_is_the_codes() -> None:
    """Rows like | `NAME` | 1,000 | `libs/events/x.py` | meaning |."""
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| ([^|]+) \| `([a-z_/]+)\.py` \|", (ROOT / "docs/operating.md").read_text(), re.M
    )
    assert len(rows) > 30
    for name, value, module in rows:
        meant = getattr(importlib.import_module(module.replace("/", ".")), name)
        assert figure(value) == meant, f"docs/operating.md: {name} is {meant}, not {value}"


def figure(text: str) -> float:
    """`1,000`, `0.5 s`, `512 KiB`, `1 MiB` as numbers."""
    number, _, unit = text.strip().replace(",", "").partition(" ")
    return float(number) * {"KiB": 1024, "MiB": 1024 * 1024}.get(unit, 1)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
