"""A service's doors without its machinery: real application, real tokens, commands kept in a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field

from libs.events.deciding import Command
from libs.events.errors import (
    CommandReused,
    Diverged,
    Forbidden,
    NotFound,
    NotYet,
    Refusal,
    Unavailable,
    VersionConflict,
)
from libs.events.handling import Answer, Request, digest_of
from libs.events.reading import CURSOR_CURE, BadQuestion, Moment
from libs.events.reading import Page as ReadPage
from libs.events.views import View
from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Verifier
from libs.service.doors import TAGGED, Accepted, Ask, Checked, Doors, Page, Read, Shown, roles
from libs.service.issuer import create_keys, token
from libs.service.metrics import Metrics

NOW = datetime(2026, 11, 2, 1, 40, tzinfo=UTC)
STREAM = UUID(int=7)


class WriteLine(Command):
    sheet: UUID
    text: str
    count: int = 0
    more: dict[str, Any] = Field(default_factory=dict)


class Line(BaseModel):
    text: str
    count: int = 0
    more: dict[str, Any] = Field(default_factory=dict)


class Mark(msgspec.Struct, frozen=True):
    colour: str
    at: datetime | None = None


class LineRow(msgspec.Struct, frozen=True):
    sheet: UUID
    text: str
    marks: tuple[Mark, ...] = ()
    due: dict[str, datetime] = {}


LINES: View[LineRow] = View("lines", 1, LineRow, ("sheet",), ())


@dataclass
class Ledger:
    """Answers commands as the journal would: the same id is known, the same id with other words is reused."""

    requests: list[Request] = field(default_factory=list)
    raises: BaseException | None = None
    rows: tuple[LineRow, ...] = (LineRow(STREAM, "a", (Mark("red"),)),)
    waited: list[int] = field(default_factory=list)

    async def ask(self, request: Request) -> Answer:
        if self.raises is not None:
            raise self.raises
        before = [r for r in self.requests if r.command_id == request.command_id]
        if before and digest_of(before[0].command) != digest_of(request.command):
            raise CommandReused(request.command_id)
        if request.expected is not None and request.expected != len(self.requests):
            raise VersionConflict(STREAM, request.expected, len(self.requests))
        if not before:
            self.requests.append(request)
        version = len(self.requests)
        return Answer(position=version, stream=STREAM, version=version, facts=("lines.Written",), known=bool(before))

    async def wait(self, position: int, timeout_s: float) -> None:
        self.waited.append(position)
        if position > len(self.requests):
            raise NotYet(f"position {position} is not there")

    async def moment(self, instant: datetime) -> Moment:
        return Moment(instant, len(self.requests), final=False)

    async def row(self, view: View[Any], key: Any, *, tenant: str, at: Any = None) -> Any:
        return next((row for row in self.rows if row.sheet == key), None)

    async def page(self, view: View[Any], **question: Any) -> ReadPage[Any]:
        if question["cursor"] is not None:
            raise BadQuestion("cursor", question["cursor"], *CURSOR_CURE)
        return ReadPage(self.rows, None)


def router_of(ledger: Ledger) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.post("/sheets/{sheet}/lines")
    async def write(sheet: UUID, body: Line, ask: Ask) -> Accepted:
        return await ask(WriteLine(sheet=sheet, **body.model_dump()))

    @router.post("/sheets/{sheet}/pairs")
    async def write_two(sheet: UUID, ask: Ask) -> list[Accepted]:
        return [await ask(WriteLine(sheet=sheet, text=text)) for text in ("one", "two")]

    @router.get("/sheets/{sheet}", responses=TAGGED)
    async def sheet(sheet: UUID, read: Read) -> Shown[LineRow]:
        row = await read.row(LINES, sheet)
        if row is None:
            raise NotFound("sheet", "there is no such sheet", "没有此页")
        return read.shown(row, version=len(ledger.requests))

    @router.get("/sheets")
    async def sheets(read: Read) -> Page[LineRow]:
        return await read.page(LINES)

    @router.get("/secrets", dependencies=[roles("ops", "auditor")])
    async def secrets() -> dict[str, str]:
        return {"it": "is open"}

    @router.get("/bug")
    async def bug() -> None:
        raise RuntimeError("the password is swordfish")

    return router


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("lines")


@pytest.fixture
def app(keys: Path, ledger: Ledger, metrics: Metrics) -> FastAPI:
    app = create_app("lines", [router_of(ledger)], verifier=Verifier(keys, LOCAL_ISSUER, AUDIENCE), metrics=metrics)
    app.state.doors = Doors(Checked(ledger), cast(Any, ledger), cast(Any, ledger), lambda: NOW, dict)
    return app


@pytest.fixture
def bearer(keys: Path) -> Callable[..., dict[str, str]]:
    def header(*names: str, person: str = "prod-1", tenant: str = "main") -> dict[str, str]:
        text = token(keys, person=person, roles=names or ("frontend",), tenant=tenant)
        return {"Authorization": f"Bearer {text}"}

    return header


@pytest.fixture
async def client(app: FastAPI, bearer: Callable[..., dict[str, str]]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lines", headers=bearer()) as client:
        yield client


REFUSALS: tuple[tuple[BaseException, int, str], ...] = (
    (Refusal("holder", "only the holder may", "只有持有人可以"), 409, "refused"),
    (Forbidden("raci", "only a seat of R may", "只有负责人可以"), 403, "forbidden"),
    (NotFound("case", "there is none", "没有"), 404, "not-found"),
    (VersionConflict(STREAM, 1, 2), 409, "version-conflict"),
    (CommandReused(STREAM), 422, "command-reused"),
    (Unavailable("the queue is full", 3), 503, "unavailable"),
    (NotYet("not there"), 503, "not-yet"),
    (Diverged("two stories"), 503, "diverged"),
    (ConnectionRefusedError("no database"), 503, "unavailable"),
    (TimeoutError(), 503, "unavailable"),
    (asyncpg.DiskFullError("no space left"), 503, "unavailable"),
    (asyncpg.InternalClientError("another operation is in progress"), 503, "unavailable"),
)
