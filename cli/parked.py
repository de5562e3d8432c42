"""`baton parked`: records and reactions that were set aside, and what an operator does with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.platform import AsJson
from infra.local import Platform, PlatformError, state_dir
from infra.local.doors import open_doors

app = typer.Typer(help="What was set aside with its reason: list, retry, drop. 被搁置的记录。")
Person = Annotated[str, typer.Option(help="who does it; it is put on record")]
PartName = Annotated[str, typer.Argument(help="the service")]
ParkedId = Annotated[str, typer.Argument(help="its id, from `baton parked list`")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="parked")


@app.command("list")
def list_parked(
    service: Annotated[str | None, typer.Option(help="one service only")] = None, as_json: AsJson = False
) -> None:
    """Everything that is set aside or waits behind it. 列出。"""
    with open_doors(Platform.at(state_dir())) as doors:
        ops = doors.as_("ops", "baton-cli")
        names = [name for name in doors.urls if service in (None, name)]
        found: list[dict[str, Any]] = [
            {"service": name, **row} for name in names for row in ops.rows(name, "/v1/parked")
        ]
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for row in found:
        print(f"{row['service']:10} {row['id']} {row['state']:8} {row['kind']:10} {row['key']} {row['reason']}")
    print(f"{len(found)} set aside")


@app.command("retry")
def retry(
    service: PartName,
    parked: ParkedId,
    person: Person = "baton-cli",
    mended: Annotated[Path | None, typer.Option(help="a file with the value to take in its place")] = None,
) -> None:
    """Take it again, mended or as it came; what waited behind it follows in order. 重试。"""
    body: dict[str, Any] = {}
    if mended is not None:
        try:
            body["data"] = json.loads(mended.read_text("utf-8"))
        except (OSError, ValueError) as wrong:
            raise PlatformError(f"--mended {mended}: {wrong}; give a readable file with JSON in it") from wrong
    _act(service, parked, person, "retry", body)


@app.command("drop")
def drop(service: PartName, parked: ParkedId, person: Person = "baton-cli") -> None:
    """Leave it out for good; what waited behind it follows in order. 放弃。"""
    _act(service, parked, person, "drop", {})


def _act(service: str, parked: str, person: str, act: str, body: dict[str, Any]) -> None:
    with open_doors(Platform.at(state_dir())) as doors:
        if service not in doors.urls:
            raise PlatformError(f"there is no service {service!r}: choose one of {', '.join(doors.urls)}")
        answer = doors.as_("ops", person).post(service, f"/v1/parked/{parked}/{act}", body)
    print(json.dumps(answer, ensure_ascii=False))
    if answer["state"] == "parked":
        raise PlatformError(f"{service}: {parked} is parked still: {answer['reason']}")
