"""One database per service with three roles: who owns the journal, who runs the machinery, who only asks.

| role              | may                                                                       |
| `<service>_owner` | log in; owns the database and the journal's schema (migrations only)      |
| `<service>`       | log in; owns the views; calls the journal's functions                     |
| `<service>_reader`| log in; reads views under row-level security                              |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from infra.local.errors import PlatformError
from infra.local.postgres import url
from libs.events.schema import migrate

ROLES = ("owner", "service", "reader")
LOCK_TIMEOUT = "5s"
IDLE_IN_TRANSACTION_TIMEOUT = "2s"
CREATE_SECONDS_MAX = 30.0
NAME_LENGTH_MAX = 40


@dataclass(frozen=True)
class Database:
    """The addresses of one service's database, passwords included."""

    name: str
    owner_url: str
    url: str
    reader_url: str
    service_role: str
    reader_role: str


def role_name(service: str, role: str) -> str:
    return service if role == "service" else f"{service}_{role}"


def described(service: str, passwords: Mapping[str, str], address: str) -> Database:
    """`address`: host and port of the server, `127.0.0.1:17401`."""
    name = f"baton_{service}"
    addresses = {role: url(role_name(service, role), passwords[role], name, address) for role in ROLES}
    return Database(
        name, addresses["owner"], addresses["service"], addresses["reader"], service, role_name(service, "reader")
    )


async def create_database(
    admin: asyncpg.Connection[asyncpg.Record], service: str, passwords: Mapping[str, str]
) -> None:
    """Creates roles and database where they are missing, and sets the passwords; may be repeated."""
    if not service.replace("_", "").isalnum() or not service.islower() or len(service) > NAME_LENGTH_MAX:
        raise PlatformError(
            f"service name {service!r} cannot name a database: lower-case letters, digits and _,"
            f" at most {NAME_LENGTH_MAX} characters"
        )
    owner, user, reader = (role_name(service, role) for role in ROLES)
    present = {row[0] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    for role in ROLES:
        name = role_name(service, role)
        verb = "ALTER" if name in present else "CREATE"
        password = await admin.fetchval("SELECT quote_literal($1::text)", passwords[role])
        await admin.execute(f'{verb} ROLE "{name}" LOGIN PASSWORD {password}')
    # The owner creates the views' schema for the service, so it must be able to act as the service.
    await admin.execute(f'GRANT "{user}" TO "{owner}"')
    for name in (user, reader):
        await admin.execute(f"ALTER ROLE \"{name}\" SET lock_timeout = '{LOCK_TIMEOUT}'")
        await admin.execute(
            f"ALTER ROLE \"{name}\" SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_TIMEOUT}'"
        )
    database = f"baton_{service}"
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await admin.execute(f'CREATE DATABASE "{database}" OWNER "{owner}"')
    await admin.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    await admin.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{owner}", "{user}", "{reader}"')


async def prepare(admin_url: str, passwords: Mapping[str, Mapping[str, str]]) -> dict[str, Database]:
    """A database with roles and schema for each service of `passwords` (per role of ROLES); may be repeated."""
    admin = await asyncpg.connect(admin_url, command_timeout=CREATE_SECONDS_MAX)
    try:
        for service, secrets in passwords.items():
            await create_database(admin, service, secrets)
    finally:
        await admin.close()
    address = urlsplit(admin_url).netloc.rpartition("@")[2]
    databases = {service: described(service, secrets, address) for service, secrets in passwords.items()}
    for database in databases.values():
        await migrate(database.owner_url, service_role=database.service_role, reader_role=database.reader_role)
    return databases


async def drop_database(admin_url: str, service: str) -> None:
    """Removes a database and its roles (tests)."""
    admin = await asyncpg.connect(admin_url, command_timeout=CREATE_SECONDS_MAX)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "baton_{service}" WITH (FORCE)')
        for role in reversed(ROLES):
            await admin.execute(f'DROP ROLE IF EXISTS "{role_name(service, role)}"')
    finally:
        await admin.close()
