"""Reading on: while one page of a journal is worked on, the next is already on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter

from libs.events.entries import Entry
from libs.events.journal import is_full

Read = Callable[[int, int], Awaitable[list[Entry]]]


class Ahead:
    """Pages of at most `limit` entries, in order, one read ahead. `along`: what `read` counts by, such as "position".

    A full page that was read ahead is as good as one that is read now: nothing is ever inserted before what was read.
    A short one may be old by now and is read again, so that behind a short page there is nothing to be had.
    """

    def __init__(self, read: Read, along: str, limit: int) -> None:
        self._read, self._limit = read, limit
        self._place = attrgetter(along)
        self._next: tuple[int, asyncio.Task[list[Entry]]] | None = None

    async def page(self, after: int) -> list[Entry]:
        """The entries after this place. Behind a full page there is probably more: that is asked for at once."""
        entries = await self._asked_before(after)
        if not self.full(entries):
            entries = await self._read(after, self._limit)
        if self.full(entries):
            last: int = self._place(entries[-1])
            self._next = last, asyncio.create_task(self._ahead(last))
            self._next[1].add_done_callback(_seen)
        return entries

    def full(self, entries: list[Entry]) -> bool:
        """Whether there is probably more behind this page."""
        return is_full(entries, self._limit)

    def stop(self) -> None:
        """Ask for nothing more."""
        if self._next is not None:
            self._next[1].cancel()
            self._next = None

    async def _asked_before(self, after: int) -> list[Entry]:
        if self._next is None or self._next[0] != after:
            self.stop()
            return []
        _, task = self._next
        self._next = None
        return await task

    async def _ahead(self, after: int) -> list[Entry]:
        return await self._read(after, self._limit)


def _seen(task: asyncio.Task[list[Entry]]) -> None:
    """Whoever waits for the page is told its error; where nobody does, nobody needs it."""
    if not task.cancelled():
        task.exception()
