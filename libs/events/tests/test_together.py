"""Questions of many, asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from libs.events.errors import Unavailable
from libs.events.together import TOGETHER_MAX, Together

UNFIT = 13


class Far:
    """Doubles numbers, slowly: it answers when it is let. One number is a value that no column can hold."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.let = asyncio.Semaphore(0)
        self.broken: Exception | None = None

    async def fetch(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        await self.let.acquire()
        if self.broken is not None:
            raise self.broken
        if UNFIT in questions:
            raise asyncpg.DataError("no column holds 13")
        return [2 * question for question in questions]


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def together(far: Far) -> Together[int, int]:
    return Together(far.fetch)


async def asking(together: Together[int, int], *questions: int) -> list[asyncio.Task[int]]:
    """These, asked one after the other, as far as they get by themselves."""
    tasks = [asyncio.create_task(together.ask(question)) for question in questions]
    await settled()
    return tasks


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_asked_while_another_is_under_way_goes_in_one_with_what_came_meanwhile(
    far: Far, together: Together[int, int]
) -> None:
    first = await asking(together, 1)
    later = [*await asking(together, 2), *await asking(together, 3, 4)]
    assert far.asked == [[1]]
    far.let.release()
    await settled()
    assert far.asked == [[1], [2, 3, 4]]
    far.let.release()
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]


async def test_what_is_asked_in_the_same_turn_goes_together_and_no_more_than_may(
    far: Far, together: Together[int, int]
) -> None:
    wanted = list(range(100, 101 + TOGETHER_MAX))
    tasks = await asking(together, *wanted)
    assert far.asked == [wanted[:TOGETHER_MAX]]
    far.let.release()
    far.let.release()
    assert await asyncio.gather(*tasks) == [2 * each for each in wanted]
    assert far.asked[1:] == [wanted[TOGETHER_MAX:]]


async def test_one_who_stops_waiting_is_not_asked_for_and_takes_nobody_with_him(
    far: Far, together: Together[int, int]
) -> None:
    (asks,) = await asking(together, 1)
    gone, stays = await asking(together, 2, 3)
    asks.cancel()  # in the middle of asking, for itself
    gone.cancel()
    await settled()
    assert far.asked == [[1], [3]]
    far.let.release()
    assert await stays == 6
    assert asks.cancelled()
    assert gone.cancelled()


async def test_who_is_cancelled_while_he_asks_for_all_leaves_the_others_questions_to_the_next(
    far: Far, together: Together[int, int]
) -> None:
    asks, *others = await asking(together, 1, 2, 3)
    asks.cancel()
    await settled()
    assert far.asked == [[1, 2, 3], [2, 3]]
    far.let.release()
    assert await asyncio.gather(*others) == [4, 6]


async def test_a_value_that_cannot_be_asked_for_fails_alone(far: Far, together: Together[int, int]) -> None:
    one, unfit, other = await asking(together, 1, UNFIT, 2)
    for _ in range(4):
        far.let.release()
    assert (await one, await other) == (2, 4)
    with pytest.raises(asyncpg.DataError):
        await unfit
    assert far.asked == [[1, UNFIT, 2], [1], [UNFIT], [2]]


async def test_when_nobody_answers_all_who_asked_are_told_and_the_next_are_asked_again(
    far: Far, together: Together[int, int]
) -> None:
    far.broken = OSError("away")
    tasks = await asking(together, 1, 2)
    far.let.release()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [OSError, OSError]
    far.broken = None
    far.let.release()
    assert await together.ask(3) == 6


async def test_who_waited_while_nobody_answered_does_not_wait_as_long_again(
    far: Far, together: Together[int, int]
) -> None:
    far.broken = Unavailable("the database does not answer")
    tasks = [*await asking(together, 1), *await asking(together, 2, 3)]
    far.let.release()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [Unavailable] * 3
    assert far.asked == [[1]]
