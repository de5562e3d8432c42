"""Golden samples: one stored JSON per fact and schema version, and its JSON Schema as it was published.

`make contracts` writes those that are missing; what is there is never changed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from infra.contracts.spoken import GOLDEN, kinds, sample_file, schema_file
from libs.events.compatibility import schema_of
from libs.events.contract import Kind

INSTANT = datetime(2026, 11, 2, 1, 40, tzinfo=UTC).isoformat().replace("+00:00", "Z")


def sample_of(kind: Kind) -> Any:
    """A sample in which every field has a value."""
    root = schema_of(kind)
    return _value(root, root, kind.name)


def _value(schema: dict[str, Any], root: dict[str, Any], name: str) -> Any:
    if "$ref" in schema:
        return _value(root["$defs"][schema["$ref"].rpartition("/")[2]], root, name)
    if "anyOf" in schema:
        return _value(next(option for option in schema["anyOf"] if option.get("type") != "null"), root, name)
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {field: _value(part, root, field) for field, part in schema["properties"].items()}
        case "object":
            part = schema.get("additionalProperties")
            return {"key": _value(part, root, "value") if isinstance(part, dict) else "value"}
        case "array":
            parts = schema.get("prefixItems") or [schema["items"]]
            return [_value(part, root, name) for part in parts]
        case "integer":
            return 1
        case "number":
            return 1.5
        case "boolean":
            return True
        case "string":
            return _text(schema, name)
    raise ValueError(f"no sample for {name}: {schema}")


def _text(schema: dict[str, Any], name: str) -> str:
    match schema.get("format"):
        case "date-time":
            return INSTANT
        case "uuid":
            return str(UUID(int=1))
        case "decimal":
            return "92.50"
    return str(schema["enum"][0]) if "enum" in schema else f"{name} 样例"


def write_missing() -> list[Path]:
    """Write the samples and schemas of newest versions that are not stored yet."""
    written = []
    GOLDEN.mkdir(exist_ok=True)
    for type_, kind in kinds():
        for file, content in (
            (sample_file(type_, kind.version), sample_of(kind)),
            (schema_file(type_, kind.version), schema_of(kind)),
        ):
            if not file.exists():
                file.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
                written.append(file)
    return written


if __name__ == "__main__":
    for path in write_missing():
        print(path.name)
