"""What a question about the past is charged with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from bench import past
from libs.events.reading import Moment, Reader

INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
FINDING_S = 0.02


class Slow:
    """A reader that takes FINDING_S to find an instant."""

    async def moment(self, instant: datetime) -> Moment:
        await asyncio.sleep(FINDING_S)
        return Moment(instant, 7, final=True)


async def test_each_question_about_the_past_finds_its_instant_anew_within_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "QUERIES", 3)
    moments: list[Moment | None] = []

    async def query(reader: Reader, value: object, at: Moment | None) -> None:
        moments.append(at)

    reader = cast(Reader, Slow())
    then = await past.asked(query, reader, ["a"], INSTANT)
    now = await past.asked(query, reader, ["a"], None)
    assert moments == [Moment(INSTANT, 7, final=True)] * 3 + [None] * 3
    assert now.p50_ms is not None
    assert then.p50_ms is not None
    assert then.p50_ms > FINDING_S * 1e3 / 2 > now.p50_ms
