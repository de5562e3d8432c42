"""One service's doors on a real database, in this process: HTTP, tokens, journal and views; without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from fastapi import APIRouter, FastAPI

from infra.local.databases import Database
from libs.events.heads import Watermark
from libs.events.service import Service
from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Role, Verifier
from libs.service.doors import Checked, Doors
from libs.service.issuer import create_keys, token
from libs.service.metrics import Metrics
from tests.integration.errands_service import Errands, errands


@dataclass
class Standing:
    """A running service and a client of its doors. `marks`: what its listener would say of other owners."""

    parts: Errands
    app: FastAPI
    client: httpx.AsyncClient
    keys: Path
    marks: dict[str, Watermark] = field(default_factory=dict)

    def bearer(self, *names: Role, person: str = "erp-1", tenant: str = "main") -> dict[str, str]:
        text = token(self.keys, person=person, roles=names, tenant=tenant)
        return {"Authorization": f"Bearer {text}"}


@asynccontextmanager
async def doors(database: Database, service: Service, router: APIRouter, keys: Path) -> AsyncIterator[Standing]:
    create_keys(keys)
    verifier = Verifier(keys, LOCAL_ISSUER, AUDIENCE)
    async with errands(database, service) as parts, parts.working():
        app = create_app(service.name, [router], verifier=verifier, metrics=Metrics(service.name))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{service.name}") as client:
            standing = Standing(parts, app, client, keys)

            def marks() -> Mapping[str, Watermark]:
                return standing.marks

            handler = Checked(parts.handler)
            app.state.doors = Doors(handler, parts.reader, parts.projector, lambda: datetime.now(UTC), marks)
            yield standing
