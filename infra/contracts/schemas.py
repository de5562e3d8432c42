"""JSON Schemas (draft 2020-12), one for each type and schema version, and one for the heads.

They describe what a reader may rely on: fields that are not named here may come at any time and are to be ignored.
`x-personal` marks personal data.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from infra.contracts.spoken import Json, schema_file, versions
from libs.events.compatibility import schema_of
from libs.events.contract import Kind
from libs.events.heads import Head

DRAFT = "https://json-schema.org/draft/2020-12/schema"
HEAD_MEANING = (
    "How far an owner has published. `sequences`: the last sequence in each partition of its topic that has one. Who"
    " has read those has everything of the owner that was recorded up to `at`: nothing from before is still to come."
)


def file_name(type_: str, version: int) -> str:
    return f"{type_}.v{version}.json"


def schemas() -> dict[str, Json]:
    """The schemas by file name."""
    found = {file_name(type_, version): schema(type_, kind, version) for type_, kind, version in versions()}
    found["baton.Head.json"] = head()
    return found


def schema(type_: str, kind: Kind, version: int) -> Json:
    """The schema of one version. The newest is its class; an older one stands as it was published."""
    raw = schema_of(kind) if version == kind.version else json.loads(schema_file(type_, version).read_text("utf-8"))
    shape, nested = _flat(raw)
    _mark(shape, nested, kind.personal)
    named = {"$schema": DRAFT, "$id": f"urn:baton:schema:{type_}:v{version}", "title": f"{type_} v{version}"}
    return named | _described(shape, kind.personal) | ({"$defs": nested} if nested else {})


def head() -> Json:
    """What travels on the topic of heads."""
    shape, _ = _flat(msgspec.json.schema(Head))
    shape["properties"] = shape["properties"] | {
        "at": {"type": "string", "format": "date-time"},  # an instant with its zone, as heads.decode demands
        "sequences": {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]+$"},
            "additionalProperties": {"type": "integer", "minimum": 1},
        },
    }
    named = {"$schema": DRAFT, "$id": "urn:baton:schema:baton.Head", "title": "baton.Head"}
    return named | shape | {"description": HEAD_MEANING}


def _flat(raw: Json) -> tuple[Json, Json]:
    """The fact's own shape at the top, and the definitions of what lies in it."""
    nested = dict(raw.get("$defs", {}))
    shape = nested.pop(raw["$ref"].rpartition("/")[2]) if "$ref" in raw else raw
    for part in (shape, *nested.values()):
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    return {name: value for name, value in shape.items() if name not in ("title", "$defs")}, nested


def _described(shape: Json, personal: tuple[str, ...]) -> Json:
    meaning = shape.get("description", "")
    if personal:
        meaning = f"{meaning}\n\nPersonal data: {', '.join(f'`{name}`' for name in personal)}.".strip()
    rest = {name: value for name, value in shape.items() if name != "description"}
    return ({"description": meaning} if meaning else {}) | rest


def _mark(shape: Json, nested: Json, personal: tuple[str, ...]) -> None:
    """Mark the fields, wherever in the fact they lie."""
    for part in (shape, *nested.values()):
        properties: dict[str, Any] = part.get("properties", {})
        for name in properties.keys() & set(personal):
            properties[name] = {**properties[name], "x-personal": True}
    known = {name for part in (shape, *nested.values()) for name in part.get("properties", {})}
    if unknown := set(personal) - known:
        raise ValueError(f"personal={sorted(unknown)}: the fact has no such field; mend its Kind")
