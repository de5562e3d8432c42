"""Rules of the house. Each failure says what to do about it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.rules import ROOT, kept_files, modules, tree_of

NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base", "core"}
README_LINES_MAX = 150
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sql", ".conf", ".properties", ".in", ".lock", ".sh", ".txt", ""}
SHIPPED_DATA = Path("demo/data")
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|Users|root|work|private)/\w")
IGNORE = re.compile(r"#\s*(?:type: ignore|noqa)\b(?P<rest>.*)")
CODED_WITH_REASON = re.compile(r"^(?:\[[\w, -]+\]|: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*)\W+\w+")
PURE_ROOMS = ("domain", "commands", "reactions", "views")
IMPURE_MODULES = {"time", "random", "secrets", "os", "asyncio", "threading", "subprocess", "socket"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7"}


def test_a_module_is_named_after_its_concept() -> None:
    nameless = [str(path) for path in modules() if NAMELESS & {path.stem, *path.parts}]
    assert not nameless, f"name these after what they hold (convertors, backoff, …), or split them: {nameless}"


def test_every_folder_of_code_is_a_package_so_that_the_import_rules_see_it() -> None:
    folders = {path.parent for path in modules() if path.name != "conftest.py" and "tests" not in path.parts}
    bare = sorted(str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists())
    assert not bare, f"add an __init__.py with a docstring that says what the room is for: {bare}"


def test_services_have_the_same_rooms() -> None:
    rooms = {"__init__", "main", "api", "reactions", "commands", "views", "domain", "channels", "tests"}
    extra = sorted(
        str(path)
        for path in modules()
        if path.parts[0] == "services" and len(path.parts) > 2 and Path(path.parts[2]).stem not in rooms
    )
    assert not extra, f"put these into one of the rooms {sorted(rooms - {'__init__'})}: {extra}"


def test_what_decides_reads_no_clock_and_rolls_no_dice() -> None:
    found = [
        f"{path}:{line}: {what}"
        for path in modules()
        if path.parts[0] == "services"
        and len(path.parts) > 2
        and Path(path.parts[2]).stem in PURE_ROOMS
        and "tests" not in path.parts
        for line, what in _impure(tree_of(path))
    ]
    assert not found, f"let time, ids and chance arrive with the command or the entry: {found}"


def _impure(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if hit := IMPURE_MODULES & {alias.name.partition(".")[0] for alias in names}:
                yield node.lineno, f"import {', '.join(hit)}"
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in IMPURE_MODULES:
                yield node.lineno, f"from {module} import …"
            case ast.AsyncFunctionDef() | ast.Await():
                yield node.lineno, "async"
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in IMPURE_CALLS:
                yield node.lineno, f"{name}()"


def test_no_instant_of_a_command_or_a_body_is_read_from_a_number() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in modules()
        if path.is_relative_to("services") or path.is_relative_to("libs/service")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom)
        and node.module == "pydantic"
        and any(alias.name.endswith("Datetime") for alias in node.names)
    ]
    assert not found, f"say Written of libs/events/instants.py: pydantic takes 2026 for the first hour of 1970: {found}"


def test_the_machinery_knows_no_contract() -> None:
    found = [
        str(path)
        for path in modules()
        if (path.is_relative_to("libs/events") or path.is_relative_to("libs/service"))
        and not {"contracts", "tests"} & set(path.parts)
        and any(
            (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("libs.events.contracts"))
            or (isinstance(node, ast.Import) and any(a.name.startswith("libs.events.contracts") for a in node.names))
            for node in ast.walk(tree_of(path))
        )
    ]
    assert not found, f"take the contract as an argument instead of importing it: {found}"


def test_every_ignored_check_has_its_code_and_its_reason_beside_it() -> None:
    found = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if path != Path("tests/house/test_house.py")
        if (ignored := IGNORE.search(line)) and not CODED_WITH_REASON.match(ignored["rest"])
    ]
    assert not found, f"write `# noqa: CODE reason` or `# type: ignore[code]  # reason`: {found}"


def test_what_is_not_there_is_refused_by_a_rule_of_one_pattern() -> None:
    named = [
        (path, call.lineno, str(rule.value))
        for path in modules()
        if path.parts[0] in ("libs", "services") and "tests" not in path.parts
        for call in ast.walk(tree_of(path))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "NotFound"
        for rule in call.args[:1]
        if isinstance(rule, ast.Constant)
    ]
    wrong = [f"{path}:{line}: {rule}" for path, line, rule in named if not rule.startswith(("unknown-", "no-"))]
    assert named
    assert wrong == [], f"clients know the rules by name; say unknown-<thing>, as the others do: {wrong}"


def test_lock_files_name_no_address_and_hash_everything() -> None:
    for name in ("requirements.lock", "requirements-setup.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text, f"{name} carries an address: resolve it anew with `make lock`"
        requirements = re.split(r"\n(?=\S)", text.strip())
        bare = [r.partition(" ")[0] for r in requirements if "--hash=sha256:" not in r]
        assert not bare, f"{name}: {bare} have no hash: resolve it anew with `make lock`"
    pins = (ROOT / "infra/artifacts.sha256").read_text().splitlines()
    wrong = [pin for pin in pins if not re.fullmatch(r"|#.*|[0-9a-f]{64}  [\w.-]+(?::[\w.-]+){2,3}", pin)]
    assert not wrong, f"infra/artifacts.sha256 is written by `python -m infra.local.artifacts`: {wrong}"


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{path}:{number}"
        for path in kept_files()
        if path.suffix in TEXT and not path.is_relative_to(SHIPPED_DATA) and path != Path("tests/house/test_house.py")
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, f"derive the path from the project's root or the state directory: {found}"


def test_the_readme_is_read_to_its_end() -> None:
    lines = len((ROOT / "README.md").read_text().splitlines())
    assert lines <= README_LINES_MAX, f"README.md has {lines} lines: move what is not for newcomers to docs/"
