"""Reading one page ahead."""

from __future__ import annotations

import asyncio

import pytest

from libs.events import journal
from libs.events.ahead import Ahead
from libs.events.entries import Entry
from libs.events.tests.test_wire import entry

LIMIT = 3


class Growing:
    """A journal that grows, and counts how often it is read."""

    def __init__(self, count: int) -> None:
        self.count, self.reads = count, list[int]()

    async def read(self, after: int, limit: int) -> list[Entry]:
        self.reads.append(after)
        return [entry(position=place, sequence=place) for place in range(after + 1, self.count + 1)][:limit]


async def all_of(pages: Ahead[list[Entry]]) -> list[int]:
    found: list[int] = []
    while page := await pages.page(found[-1] if found else 0):
        found += [one.position for one in page]
    return found


async def test_pages_follow_one_another_without_gap_or_repeat() -> None:
    for count in range(3 * LIMIT + 1):
        assert await all_of(Ahead(Growing(count).read, list, "position", LIMIT)) == list(range(1, count + 1))


async def test_behind_a_full_page_the_next_is_on_its_way_before_it_is_asked_for() -> None:
    journal = Growing(2 * LIMIT)
    pages = Ahead(journal.read, list, "position", LIMIT)
    await pages.page(0)
    assert journal.reads == [0, LIMIT], "it is asked only when whoever works on the first page waits for something"
    await pages.page(LIMIT)
    assert journal.reads[:2] == [0, LIMIT], "what was read ahead was read again"


async def test_a_short_page_is_the_newest_though_one_was_read_ahead() -> None:
    journal = Growing(LIMIT + 1)
    pages = Ahead(journal.read, list, "position", LIMIT)
    await pages.page(0)
    await asyncio.sleep(0)
    journal.count += 1
    assert [one.position for one in await pages.page(LIMIT)] == [LIMIT + 1, LIMIT + 2]


@pytest.mark.parametrize(("size", "more"), [(40, True), (39, False)])
async def test_a_page_that_was_cut_for_its_bytes_is_a_full_one(
    size: int, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE_BYTES_MAX", 100)

    async def read(after: int, limit: int) -> list[Entry]:
        return [entry(data=b"x" * 60), entry(data=b"x" * size)]

    pages = Ahead(read, list, "position", LIMIT)
    await pages.page(0)
    assert pages.full is more
    pages.stop()


async def test_what_is_made_of_a_page_is_made_before_it_is_asked_for() -> None:
    journal, made = Growing(2 * LIMIT), list[int]()

    def make(entries: list[Entry]) -> int:
        made.append(entries[0].position)
        return len(made)

    pages = Ahead(journal.read, make, "position", LIMIT)
    assert await pages.page(0) == 1
    assert made == [1, LIMIT + 1]
    assert await pages.page(LIMIT) == 2
    pages.stop()


async def test_whoever_goes_on_elsewhere_gets_what_stands_there() -> None:
    journal = Growing(3 * LIMIT)
    pages = Ahead(journal.read, list, "position", LIMIT)
    await pages.page(0)
    assert [one.position for one in await pages.page(1)] == [2, 3, 4]
    pages.stop()


async def test_an_error_of_what_was_read_ahead_is_told_to_who_asks_for_it() -> None:
    journal = Growing(2 * LIMIT)

    async def read(after: int, limit: int) -> list[Entry]:
        if after:
            raise OSError("the database went away")
        return await journal.read(after, limit)

    pages = Ahead(read, list, "position", LIMIT)
    await pages.page(0)
    with pytest.raises(OSError, match="went away"):
        await pages.page(LIMIT)
