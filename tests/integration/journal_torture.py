"""One process of clients that append, repeat, conflict, hear and give up as fast as they can. It logs what it is told.

    python -m tests.integration.journal_torture URL PROCESS SEED SECONDS LOG

A line is written after the answer came, so a line says what must be in the journal whatever happens afterwards:
["appended", command, stream, facts, position, version, noted_at], ["heard", id, position],
["refused", command] (must not be there), ["offset", process, next_offset].
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from libs.events.entries import new_id
from libs.events.errors import CommandReused, Unavailable, VersionConflict
from libs.events.journal import ANY, Append, Appended, Journal, Offset
from tests.integration.journal_probe import append, record, stream

CLIENTS = 16
HOT_STREAMS = 5
TRIES_MAX = 6
REMEMBERED_MAX = 2_000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Process:
    """What the clients of one process share. `hot`: the version at which each believes the hot streams to be."""

    journal: Journal
    number: int
    random: random.Random
    log: TextIO
    told: Counter[str] = field(default_factory=Counter)
    accepted: list[tuple[Append, Appended]] = field(default_factory=list)
    heard: list[UUID] = field(default_factory=list)
    hot: dict[int, int] = field(default_factory=dict)
    next_offset: int = 0
    listening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, *line: Any) -> None:
        self.log.write(json.dumps(line, default=str) + "\n")
        self.told[line[0]] += 1

    def accept(self, asked: Append, result: Appended) -> None:
        place = (result.position, result.version, result.noted_at)
        self.note("appended", asked.command_id, asked.stream, len(asked.facts), *place)
        self.accepted.append((asked, result))
        del self.accepted[:-REMEMBERED_MAX]


async def contend(process: Process) -> None:
    """Append to a stream that everybody wants, again from the version that stands; at times twice at once."""
    number, command, facts = process.random.randrange(HOT_STREAMS), new_id(), process.random.randint(1, 5)
    cause = process.random.choice(process.heard) if process.heard else None
    for _ in range(TRIES_MAX):
        expected = ANY if process.random.random() < 0.1 else process.hot.get(number, 0)
        asked = append(stream(f"hot-{number}"), expected, facts=facts, command=command, cause=cause)
        copies = 2 if process.random.random() < 0.1 else 1
        results = await asyncio.gather(*(process.journal.append(asked) for _ in range(copies)), return_exceptions=True)
        accepted = [r for r in results if isinstance(r, Appended)]
        if accepted:
            assert len({(r.position, r.version, r.noted_at) for r in accepted}) == 1, results
            process.hot[number] = accepted[0].version
            process.accept(asked, accepted[0])
            return
        for error in results:
            if isinstance(error, VersionConflict):
                process.hot[number] = error.actual
            elif isinstance(error, BaseException):
                raise error
    process.note("refused", command)


async def begin(process: Process) -> None:
    """Append to a stream of one's own."""
    asked = append(facts=process.random.randint(1, 5))
    process.accept(asked, await process.journal.append(asked))


async def repeat(process: Process) -> None:
    """Send an accepted command again, with another version and another number of facts, or with another payload."""
    if not process.accepted:
        return
    first, result = process.random.choice(process.accepted)
    expected, facts = process.random.randint(0, 3), process.random.randint(1, 5)
    again = append(first.stream, expected, facts=facts, command=first.command_id)
    repeated = await process.journal.append(again)
    assert repeated.known, (first, repeated)
    assert (repeated.position, repeated.version, repeated.noted_at) == (
        result.position,
        result.version,
        result.noted_at,
    ), (first, result, repeated)
    process.told["repeated"] += 1
    try:
        await process.journal.append(append(first.stream, expected, command=first.command_id, payload="other"))
    except CommandReused:
        process.told["reused"] += 1
    else:
        raise AssertionError(f"another payload was accepted for {first.command_id}")


async def collide(process: Process) -> None:
    """An append whose second fact has an id that is taken: refused by the database, alone."""
    if not process.accepted:
        return
    taken, _ = process.random.choice(process.accepted)
    asked = append(facts=3, ids=[taken.facts[0][0], new_id()])
    try:
        await process.journal.append(asked)
    except asyncpg.UniqueViolationError:
        process.note("refused", asked.command_id)
    else:
        raise AssertionError(f"{asked} was accepted with a fact that is there already")


async def give_up(process: Process) -> None:
    """A caller that is cancelled while its append is on the way."""
    task = asyncio.create_task(process.journal.append(append(facts=process.random.randint(1, 5))))
    await asyncio.sleep(process.random.random() * 0.003)
    task.cancel()
    await asyncio.wait([task])
    process.told["gave up"] += 1


async def listen(process: Process) -> None:
    """Hear a batch that the other process hears as well, at times with a record that was altered."""
    async with process.listening:
        around = int((datetime.now(UTC) - EPOCH).total_seconds() * 300)
        numbers = {around + process.random.randint(-20, 20) for _ in range(process.random.randint(1, 20))}
        batch = [record(f"{n}", EPOCH + timedelta(seconds=n / 300 + 0.03)) for n in numbers]
        if process.heard and process.random.random() < 0.1:
            await alter(process)
        next_offset = process.next_offset + len(batch)
        offset = Offset(f"bells-{process.number}", "t", 0, next_offset, epoch=1, sequence=next_offset)
        outcomes = await process.journal.hear(batch, [offset])
        process.next_offset = next_offset
        process.note("offset", process.number, next_offset)
        for said, outcome in zip(batch, outcomes, strict=True):
            assert outcome.outcome != "altered", (said, outcome)
            process.note("heard", said.id, outcome.position)
            process.heard.append(said.id)
        del process.heard[:-REMEMBERED_MAX]


async def alter(process: Process) -> None:
    """A batch with an altered record: nothing of it is written."""
    fresh = record(f"{new_id()}", datetime.now(UTC))
    known = msgspec.structs.replace(fresh, id=process.random.choice(process.heard))
    lost = Offset(f"bells-{process.number}", "t", 0, process.next_offset + 1_000_000, epoch=1, sequence=0)
    outcomes = await process.journal.hear([fresh, known], [lost])
    assert [o.outcome for o in outcomes] == ["noted", "altered"], outcomes
    process.note("refused", fresh.command_id)


Act = Callable[[Process], Coroutine[None, None, None]]
ACTS: dict[Act, int] = {contend: 40, begin: 20, repeat: 10, collide: 2, give_up: 5, listen: 20}


async def client(process: Process, until: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        (act,) = process.random.choices(list(ACTS), list(ACTS.values()))
        try:
            await act(process)
        except Unavailable:
            process.told["unavailable"] += 1


async def main(url: str, number: int, seed: int, seconds: float, log: Path) -> None:
    with log.open("a", buffering=1) as lines:
        journal = await Journal.open(url, service="probe")
        process = Process(journal, number, random.Random(seed), lines)
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(client(process, until))
        await journal.close()
    print(f"process {number} seed {seed}: {dict(process.told)}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5])))
