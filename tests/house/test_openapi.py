"""Every service's doors can be described, and the description keeps what all doors promise."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from libs.service import operations
from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Verifier
from libs.service.doors import identity_of
from libs.service.issuer import create_keys
from libs.service.metrics import Metrics

SERVICES = sorted(path.parent.name for path in Path(__file__).parents[2].glob("services/*/api.py"))


def application(name: str, keys: Path) -> FastAPI:
    create_keys(keys)
    router: APIRouter = importlib.import_module(f"services.{name}.api").router
    verifier, metrics = Verifier(keys, LOCAL_ISSUER, AUDIENCE), Metrics(name)
    return create_app(name, [operations.router, router], verifier=verifier, metrics=metrics)


def described(name: str, keys: Path) -> dict[str, Any]:
    return application(name, keys).openapi()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_describes_its_doors(name: str, tmp_path: Path) -> None:
    schema = described(name, tmp_path)
    assert "HTTPValidationError" not in str(schema)
    assert "application/problem+json" in schema["info"]["description"]
    operations_seen = set()
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            where = f"{name}: {method} {path}"
            assert path.startswith(("/v1/", "/webhooks/", "/events")), f"{where}: read and write APIs live under /v1/"
            assert {"400", "401", "403", "413", "422", "503"} <= set(operation["responses"]), where
            assert path.startswith("/webhooks/") or operation["security"], f"{where}: needs a token"
            assert operation["operationId"] not in operations_seen, f"{where}: give its function a name of its own"
            operations_seen.add(operation["operationId"])
            assert "_v1_" not in operation["operationId"], f"{where}: it is called as its function is"
            for status, answer in operation["responses"].items():
                shown = answer.get("content", {}).get("application/json", {}).get("schema")
                assert not status.startswith("2") or shown != {}, f"{where}: say what {status} answers"


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_may_send_back_what_an_answer_said_is_told_the_header_in_which_it_says_so(
    name: str, tmp_path: Path
) -> None:
    for path, item in described(name, tmp_path)["paths"].items():
        for method, operation in item.items():
            where = f"{name}: {method} {path}"
            asked = {each["name"] for each in operation.get("parameters", ())}
            tagged = "ETag" in _headers(operation, "200")
            assert method == "get" or tagged == ("If-Match" in asked), where
            assert ("Idempotency-Key" in asked) == ("Baton-Position" in _headers(operation, "200")), where
            assert "Retry-After" in _headers(operation, "503"), where


def test_who_reads_a_case_is_told_the_version_that_a_command_about_it_may_name_and_what_is_easily_mistaken(
    tmp_path: Path,
) -> None:
    schema = described("tasks", tmp_path)
    assert "ETag" in _headers(schema["paths"]["/v1/cases/{case_id}"]["get"], "200")
    assert "version" in schema["components"]["schemas"]["Problem"]["properties"]
    shown = schema["components"]["schemas"]["Shown_CaseOnBoard_"]["properties"]["row"]["properties"]
    for name in ("holder", "version", "running", "responsible", "handoff", "bounces", "conflict"):
        assert shown[name]["description"], name


def _headers(operation: dict[str, Any], status: str) -> set[str]:
    return set(operation["responses"].get(status, {}).get("headers", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_a_state_that_there_is_not_is_refused_and_not_answered_with_an_empty_list(name: str, tmp_path: Path) -> None:
    for path, item in described(name, tmp_path)["paths"].items():
        for asked in item.get("get", {}).get("parameters", ()):
            if asked["name"] == "state":
                assert "enum" in str(asked["schema"]), f"{name}: GET {path}: say which states there are, in a Literal"


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_of_a_request_is_run_in_a_thread(name: str, tmp_path: Path) -> None:
    """Each hop to a thread and back costs as much as a whole answer."""
    routes = list(iter_route_contexts(application(name, tmp_path).routes))
    calls = {call for route in routes if isinstance(route.original_route, APIRoute) for call in _calls(route.dependant)}
    assert identity_of in calls
    assert sorted(f"{call.__module__}.{call.__qualname__}" for call in calls if not iscoroutinefunction(call)) == []


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)
