"""Questions of many, asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import asyncpg
import pytest

from libs.events.errors import Unavailable
from libs.events.together import GO_ON_TOGETHER_MAX, TOGETHER_MAX, Together

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
    asks, other = await asking(together, 1, 2)
    gone, stays = await asking(together, 3, 4)
    asks.cancel()  # in the middle of what is asked for him and another
    gone.cancel()
    for _ in range(2):
        far.let.release()
    assert (await other, await stays) == (4, 8)
    assert far.asked == [[1, 2], [4]]
    assert asks.cancelled()
    assert gone.cancelled()


async def test_who_were_answered_together_go_on_many_in_a_turn_so_that_what_they_do_next_comes_together_too(
    far: Far,
) -> None:
    first, second = Together(far.fetch), Together(far.fetch)

    async def ask_twice(question: int) -> int:
        return await second.ask(await first.ask(question))

    tasks = [asyncio.create_task(ask_twice(number)) for number in range(100, 200)]
    await settled()
    for _ in range(2):
        far.let.release()
        await settled()
    assert [len(asked) for asked in far.asked] == [100, GO_ON_TOGETHER_MAX, 100 - GO_ON_TOGETHER_MAX]
    far.let.release()
    assert await asyncio.gather(*tasks) == [4 * number for number in range(100, 200)]


async def test_others_have_their_turns_between_those_who_go_on_together(far: Far, together: Together[int, int]) -> None:
    tasks = await asking(together, *range(100, 200))
    far.let.release()
    gone_on = list[int]()
    while len(gone_on) < 3 or gone_on[-1] < len(tasks):
        await asyncio.sleep(0)
        gone_on.append(sum(task.done() for task in tasks))
    steps = [after - before for before, after in pairwise([0, *gone_on])]
    assert max(steps) <= GO_ON_TOGETHER_MAX


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


async def test_when_all_who_asked_are_gone_nothing_is_asked(far: Far, together: Together[int, int]) -> None:
    gone = asyncio.create_task(together.ask(1))
    await asyncio.sleep(0)
    gone.cancel()
    await settled()
    assert far.asked == []
    far.let.release()
    assert await together.ask(2) == 4


async def test_who_gets_no_answer_among_those_that_came_is_told_so_and_does_not_wait_for_ever() -> None:
    async def fetch(questions: Sequence[int]) -> list[int]:
        return [0]

    together = Together(fetch)
    told = await asyncio.gather(together.ask(1), together.ask(2), return_exceptions=True)
    assert [type(each) for each in told] == [ValueError, ValueError]
