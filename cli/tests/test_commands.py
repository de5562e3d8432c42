"""`baton` before it begins with what it was asked: what it loads, and what it says of its commands."""

from __future__ import annotations

import re
import subprocess
import sys

import typer

from cli.main import app

OF_SERVICES_ALONE = ("fastapi", "opentelemetry.exporter", "prometheus_client", "services")


def test_the_command_line_does_not_load_what_only_running_services_need() -> None:
    code = "import sys, cli.main; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    loaded = done.stdout.splitlines()
    assert [name for name in loaded if name in OF_SERVICES_ALONE] == []


def test_every_command_says_in_both_languages_what_it_does() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    told = {name: command.help or "" for name, command in group.commands.items()}
    assert [name for name, words in told.items() if not re.search("[a-z].*[\u4e00-\u9fff]", words)] == []
