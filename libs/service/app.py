"""One service as an HTTP application: its routes behind the same middleware, and a description of all its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from opentelemetry.trace import TracerProvider
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from libs.service import problems
from libs.service.answers import ETAG
from libs.service.asking import POSITION_HEADER
from libs.service.auth import OPEN_PATHS, Bearer, Verifier, is_open
from libs.service.bodies import Bodies
from libs.service.metrics import Metrics, Timed
from libs.service.parameters import only_known
from libs.service.telemetry import take_up_traces, untraced

VERSION = "1"
DESCRIPTION = """One service of Baton. Everything under `/v1/` needs a token (`Authorization: Bearer`).

A refusal is `application/problem+json` with a stable `type`, and texts in English and Chinese. A command may carry
`Idempotency-Key`: sent again it changes nothing. Its answer names a `position`: `?after=` it reads one's own write.
`?as_of=` answers as of an instant of the past. Lists come in pages: go on with `next_cursor`.
"""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_QUERY_PROBLEMS = (400, 401, 403, 404, 413, 422, 503)
_COMMAND_PROBLEMS = (400, 401, 403, 404, 408, 409, 413, 415, 422, 503)
_SENT_BACK: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        POSITION_HEADER,
        {"description": "the answer's `position`, to read one's own write with", "schema": {"type": "integer"}},
    ),
    "If-Match": ("ETag", ETAG),
}
"""By what a command may come with: the header of its answer."""
_METHODS = frozenset({"get", "put", "post", "patch", "delete"})


def create_app(
    name: str,
    routers: Iterable[APIRouter],
    *,
    verifier: Verifier,
    metrics: Metrics,
    lifespan: Lifespan | None = None,
    tracer_provider: TracerProvider | None = None,
) -> FastAPI:
    """The application of the service `name`. The framework's interactive pages are off: they load from elsewhere."""
    take_up_traces()
    app = FastAPI(
        title=f"Baton {name}",
        version=VERSION,
        description=DESCRIPTION,
        generate_unique_id_function=_name_of,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(only_known)],
        middleware=[
            Middleware(Timed, metrics=metrics),
            Middleware(problems.Guard),
            Middleware(Bearer, verifier=verifier),
            Middleware(Bodies),
        ],
        exception_handlers={HTTPException: problems.handle, RequestValidationError: problems.handle},
        telemetry={
            "tracer_provider": tracer_provider,
            "tracing": True,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": untraced,
        },
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # the framework's own way to do it
    return app


def _name_of(route: APIRoute) -> str:
    """An operation is called as its function is: what programs generate from the description gets these names."""
    return route.name


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        app.openapi_schema = documented(schema)
    return app.openapi_schema


def documented(schema: dict[str, Any]) -> dict[str, Any]:
    """The description with every problem that an operation may answer, its headers, and the token that it needs."""
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas["Problem"] = problems.schema()
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operation, method in _operations(schema):
        answers = operation.setdefault("responses", {})
        if "HTTPValidationError" in str(answers.get("422")):
            del answers["422"]
        if path in OPEN_PATHS:
            continue
        for status in _QUERY_PROBLEMS if method == "get" else _COMMAND_PROBLEMS:
            answers.setdefault(str(status), problems.answer(status))
        operation["responses"] = dict(sorted(answers.items()))
        asked = {each["name"] for each in operation.get("parameters", ())}
        if headers := dict(sent for name, sent in _SENT_BACK.items() if name in asked):
            answers["200"]["headers"] = headers
        if not is_open(path):
            operation["security"] = [{"bearer": []}]
    return schema


def _operations(schema: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], str]]:
    for path, item in schema.get("paths", {}).items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation, method
