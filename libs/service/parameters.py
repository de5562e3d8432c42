"""Parameters that an address does not take: a misspelt question must not be answered as another one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from libs.service.cures import Cure
from libs.service.errors import Fault, WrongShape

_TWICE = Cure("is given more than once; say which one is meant", "出现了多次，请只保留一个")
_NONE_TAKEN = Cure("this address takes no parameters; leave it out", "此地址不接受参数，请去掉")


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
    asked = request.query_params.multi_items()
    faults = [Fault(f"query.{name}", *_cure(name, known), value) for name, value in asked if name not in known]
    said = {name: request.query_params.getlist(name) for name in known if not taken[name]}
    faults += [Fault(f"query.{name}", *_TWICE, ", ".join(values)) for name, values in said.items() if len(values) > 1]
    if faults:
        raise WrongShape(faults)


def _taken(dependant: Dependant) -> dict[str, bool]:
    """The parameters by name, and whether it may be given several times: it is a list."""
    taken = {field.alias: get_origin(field.field_info.annotation) is list for field in dependant.query_params}
    for below in dependant.dependencies:
        taken |= _taken(below)
    return taken


def _cure(name: str, known: list[str]) -> Cure:
    if not known:
        return _NONE_TAKEN
    near = get_close_matches(name, known, n=1)
    meant, meant_zh = (f"did you mean {near[0]}? ", f"是否指 {near[0]}？") if near else ("", "")
    return Cure(
        f"is not known here; {meant}take from {', '.join(known)}",
        f"此处没有这个参数；{meant_zh}可用：{'、'.join(known)}",
    )
