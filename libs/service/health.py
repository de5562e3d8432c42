"""Alive, ready, and in numbers: /healthz, /readyz, /metrics. Open without a token, so they tell nothing of anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from libs.events.together import Together
from libs.service.lags import LAG_ENTRIES_MAX, Lags, late
from libs.service.metrics import CONTENT_TYPE, Metrics
from libs.service.problems import AWAY
from libs.service.roles import Roles

LAGS_WITHIN_S = 2.0
Trouble = tuple[Mapping[str, str], Mapping[str, str]]


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """`lags`: entries or records behind, by part; ready needs each of these to be at most `lag_max`, and nothing to be
    down. What is in seconds (`timer_…`, `send_overdue`), waits for the other side (`send_retrying`) or for a person
    (`parked`, `send_unknown`) does not count. What this process cannot tell is left out.

    `attention`: what works, but not without a person (a gap in a topic, a timer that was set aside).
    """

    ready: bool
    lag_max: int = LAG_ENTRIES_MAX
    lags: dict[str, float]
    down: dict[str, str]
    attention: dict[str, str]
    restarts: dict[str, int]


async def _agreed() -> str | None:
    return None


async def readiness(
    roles: Roles,
    lags: Callable[[], Awaitable[Lags]],
    trouble: Callable[[], Trouble] = lambda: ({}, {}),
    diverged: Callable[[], Awaitable[str | None]] = _agreed,
    in_memory: Callable[[], Lags] = dict,
) -> Readiness:
    """Whether this process has caught up, by how much it is behind, and what is down: first what the rest needs.
    `in_memory`: the lags that are told also while the database is away.
    """
    reported, attention = trouble()
    down: dict[str, str] = {}
    stored: Lags = {}
    try:
        async with asyncio.timeout(LAGS_WITHIN_S):
            stored = await lags()
            if why := await diverged():
                reported = {**reported, "journal": f"takes nothing: {why}"}
    except AWAY as error:
        down["lags"] = f"cannot be read from PostgreSQL: {type(error).__name__}"
    down |= {**reported, **{role.name: role.failure for role in roles.roles if role.failure}}
    found = {**stored, **in_memory()}
    return Readiness(
        ready=not down and not late(found),
        lags=found,
        down=down,
        attention=dict(attention),
        restarts={role.name: role.restarts for role in roles.roles if role.restarts},
    )


def health_router(ready: Callable[[], Awaitable[Readiness]], metrics: Metrics) -> APIRouter:
    """A crowd is answered by one look: nobody needs a token here, and each look asks the database."""
    router = APIRouter(tags=["health"])

    async def look(askers: Sequence[None]) -> list[Readiness]:
        return [await ready()] * len(askers)

    standing = Together(look)

    @router.get("/healthz")
    async def alive() -> Alive:
        return Alive()

    @router.get("/readyz", responses={503: {"model": Readiness, "description": "not ready"}})
    async def is_ready(response: Response) -> Readiness:
        found = await standing.ask(None)
        if not found.ready:
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return found

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def numbers() -> Response:
        found = await standing.ask(None)
        metrics.set_standing(found.ready, found.lags, len(found.down), len(found.attention), found.restarts)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
