"""Prepares a Kafka and a PostgreSQL that run elsewhere: `python -m infra.local.prepare`, the compose file's first step.

Environment: BATON_KEYS (folder), BATON_KAFKA, BATON_ADMIN_URL (PostgreSQL as superuser) and BATON_PASSWORD, which every
role gets (each container must know it without a shared file; give each its own in production).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from infra.local.databases import ROLES, prepare
from infra.local.errors import PlatformError
from infra.local.kafka import create_topics
from infra.local.services import ORDER
from libs.service.issuer import create_keys


def main() -> None:
    kafka, admin_url, secret = (_given(name) for name in ("BATON_KAFKA", "BATON_ADMIN_URL", "BATON_PASSWORD"))
    create_keys(Path(_given("BATON_KEYS")))
    asyncio.run(_prepare(kafka, admin_url, secret))


async def _prepare(kafka: str, admin_url: str, secret: str) -> None:
    created = await create_topics(kafka, ORDER)
    print(f"topics created: {', '.join(created) or 'none, all there'}")
    databases = await prepare(admin_url, {name: dict.fromkeys(ROLES, secret) for name in ORDER})
    print(f"databases ready: {', '.join(database.name for database in databases.values())}")


def _given(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise PlatformError(f"{name} is not set: see infra/compose.yaml")
    return value


if __name__ == "__main__":
    try:
        main()
    except PlatformError as refused:
        sys.exit(f"baton: {refused}")
