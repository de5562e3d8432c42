"""The database of a service: the files of sql/, applied in order, once each."""

from __future__ import annotations

import hashlib
from pathlib import Path

import asyncpg

from libs.events.errors import BatonError

FILES = Path(__file__).parent / "sql"
MIGRATE_TIMEOUT_S = 60.0
MIGRATION_LOCK = 7263540

_APPLIED = "select name, digest from journal.migrations"
_CREATE = """
create schema if not exists journal;
create table if not exists journal.migrations (
  name text primary key,
  digest text not null,
  applied_at timestamptz not null default clock_timestamp()
);
"""
_NOTE = "insert into journal.migrations (name, digest) values ($1, $2)"


async def migrate(owner_dsn: str, *, service_role: str, reader_role: str) -> tuple[str, ...]:
    r"""Bring the database up to date and return the names of the files applied now; doing it twice changes nothing.

    In the files `:"service"` and `:"reader"` stand for the role names (as psql would have it: they also run under
    `psql -v service=… -v reader=… -f`). Raises BatonError when a file changed after it was applied.
    """
    connection = await asyncpg.connect(
        owner_dsn, command_timeout=MIGRATE_TIMEOUT_S, server_settings={"application_name": "baton-migrate"}
    )
    try:
        await connection.execute("select pg_advisory_lock($1)", MIGRATION_LOCK)
        await connection.execute(_CREATE)
        applied = {row["name"]: row["digest"] for row in await connection.fetch(_APPLIED)}
        fresh = [path for path in sorted(FILES.glob("*.sql")) if not _is_applied(path, applied)]
        for path in fresh:
            await _apply(connection, path, {"service": service_role, "reader": reader_role})
        return tuple(path.name for path in fresh)
    finally:
        await connection.close()


def _is_applied(path: Path, applied: dict[str, str]) -> bool:
    """Whether this database has the file; raises when it had another text then."""
    if path.name not in applied:
        return False
    if applied[path.name] != _digest(path):
        raise BatonError(
            f"{path.name} changed after this database applied it; put it back and write a new numbered file,"
            " or, in development, start on an empty state"
        )
    return True


async def _apply(connection: asyncpg.Connection, path: Path, roles: dict[str, str]) -> None:
    statements = _text(path)
    for name, role in roles.items():
        quoted = role.replace('"', '""')
        statements = statements.replace(f':"{name}"', f'"{quoted}"')
    async with connection.transaction():
        await connection.execute(_NOTE, path.name, _digest(path))  # first: the file may change the role
        await connection.execute(statements)


def _text(path: Path) -> str:
    return path.read_text("utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
