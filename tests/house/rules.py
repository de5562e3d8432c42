"""What the house rules look at: the files that the project keeps, as git knows them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE_ROOTS = ("libs", "services", "infra", "cli", "demo", "tests")


@cache
def kept_files() -> tuple[Path, ...]:
    """Tracked files and those that would be added, as paths below the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(path for name in sorted(filter(None, listed.split("\0"))) if (ROOT / (path := Path(name))).is_file())


def modules() -> Iterator[Path]:
    """Our Python files."""
    for path in kept_files():
        if path.suffix == ".py" and path.parts[0] in CODE_ROOTS:
            yield path


def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), filename=str(path))
