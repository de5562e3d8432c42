"""Migrations on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from infra.local.databases import Database
from libs.events import schema
from libs.events.errors import BatonError

pytestmark = pytest.mark.platform


async def migrate(database: Database) -> tuple[str, ...]:
    return await schema.migrate(
        database.owner_url, service_role=database.service_role, reader_role=database.reader_role
    )


async def applied(database: Database) -> list[str]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        return [row["name"] for row in await connection.fetch("select name from journal.migrations order by name")]
    finally:
        await connection.close()


async def test_every_file_is_applied_once_however_often_it_is_asked_for(database: Database) -> None:
    assert await applied(database) == sorted(path.name for path in schema.FILES.glob("*.sql"))
    assert list(await asyncio.gather(migrate(database), migrate(database))) == [(), ()]


async def test_two_migrations_at_once_apply_a_new_file_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shutil.copytree(schema.FILES, tmp_path / "sql")
    (files / "0999_bell.sql").write_text(
        'create table journal.bell (n int); grant select on journal.bell to :"reader";'
    )
    monkeypatch.setattr(schema, "FILES", files)
    assert sorted(await asyncio.gather(migrate(database), migrate(database))) == [(), ("0999_bell.sql",)]
    connection = await asyncpg.connect(database.reader_url)
    assert await connection.fetch("select n from journal.bell") == []
    await connection.close()


async def test_a_file_that_fails_leaves_nothing_behind(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shutil.copytree(schema.FILES, tmp_path / "sql")
    (files / "0999_bell.sql").write_text("create table journal.bell (n int); select 1 / 0;")
    monkeypatch.setattr(schema, "FILES", files)
    before = await applied(database)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database)
    assert await applied(database) == before


async def test_a_file_that_changed_after_it_was_applied_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shutil.copytree(schema.FILES, tmp_path / "sql")
    with (files / "0002_clock.sql").open("a") as file:
        file.write("-- one more word\n")
    monkeypatch.setattr(schema, "FILES", files)
    with pytest.raises(BatonError, match=r"0002_clock\.sql changed"):
        await migrate(database)
