"""Parameters that an address does not take: a misspelt question must not be answered as another one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from libs.service.errors import Fault, WrongShape, shorten


async def only_known(request: Request) -> None:
    """A dependency of every query under /v1/: 422 naming each parameter that it does not take, or not twice."""
    route = request.scope.get("route")
    if (
        not request.query_params
        or request.method != "GET"
        or not request.url.path.startswith("/v1/")
        or not isinstance(route, APIRoute)
    ):
        return
    taken = _taken(route.dependant)
    known = sorted(taken)
    unknown = [(name, value) for name, value in request.query_params.multi_items() if name not in known]
    if unknown:
        raise WrongShape(Fault(f"query.{name}", shorten(value), _cure(name, known)) for name, value in unknown)
    said = {name: request.query_params.getlist(name) for name in known if not taken[name]}
    if twice := {name: values for name, values in said.items() if len(values) > 1}:
        cure = "is given more than once; say which one is meant"
        raise WrongShape(Fault(f"query.{name}", shorten(", ".join(values)), cure) for name, values in twice.items())


def _taken(dependant: Dependant) -> dict[str, bool]:
    """The parameters by name, and whether it may be given several times: it is a list."""
    taken = {field.alias: get_origin(field.field_info.annotation) is list for field in dependant.query_params}
    for below in dependant.dependencies:
        taken |= _taken(below)
    return taken


def _cure(name: str, known: list[str]) -> str:
    if not known:
        return "this address takes no parameters; leave it out"
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"is not known here; {meant}take from {', '.join(known)}"
