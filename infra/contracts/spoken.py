"""What is spoken: every contract of the system, and the golden samples of its facts."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libs.events.contracts
from libs.events.contract import Contract, Kind

GOLDEN = Path(__file__).parents[2] / "tests" / "contracts" / "golden"
Json = dict[str, Any]


def contracts() -> list[Contract]:
    """Every contract of the system; whoever says most comes first."""
    return sorted((module.CONTRACT for module in _modules()), key=lambda contract: -len(contract.kinds))


def kinds() -> Iterator[tuple[str, Kind]]:
    """(type name, kind) of every fact."""
    for contract in contracts():
        yield from contract.kinds.items()


def versions() -> Iterator[tuple[str, Kind, int]]:
    """(type name, kind, schema version) of everything that may lie on a topic."""
    for type_, kind in kinds():
        for version in range(1, kind.version + 1):
            yield type_, kind, version


def meaning_of(owner: str) -> str:
    """What the owner says, in the words of its contract."""
    (module,) = (each for each in _modules() if each.CONTRACT.owner == owner)
    return inspect.getdoc(module) or ""


def sample_file(type_: str, version: int) -> Path:
    return GOLDEN / f"{type_}.v{version}.json"


def schema_file(type_: str, version: int) -> Path:
    """The schema as it was when the version was published."""
    return GOLDEN / f"{type_}.v{version}.schema.json"


def sample(type_: str, version: int) -> Json:
    found: Json = json.loads(sample_file(type_, version).read_text("utf-8"))
    return found


def _modules() -> list[Any]:
    package = libs.events.contracts
    return [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name)
    ]
