"""Every operation that the running services describe in /openapi.json, so that a new route is covered by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from infra.local import Platform
from libs.service import operations as of_any_service
from libs.service.auth import OPEN_PATHS

METHODS = ("get", "put", "post", "patch", "delete")
_OF_THE_PLATFORM = frozenset(str(getattr(route, "path", "")) for route in of_any_service.router.routes)
Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    service: str
    method: str
    path: str
    described: Json
    schemas: Json

    @property
    def name(self) -> str:
        return f"{self.method} {self.service}{self.path}"

    @property
    def of_the_platform(self) -> bool:
        """Whether it is about the process itself, not about what some tenant has."""
        return self.path in _OF_THE_PLATFORM

    @property
    def body(self) -> Json | None:
        """The schema of the JSON that it takes; None where it takes none."""
        content = self.described.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return None if schema is None else self.resolved(schema)

    @property
    def parameters(self) -> list[Json]:
        return list(self.described.get("parameters", ()))

    @property
    def things(self) -> set[str]:
        """The path's parameters that name what may not be there: anything but one of a few known words."""
        named = [each for each in self.parameters if each["in"] == "path"]
        return {each["name"] for each in named if "enum" not in self.resolved(each["schema"])}

    def filled(self, **values: str) -> str:
        """The path with something of the right kind in each place."""
        kinds = {each["name"]: example(self, each["schema"]) for each in self.parameters if each["in"] == "path"}
        return self.path.format(**(kinds | values))

    def question(self) -> Json:
        """What must stand in the query."""
        wanted = [each for each in self.parameters if each["in"] == "query" and each["required"]]
        return {each["name"]: example(self, each["schema"]) for each in wanted}

    def resolved(self, schema: Json) -> Json:
        """The schema behind its reference, or behind the one of several that is an object."""
        if "$ref" in schema:
            return self.resolved(self.schemas[schema["$ref"].rpartition("/")[2]])
        options = [self.resolved(each) for each in schema.get("anyOf", ())]
        return next((each for each in options if each.get("type") == "object"), options[0]) if options else schema


def operations(platform: Platform) -> list[Operation]:
    """Of all services; not the doors that are open to everybody, nor webhooks, which a signature opens."""
    return [each for name, service in platform.services.items() for each in _described(name, service.url)]


@cache
def _described(service: str, url: str) -> tuple[Operation, ...]:
    return tuple(_read(service, httpx.get(f"{url}/openapi.json", timeout=30).raise_for_status().json()))


def _read(service: str, told: Json) -> Iterator[Operation]:
    for path, item in told["paths"].items():
        for method, described in item.items():
            if method in METHODS and path not in OPEN_PATHS and not path.startswith("/webhooks/"):
                yield Operation(service, method.upper(), path, described, told["components"]["schemas"])


def example(operation: Operation, schema: Json) -> Any:
    """The plainest value that fits a schema."""
    schema = operation.resolved(schema)
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", ())
            return {name: example(operation, schema["properties"][name]) for name in wanted}
        case "array":
            return [example(operation, schema["items"]) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "string":
            return _TEXTS.get(schema.get("format", ""), "x" * max(schema.get("minLength", 1), 1))
        case _:
            return None


_TEXTS = {"uuid": "0190b8a6-7c1e-7c9a-8f00-000000000000", "date-time": "2026-11-02T00:00:00Z", "date": "2026-11-02"}
