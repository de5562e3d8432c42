"""Whether a contract may be changed as it was: by the JSON Schemas of one schema version, before and after.

Readers of a version ignore what they do not know and need what they do; so within a version a fact may gain fields
with a default, and nothing else. Anything more is a new version with an upcaster, or a new fact.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.events.contract import Kind

Json = dict[str, Any]
CURE = "make it optional with a default, or a new schema version with an upcaster, or a new fact"


def schema_of(kind: Kind) -> Json:
    """The JSON Schema (2020-12) of a fact, all definitions inside it."""
    schema: Json = msgspec.json.schema(kind.fact)
    return schema


def breaks(before: Json, after: Json) -> list[str]:
    """What in `after` breaks readers and stored facts of `before`; empty when the version may stay."""
    return _breaks(_resolved(before), _resolved(after), before, after, "")


def _breaks(old: Json, new: Json, before: Json, after: Json, path: str) -> list[str]:
    found = []
    shape_old, shape_new = _shape(old), _shape(new)
    if shape_old != shape_new:
        return [f"{path or 'the fact'}: was {shape_old}, is {shape_new}; {CURE}"]
    fields_old, fields_new = old.get("properties", {}), new.get("properties", {})
    for name in fields_old.keys() - fields_new.keys():
        found.append(f"{path}{name}: was removed; keep it, or {CURE}")
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        found.append(f"{path}{name}: is required now; {CURE}")
    for name in fields_old.keys() & fields_new.keys():
        deeper_old, deeper_new = _resolved(fields_old[name], before), _resolved(fields_new[name], after)
        found += _breaks(deeper_old, deeper_new, before, after, f"{path}{name}.")
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
            found += _breaks(_resolved(old[part], before), _resolved(new[part], after), before, after, f"{path}{part}.")
    for part in ("anyOf", "prefixItems"):
        for number, (one, other) in enumerate(zip(_options(old, part), _options(new, part), strict=False)):
            found += _breaks(_resolved(one, before), _resolved(other, after), before, after, f"{path}{part}.{number}.")
    return found


def _options(schema: Json, part: str) -> list[Json]:
    """Alternatives by name, so that another order is no change; places of a tuple in their order."""
    options: list[Json] = schema.get(part, [])
    return sorted(options, key=_name) if part == "anyOf" else options


def _name(option: Json) -> str:
    return str(option.get("$ref") or (option.get("type"), option.get("format")))


def _shape(schema: Json) -> Any:
    """What a value of this schema is, without its fields: type, format, alternatives."""
    if "anyOf" in schema:
        return sorted(map(_name, schema["anyOf"]))
    places = len(schema.get("prefixItems", ()))
    return schema.get("type"), schema.get("format"), tuple(schema.get("enum", ())), places


def _resolved(schema: Json, root: Json | None = None) -> Json:
    root = root or schema
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema
