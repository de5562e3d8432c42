"""`baton parked`: records and reactions that were set aside, and what an operator does with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cli.platform import AsJson, require_service, running_platform
from infra.local import PlatformError
from infra.local.doors import Doors, open_doors

REFERENCES_MAX = 100
"""Cases whose references are looked up for one list."""
AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))
UNKNOWN = "–"
app = typer.Typer(help="What was set aside with its reason: list, retry, drop. 被搁置的记录。")
Person = Annotated[str, typer.Option(help="the operator who does it, such as ops-1; it is put on record")]
PartName = Annotated[str, typer.Argument(help="the service")]
ParkedId = Annotated[str, typer.Argument(help="its id, from `baton parked list`")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="parked")


@app.command("list")
def list_parked(
    service: Annotated[str | None, typer.Option(help="one service only")] = None, as_json: AsJson = False
) -> None:
    """Everything that is set aside or waits behind it; exit 1 when a service does not answer. 列出。"""
    with open_doors(running_platform()) as doors:
        ops = doors.as_("ops", "baton-cli")
        if service is not None:
            require_service(service, doors.urls)
        names = [name for name in doors.urls if service in (None, name)]
        found: list[dict[str, Any]] = []
        away: dict[str, PlatformError] = {}
        for name in names:
            try:
                found += [{"service": name, **row} for row in ops.rows(name, "/v1/parked")]
            except PlatformError as refused:
                away[name] = refused
        why = next(iter(away.values()), None)
        if why is not None and len(away) == len(names):
            raise why
        references = {} if as_json else _references(doors, found)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found, references)
    if why is not None:
        raise PlatformError(f"the list lacks {', '.join(away)}: {why}")


def _show(found: Sequence[Mapping[str, Any]], references: Mapping[str, str]) -> None:
    if found:
        print(f"{'service':10} {'id':36} {'state':8} {'kind':10} {'age':>7} {'case':12} key and reason")
    for row in found:
        case = references.get(_subject(row), UNKNOWN)
        age = _age(datetime.now(UTC) - datetime.fromisoformat(row["parked_at"]))
        kind = UNKNOWN if row["state"] == "waiting" else row["kind"]
        print(
            f"{row['service']:10} {row['id']} {row['state']:8} {kind:10} {age:>7} {case:12} "
            f"{row['key']} {_why(row, found)}"
        )
    print(f"{len(found)} set aside")


def _why(row: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """Its reason; of what waits, behind which record of its key it does."""
    if row["state"] != "waiting":
        return str(row["reason"])
    place = ("service", "topic", "partition", "key")
    ahead = [o["id"] for o in found if o["state"] == "parked" and all(o[name] == row[name] for name in place)]
    return f"waits behind {ahead[0] if ahead else 'an earlier record of its key'}"


def _subject(row: Mapping[str, Any]) -> str:
    """The case that a record is about, as far as that can be told; of what nobody can read, from its key."""
    if row["subject"] is not None:
        return str(row["subject"])
    _, _, subject = row["key"].rpartition(":")
    try:
        return str(UUID(subject))
    except ValueError:
        return ""


def _references(doors: Doors, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the sources call these cases, by the case's id; without those that nobody here knows."""
    ops = doors.as_("ops", "baton-cli")
    references: dict[str, str] = {}
    for subject in sorted({_subject(row) for row in found} - {""})[:REFERENCES_MAX]:
        for service, path in (("gateway", "/v1/requests"), ("tasks", "/v1/cases")):
            try:
                references[subject] = ops.get(service, f"{path}/{subject}")["row"]["reference"]
                break
            except (PlatformError, KeyError):
                continue  # the service does not know it, is away, or was not started: the list is shown without it
    return references


def _age(since: timedelta) -> str:
    seconds = max(0, int(since.total_seconds()))
    return next((f"{seconds // unit} {name}" for unit, name in AGES if seconds >= unit), f"{seconds} s")


def _mended(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as wrong:
        where = f"line {wrong.lineno}, column {wrong.colno}"
        raise PlatformError(
            f"--mended {path}: it is no JSON ({where}); give the data that the record should have"
        ) from wrong
    except UnicodeDecodeError as wrong:
        raise PlatformError(f"--mended {path}: it is no text in UTF-8; give a file with JSON in it") from wrong
    except OSError as wrong:
        what = "there is no such file" if isinstance(wrong, FileNotFoundError) else "it cannot be read"
        raise PlatformError(f"--mended {path}: {what}; give a readable file with JSON in it") from wrong


@app.command("retry")
def retry(
    service: PartName,
    parked: ParkedId,
    person: Person,
    mended: Annotated[
        Path | None,
        typer.Option(help="a file with the JSON data that the record should have had; not of a reaction or a gap"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take it again, mended or as it came; what waited behind it follows in order. 重试。"""
    body: dict[str, Any] = {}
    if mended is not None:
        body["data"] = _mended(mended)
    _act(service, parked, person, "retry", body, as_json)


@app.command("drop")
def drop(service: PartName, parked: ParkedId, person: Person, as_json: AsJson = False) -> None:
    """Leave it out for good; what waited behind it follows in order. 放弃。"""
    _act(service, parked, person, "drop", {}, as_json)


def _act(service: str, parked: str, person: str, act: str, body: dict[str, Any], as_json: bool) -> None:
    with open_doors(running_platform()) as doors:
        require_service(service, doors.urls)
        answer = doors.as_("ops", person).post(service, f"/v1/parked/{parked}/{act}", body)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
    if answer["state"] == "parked":
        raise PlatformError(f"{service}: {parked} is parked still: {answer['reason']}")
    if not as_json:
        print(f"{service}: {parked} is {answer['state']} now")
