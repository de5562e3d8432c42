"""Asking together: questions that come while one is under way wait for it, and then go in one round trip.

Alone, a question goes at once. Nobody's answer depends on what else was asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from libs.events.errors import Unavailable

TOGETHER_MAX = 256
Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """Answers the questions of many askers by `fetch`, which takes up to `most` and answers in their order.

    What `fetch` raises is raised to everybody whose question was among them. Where a value in one of them is to blame
    (asyncpg.DataError), they are asked one by one; where nobody answered for as long as may be (Unavailable), those who
    waited meanwhile are told as well, instead of waiting as long again.
    """

    def __init__(self, fetch: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], most: int = TOGETHER_MAX) -> None:
        self._fetch, self._most = fetch, most
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._one_by_one = 0
        self._turn = asyncio.Lock()

    async def ask(self, question: Q) -> A:
        """The answer, fetched after this was called. Raises what `fetch` raises."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        try:
            async with self._turn:
                if not answer.done():
                    await asyncio.sleep(0)  # who else asks in this turn of the loop comes along
                while not answer.done():
                    await self._answer()
            return await answer
        finally:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # it was told, should nobody have waited for it any more

    async def _answer(self) -> None:
        """Ask what waits, the oldest first. Who is cancelled while he asks leaves the others' questions to the next."""
        size = 1 if self._one_by_one else self._most
        self._one_by_one = max(0, self._one_by_one - 1)
        group: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(group) < size:
            asked = self._waiting.popleft()
            if not asked[1].done():
                group.append(asked)
        try:
            answers = await self._fetch([question for question, _ in group])
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(group))
            raise
        except Exception as error:  # noqa: BLE001 - told to everybody who asked
            if isinstance(error, asyncpg.DataError) and len(group) > 1:
                self._waiting.extendleft(reversed(group))
                self._one_by_one = len(group)
                return
            if isinstance(error, Unavailable):
                group += self._waiting
                self._waiting.clear()
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (_, answer), found in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)
