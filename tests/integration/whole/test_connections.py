"""What all services may open at the most has room in PostgreSQL."""

from __future__ import annotations

from collections import Counter

import asyncpg
import pytest

from infra.local import Platform
from libs.events import journal
from libs.events.writer import GROUPS_MAX
from libs.service.database import POOL_CONNECTIONS_MAX, READERS_MAX

pytestmark = pytest.mark.platform
POOLS = POOL_CONNECTIONS_MAX + READERS_MAX + journal.READERS_MAX
LINES = GROUPS_MAX + 3
"""Of the journal: its writers, and one each to hear, to ask for the head and to be woken."""
TOOLS = 10
"""`baton rebuild`, `publish` or `recover`, and a person who looks."""
_SESSIONS = "select datname, application_name from pg_stat_activity where datname = any($1)"


async def test_all_services_a_successor_of_one_and_a_tool_fit_into_postgres(platform_told: Platform) -> None:
    services = {database.name: name for name, database in platform_told.databases.items()}
    admin = await asyncpg.connect(platform_told.postgres.admin_url)
    try:
        sessions = await admin.fetch(_SESSIONS, list(services))
        allowed = int(await admin.fetchval("show max_connections"))
        allowed -= int(await admin.fetchval("show superuser_reserved_connections"))
    finally:
        await admin.close()
    of_roles = Counter[str]()
    for where, name in sessions:
        if not name.startswith(f"baton-{services[where]}"):
            of_roles[services[where]] += 1
    assert set(of_roles) == set(services.values())
    each = [POOLS + LINES + count for count in of_roles.values()]
    assert sum(each) + max(each) + TOOLS <= allowed
    assert max(each) == 32, "docs/operating.md names how many a process opens at the most"
