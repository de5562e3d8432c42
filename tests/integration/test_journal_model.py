"""Whatever is asked, in whatever groups, the journal answers like a list to which one thing after another is added."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.databases import Database
from libs.events.entries import derived_id, new_id
from libs.events.errors import CommandReused, VersionConflict
from libs.events.journal import ANY, Append, Appended, Heard, Journal
from libs.events.line import Line
from libs.events.wake import Wake
from libs.events.writer import HALF_FACTS_MIN, Writer
from tests.integration.journal_probe import append, record

pytestmark = pytest.mark.platform


@dataclass(frozen=True)
class Ask:
    """An append in small numbers, so that they meet often: which command, stream, payload and how many facts."""

    command: int
    stream: int
    expected: int
    facts: int
    payload: int


@dataclass(frozen=True)
class Hear:
    records: tuple[tuple[int, int], ...]
    """Which record, and which of its wordings."""


ASKS = st.builds(
    Ask,
    st.integers(0, 9),
    st.integers(0, 2),
    st.integers(ANY, 8),
    st.integers(1, 5),
    st.integers(0, 9).map(lambda n: n // 9),
)
RECORDS = st.tuples(st.integers(0, 7), st.integers(0, 9).map(lambda n: n // 9))
ROUNDS = st.lists(
    st.one_of(
        st.lists(ASKS, min_size=1, max_size=12),
        st.builds(Hear, st.lists(RECORDS, min_size=1, max_size=6).map(tuple)),
    ),
    min_size=1,
    max_size=6,
)


@dataclass
class Model:
    """The journal as a list: (id, version) in order, and what every id was first answered with."""

    start: int
    entries: list[tuple[UUID, int]] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)
    first: dict[UUID, tuple[bytes, tuple[int, int]]] = field(default_factory=dict)

    def append(self, asked: Append) -> tuple[Any, ...]:
        key, standing = asked.facts[0][0], self.versions.get(asked.stream, 0)
        if key in self.first:
            digest, result = self.first[key]
            return (*result, True) if digest == asked.digest else (CommandReused,)
        if asked.expected not in (ANY, standing):
            return VersionConflict, standing
        self.entries += [(fact[0], standing + i) for i, fact in enumerate(asked.facts, 1)]
        self.versions[asked.stream] = standing + len(asked.facts)
        result = (self.start + len(self.entries), self.versions[asked.stream])
        self.first[key] = asked.digest, result
        return (*result, False)

    def hear(self, records: list[Heard]) -> list[str]:
        known = {id_: digest for id_, (digest, _) in self.first.items()}
        outcomes = []
        for said in records:
            outcome = "duplicate" if known.get(said.id) == said.digest else "altered" if said.id in known else "noted"
            known.setdefault(said.id, said.digest)
            outcomes.append(outcome)
        if "altered" not in outcomes:
            for said, outcome in zip(records, outcomes, strict=True):
                if outcome == "noted":
                    self.entries.append((said.id, said.version))
                    self.first[said.id] = said.digest, (self.start + len(self.entries), said.version)
        return outcomes


@pytest.fixture
def playing(database: Database) -> Iterator[tuple[asyncio.AbstractEventLoop, Journal]]:
    """One journal for all examples, and the loop that it lives on: Hypothesis calls plain functions."""
    loop = asyncio.new_event_loop()
    journal = loop.run_until_complete(Journal.open(database.url, service="probe"))
    yield loop, journal
    loop.run_until_complete(journal.close())
    loop.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS)
def test_the_journal_answers_like_a_list(
    playing: tuple[asyncio.AbstractEventLoop, Journal], rounds: list[list[Ask] | Hear]
) -> None:
    loop, journal = playing
    loop.run_until_complete(compare(journal, rounds))


async def compare(journal: Journal, rounds: list[list[Ask] | Hear]) -> None:
    root, model = new_id(), Model(start=await journal.position())
    for each in rounds:
        if isinstance(each, Hear):
            await hear(journal, model, root, each)
        else:
            await ask(journal, model, root, each)
    entries = await journal.read(model.start, 10_000)
    assert [(entry.id, entry.version) for entry in entries] == model.entries


async def ask(journal: Journal, model: Model, root: UUID, asks: list[Ask]) -> None:
    appends = [made(root, each) for each in asks]
    results = await asyncio.gather(*map(journal.append, appends), return_exceptions=True)
    assert [told(result) for result in results] == [model.append(each) for each in appends]


async def hear(journal: Journal, model: Model, root: UUID, batch: Hear) -> None:
    at = datetime.fromtimestamp(int.from_bytes(root.bytes[:6], "big") / 1_000, UTC)
    records = [record(f"{root}/{number}", at, data=f"{{ {wording} }}".encode()) for number, wording in batch.records]
    outcomes = await journal.hear(records)
    assert [o.outcome for o in outcomes] == model.hear(records)
    if not any(o.outcome == "altered" for o in outcomes):
        assert [o.position for o in outcomes] == [model.first[said.id][1][0] for said in records]


def made(root: UUID, ask: Ask) -> Append:
    return append(
        derived_id(root, "stream", f"{ask.stream}"),
        ask.expected,
        facts=ask.facts,
        command=derived_id(root, "command", f"{ask.command}"),
        payload=f"{ask.payload}",
    )


def told(result: Appended | BaseException) -> tuple[Any, ...]:
    match result:
        case Appended():
            return result.position, result.version, result.known
        case VersionConflict():
            return VersionConflict, result.actual
        case _:
            return (type(result),)


class Counting(Line):
    calls = 0

    async def call(self, query: str, *arguments: Any) -> Any:
        self.calls += 1
        return await super().call(query, *arguments)


async def test_a_group_full_of_conflicts_and_repeats_takes_one_call(database: Database) -> None:
    """When a group is refused as a whole it is halved until the culprit is found; what the function can tell itself
    must not take that way.
    """
    root, line = new_id(), Counting(database.url, "probe")
    writer = Writer([line], Wake(database.url, {}))
    group = [
        Ask(c, s, e, 3, p) for c, s, e, p in [(0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 3, 0), (2, 0, 3, 1)]
    ]
    waiting = [asyncio.create_task(writer.append(made(root, each))) for each in [*group, Ask(3, 0, ANY, 5, 0)]]
    await asyncio.sleep(0)  # all of them in the queue before the writer looks
    running = asyncio.create_task(writer.run())
    results = await asyncio.gather(*waiting, return_exceptions=True)
    running.cancel()
    line.drop()
    assert [told(result) for result in results] == [
        (3, 3, False),
        (3, 3, True),
        (VersionConflict, 3),
        (6, 6, False),
        (CommandReused,),
        (11, 11, False),
    ]
    assert line.calls == 1


class Late(Counting):
    """A line whose first call leaves only once `may_go` is set."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name)
        self.may_go = asyncio.Event()

    async def call(self, query: str, *arguments: Any) -> Any:
        await self.may_go.wait()
        return await super().call(query, *arguments)


class Telling(Counting):
    """A line that tells when it had an answer."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name)
        self.answered = asyncio.Event()

    async def call(self, query: str, *arguments: Any) -> Any:
        rows = await super().call(query, *arguments)
        self.answered.set()
        return rows


async def test_of_many_appends_half_goes_beside_the_other_half_and_what_came_first_is_noted_first(
    database: Database,
) -> None:
    root, late, beside = new_id(), Late(database.url, "probe"), Telling(database.url, "probe")
    writer = Writer([late, beside], Wake(database.url, {}))
    sizes: list[int] = []
    writer.on_group = sizes.append
    waiting = [
        asyncio.create_task(writer.append(made(root, Ask(number, number, 0, 1, 0))))
        for number in range(2 * HALF_FACTS_MIN + 2)
    ]
    await asyncio.sleep(0)
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(10):
        await beside.answered.wait()
        assert not any(each.done() for each in waiting), "the second half was noted before the first had left"
        late.may_go.set()
        results = await asyncio.gather(*waiting)
    assert await writer.drain()
    running.cancel()
    late.drop()
    beside.drop()
    assert sizes == [HALF_FACTS_MIN + 1, HALF_FACTS_MIN + 1]
    assert (late.calls, beside.calls) == (1, 2)
    assert [result.position for result in results] == [*range(1, len(results) + 1)]
