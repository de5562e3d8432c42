"""Progress: how far views are folded, or reactions have run, and waiting until they have come far enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from libs.events.errors import NotYet
from libs.events.together import Together

POLL_S = 0.05
"""Another process of the service may be the one that works: so a poll stands behind the wake-up."""


class Progress:
    """The position that `stored` answers. `who` may not have reached one yet: "the views", say."""

    def __init__(self, who: str, stored: Callable[[], Awaitable[int]]) -> None:
        self._who, self._stored = who, stored
        self._asking = Together(self._ask)
        self._moved = asyncio.Event()
        self.known = 0
        """As far as this process itself has come."""

    async def position(self) -> int:
        """Where it stands, whoever works."""
        return await self._asking.ask(None)

    def reached(self, position: int) -> None:
        """This process has come so far."""
        if position > self.known:
            self.known = position
            self._moved.set()
            self._moved = asyncio.Event()

    async def wait(self, position: int, timeout_s: float) -> None:
        """Until this position is reached; raises NotYet after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.known < position:
                    moved = self._moved
                    if await self.position() >= position:
                        return
                    await self.moved_or_poll(moved)
        except TimeoutError:
            raise NotYet(f"{self._who} have not reached position {position} within {timeout_s} s; retry") from None

    async def moved_or_poll(self, moved: asyncio.Event | None = None) -> None:
        """Until it moves on in this process (since this event was taken), or for POLL_S."""
        try:
            async with asyncio.timeout(POLL_S):
                await (moved or self._moved).wait()
        except TimeoutError:
            return

    async def _ask(self, asked: Sequence[None]) -> list[int]:
        return [await self._stored()] * len(asked)
