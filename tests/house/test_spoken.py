"""Commands that documents, messages and alarms name in passing exist, with the options that they are given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.main import app
from tests.house.rules import ROOT

INLINE = re.compile(r"`(baton|make) ([^`\n]+)`")
FOLDERS = ("docs", "infra", "libs", "services", "cli", "demo")
SUFFIXES = (".md", ".py", ".yaml", ".json")
VERBS = re.compile(r"^([a-z-]+):", re.MULTILINE)


def spoken() -> dict[str, list[Path]]:
    """Each command that is named in `…`, and where."""
    found: dict[str, list[Path]] = {}
    paths = [ROOT / "README.md"]
    paths += [path for name in FOLDERS for path in sorted((ROOT / name).rglob("*")) if path.suffix in SUFFIXES]
    for path in paths:
        if "tests" in path.relative_to(ROOT).parts or "decisions" in path.parts:
            continue
        for tool, words in INLINE.findall(path.read_text()):
            found.setdefault(f"{tool} {words}", []).append(path.relative_to(ROOT))
    return found


def wrong(command: str) -> str | None:
    """Why nobody could run it."""
    tool, *words = command.split()
    if tool == "make":
        verbs = set(VERBS.findall((ROOT / "Makefile").read_text()))
        unknown = [word for word in words if "=" not in word and word not in verbs and word != "…"]
        return f"no verb {unknown}" if unknown else None
    verb: Any = typer.main.get_command(app)
    while words and hasattr(verb, "commands"):
        name = words.pop(0)
        if name == "…":
            return None
        if name not in verb.commands:
            return f"there is no `{name}`"
        verb = verb.commands[name]
    options = {option for parameter in verb.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("command", sorted(spoken()))
def test_a_command_that_is_named_can_be_run(command: str) -> None:
    assert wrong(command) is None, spoken()[command]


def test_commands_that_do_not_exist_are_found() -> None:
    for command in ("baton recoover tasks", "baton parked lst", "baton publish tasks --form 1", "make fault N=3"):
        assert wrong(command) is not None, command
