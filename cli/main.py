"""`baton`: one verb per thing that a person or a program may ask for."""

from __future__ import annotations

import sys

import typer

from cli import clock, demo, parked, platform, publish, rebuild, recover, replay, tokens
from infra.local.errors import PlatformError
from libs.events.errors import Unavailable

app = typer.Typer(
    name="baton",
    help="Baton puts every handoff between departments on the record. 把部门之间的每一次交接都记录在案。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verbs in (platform, tokens, demo, clock, replay, rebuild, parked, publish, recover):
    verbs.register(app)


def main() -> None:
    """The program: refusals of the platform are told in one line, not as a trace."""
    try:
        app()
    except (PlatformError, Unavailable) as refused:
        print(f"baton: {refused}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
