"""What peers need on this machine. Where it is not installed a peer is absent; whatever else stops one is a failure."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from bench.measuring import Absent, Ground


def need_package(name: str) -> None:
    """Of bench/requirements.lock. Looked for, not tried: one that is there and cannot be imported is broken."""
    if importlib.util.find_spec(name) is None:
        raise Absent(f"no package {name}: make bench installs it")


def need_program(name: str) -> None:
    if shutil.which(name) is None:
        raise Absent(f"no program {name}")


def node_package(ground: Ground, name: str) -> Path:
    """Its folder; of bench/node/package-lock.json."""
    folder = ground.node / "node_modules" / name
    if not folder.is_dir():
        raise Absent(f"no package {name} for Node: make bench installs it where npm is")
    return folder
