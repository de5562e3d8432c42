"""Asking together: questions that come while one is under way wait for it, and then go in one round trip.

Alone, a question goes at once. Nobody's answer depends on what else was asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

import asyncpg

from libs.events.errors import Unavailable

TOGETHER_MAX = 256
GO_ON_TOGETHER_MAX = 16
"""So many who were answered go on in one turn of the loop: what they do next comes together, and nobody else waits for
long meanwhile.
"""
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
        self._work: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer, fetched after this was called. Raises what `fetch` raises."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._work is None:  # it begins in the next turn of the loop: who else asks in this one comes along
            self._work = asyncio.create_task(self._answer_all(), context=Context())
        try:
            return await answer
        finally:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # it was told, should nobody have waited for it any more

    async def _answer_all(self) -> None:
        """In a task of its own, which nobody who stops waiting takes along: otherwise those who were answered together
        would go on one by one, each in a turn of the loop, and what they do next would not come together again.
        """
        try:
            while self._waiting:
                await self._answer()
        finally:
            self._work = None
            for _, answer in self._waiting:  # left only where the loop ends
                answer.cancel()

    async def _answer(self) -> None:
        """Ask what waits, the oldest first."""
        size = 1 if self._one_by_one else self._most
        self._one_by_one = max(0, self._one_by_one - 1)
        group: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(group) < size:
            asked = self._waiting.popleft()
            if not asked[1].done():
                group.append(asked)
        if not group:
            return
        try:
            answers = await self._fetch([question for question, _ in group])
            answered = list(zip(group, answers, strict=True))
        except asyncio.CancelledError:
            self._waiting.extendleft(group)
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
            for number, ((_, answer), found) in enumerate(answered, start=1):
                if not answer.done():
                    answer.set_result(found)
                if number % GO_ON_TOGETHER_MAX == 0:
                    await asyncio.sleep(0)
