"""Reading on: while one page of a journal is worked on, the next is read already and made ready for that work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Generic, TypeVar

from libs.events.entries import Entry
from libs.events.journal import is_full

T = TypeVar("T")
Read = Callable[[int, int], Awaitable[list[Entry]]]


class Ahead(Generic[T]):
    """Pages of at most `limit` entries, in order, one read ahead. `along`: what `read` counts by, such as "position";
    `make`: what the pages are given out as.

    A full page that was read ahead is as good as one that is read now: nothing is ever inserted before what was read.
    A short one may be old by now and is read again, so that behind a short page there is nothing to be had.
    """

    def __init__(self, read: Read, make: Callable[[list[Entry]], T], along: str, limit: int) -> None:
        self._read, self._make, self._limit = read, make, limit
        self._place = attrgetter(along)
        self._next: tuple[int, asyncio.Task[tuple[list[Entry], T]]] | None = None
        self.full = False
        """Whether there is probably more behind the page that was given out last."""

    async def page(self, after: int) -> T:
        """What stands after this place. Behind a full page there is probably more: that is asked for at once."""
        found = await self._asked_before(after)
        if found is None or not is_full(found[0], self._limit):
            found = await self._page(after)
        entries, made = found
        self.full = is_full(entries, self._limit)
        if self.full:
            last: int = self._place(entries[-1])
            self._next = last, asyncio.create_task(self._page(last))
            self._next[1].add_done_callback(_seen)
            await asyncio.sleep(0)  # else it would be asked for only when the caller waits for something
        return made

    def stop(self) -> None:
        """Ask for nothing more."""
        if self._next is not None:
            self._next[1].cancel()
            self._next = None

    async def _asked_before(self, after: int) -> tuple[list[Entry], T] | None:
        if self._next is None or self._next[0] != after:
            self.stop()
            return None
        _, task = self._next
        self._next = None
        return await task

    async def _page(self, after: int) -> tuple[list[Entry], T]:
        entries = await self._read(after, self._limit)
        return entries, self._make(entries)


def _seen(task: asyncio.Task[object]) -> None:
    """Whoever waits for the page is told its error; where nobody does, nobody needs it."""
    if not task.cancelled():
        task.exception()
