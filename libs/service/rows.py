"""Rows of views in answers: msgspec Structs and dataclasses, written and documented as what they are."""

from __future__ import annotations

import dataclasses
import types
from datetime import datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class AsRow:
    """Annotation for a model's field that holds a view's row, or rows of a route's own making."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not _is_row(source):
            return handler(source)
        return core_schema.any_schema(
            metadata={"baton_row": source}, serialization=core_schema.plain_serializer_function_ser_schema(_plain)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        source = schema.get("metadata", {}).get("baton_row")
        return handler(schema) if source is None else schema_of(source)


def schema_of(row: type[Any]) -> dict[str, Any]:
    """The JSON schema of a row, complete in itself (rows do not contain themselves)."""
    whole = msgspec.json.schema(row)
    schema: dict[str, Any] = _inlined(whole, whole.get("$defs", {}))
    _name_instants(schema, row)
    return schema


def _name_instants(node: Any, hint: Any) -> None:
    """The library calls an instant a text, unless its zone is part of its type; here it is always written with one."""
    for choice in node.get("anyOf", (node,)) if isinstance(node, dict) else ():
        for type_ in _types(hint):
            if type_ is datetime and choice.get("type") == "string":
                choice["format"] = "date-time"
            elif _is_row(type_) and choice.get("type") == "object":
                for name, inner in get_type_hints(type_).items():
                    _name_instants(choice["properties"].get(name), inner)
            elif get_origin(type_) in (tuple, list) and choice.get("type") == "array":
                _name_instants(choice.get("items"), get_args(type_)[0])
            elif get_origin(type_) is dict and choice.get("type") == "object":
                _name_instants(choice.get("additionalProperties"), get_args(type_)[1])


def _types(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_row(source: Any) -> bool:
    return isinstance(source, type) and (issubclass(source, msgspec.Struct) or dataclasses.is_dataclass(source))


def _plain(row: Any) -> Any:
    return msgspec.to_builtins(row)


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in node.items() if name != "$defs"}
