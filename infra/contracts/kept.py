"""The files in contracts/: derived from the code, kept for readers who have only them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from infra.contracts.document import ROOT, document
from infra.contracts.schemas import schemas

FOLDER = ROOT / "contracts"
DOCUMENT = "asyncapi.yaml"
SCHEMAS = "schemas"
WIDTH = 120


def files() -> dict[str, str]:
    """What contracts/ must hold, by path below it. README.md there is written by hand."""
    found = {f"{SCHEMAS}/{name}": _json(schema) for name, schema in schemas().items()}
    found[DOCUMENT] = "# Written by `make contracts`.\n" + _yaml(document())
    return found


def stale(folder: Path) -> list[str]:
    """The files that are missing, differ from what the code says, or stand for nothing any more."""
    wanted = files()
    there = {str(path.relative_to(folder)): path for path in (folder / SCHEMAS).glob("*.json")}
    there[DOCUMENT] = folder / DOCUMENT
    return sorted(
        name
        for name in wanted.keys() | there.keys()
        if name not in wanted or not (folder / name).exists() or (folder / name).read_text("utf-8") != wanted[name]
    )


def write(folder: Path) -> list[str]:
    """Brings the folder up to date; returns the files that changed."""
    changed, wanted = stale(folder), files()
    (folder / SCHEMAS).mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()
    return changed


def _json(schema: Any) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text
