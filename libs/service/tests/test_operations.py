"""What operators are shown."""

from __future__ import annotations

import base64
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from libs.events.parked import Parked, Problem, State
from libs.events.parking import PAGE_ROWS_MAX, ROWS_MAX
from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Verifier
from libs.service.issuer import create_keys, token
from libs.service.metrics import Metrics
from libs.service.operations import as_it_came, list_parked, router


def parked(value: bytes) -> Parked:
    return Parked(
        id=UUID(int=1),
        kind=Problem.UNREADABLE,
        state=State.PARKED,
        topic="baton.inbound",
        topic_id="t1",
        partition=0,
        record_offset=7,
        key="STORY1",
        reason="nobody can read it",
        value=value,
    )


def test_a_parked_record_is_shown_as_the_json_that_it_is() -> None:
    assert as_it_came(parked(b'{"reference": "STORY1"}')).data == {"reference": "STORY1"}


@pytest.mark.parametrize("value", [b"{", b'{"a": "\xff"}', b"[" * 2_000 + b"]" * 2_000])
def test_a_parked_record_that_nobody_can_read_is_shown_all_the_same(value: bytes) -> None:
    assert base64.b64decode(as_it_came(parked(value)).data_base64 or "") == value


@pytest.mark.parametrize("count", [0, 1, PAGE_ROWS_MAX - 1, PAGE_ROWS_MAX, PAGE_ROWS_MAX + 1])
@pytest.mark.parametrize("limit", [1, 7, PAGE_ROWS_MAX])
async def test_the_last_page_of_what_is_parked_says_that_it_is_the_last_also_when_it_is_full(
    count: int, limit: int
) -> None:
    async def page(*, after: int, limit: int, ended: bool, waiting: bool) -> list[Any]:
        assert limit <= ROWS_MAX
        return [SimpleNamespace(number=number) for number in range(1, count + 1) if number > after][:limit]

    parts = cast(Any, SimpleNamespace(parking=SimpleNamespace(page=page)))
    pages = [await list_parked(parts, limit=limit)]
    while pages[-1].next_cursor is not None:
        pages.append(await list_parked(parts, cursor=int(pages[-1].next_cursor), limit=limit))
    assert [row.number for page in pages for row in page.rows] == list(range(1, count + 1))
    assert len(pages) == max(ceil(count / limit), 1)


async def test_an_auditor_reads_what_was_set_aside_and_can_do_nothing_about_it(tmp_path: Path) -> None:
    async def page(**asked: Any) -> list[Any]:
        return []

    async def record(id_: UUID) -> Parked:
        return parked(b"{}")

    create_keys(tmp_path)
    app = create_app("lines", [router], verifier=Verifier(tmp_path, LOCAL_ISSUER, AUDIENCE), metrics=Metrics("lines"))
    app.state.machinery = SimpleNamespace(parking=SimpleNamespace(page=page, record=record))
    bearer = {"Authorization": f"Bearer {token(tmp_path, person='auditor-1', roles=('auditor',))}"}
    one = f"/v1/parked/{UUID(int=1)}"
    others = [("POST", f"{one}/retry"), ("POST", f"{one}/drop"), ("GET", "/v1/positions"), ("GET", "/v1/clock")]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lines", headers=bearer) as client:
        assert [(await client.get(path)).status_code for path in ("/v1/parked", one)] == [200, 200]
        assert {(await client.request(*other)).status_code for other in others} == {403}
