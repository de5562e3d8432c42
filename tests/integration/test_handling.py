"""Commands on one stream: in a process they queue up, and who is beaten from outside tries again, a bounded time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import msgspec
import pytest

from infra.local.databases import Database
from libs.events.entries import derived_id, new_id
from libs.events.errors import VersionConflict
from libs.events.handling import ATTEMPTS_MAX
from libs.events.journal import ANY, LOADED_ENTRIES_MAX, Append, Appended, Loaded
from libs.events.tests.errands import CONTRACT, ErrandPassedOn, FinishErrand, GiveErrand, PassOn
from tests.integration.errands_service import Errands, errands, passed_on

pytestmark = pytest.mark.platform
AT_ONCE = 20


class Rival:
    """Another process that is faster: before the first `times` appends of ours it appends to the same stream."""

    def __init__(self, service: Errands, times: int) -> None:
        self.tries, self._times = 0, times
        self._append = service.journal.append

    async def append(self, append: Append) -> Appended:
        self.tries += 1
        if self.tries <= self._times:
            command = new_id()
            fact = (derived_id(command, "0"), *CONTRACT.encode(ErrandPassedOn("rival")))
            await self._append(replace(append, command_id=command, facts=(fact,), expected=ANY))
        return await self._append(append)


async def given(service: Errands) -> UUID:
    errand = new_id()
    await service.ask(GiveErrand(errand=errand, to="ann"))
    return errand


async def test_commands_on_one_stream_queue_up_in_a_process_and_none_is_tried_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service, service.working():
        errand, counting = await given(service), Rival(service, times=0)
        monkeypatch.setattr(service.journal, "append", counting.append)
        asks = [service.ask(PassOn(errand=errand, to=f"person-{number}")) for number in range(AT_ONCE)]
        answers = await asyncio.gather(*asks)
        assert sorted(answer.version for answer in answers) == list(range(2, AT_ONCE + 2))
        assert counting.tries == AT_ONCE


async def test_who_is_beaten_loads_again_and_decides_on_what_stands_by_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service:
        errand, rival = await given(service), Rival(service, times=ATTEMPTS_MAX - 1)
        monkeypatch.setattr(service.journal, "append", rival.append)
        answer = await service.ask(FinishErrand(errand=errand))
        assert (answer.facts, answer.version) == (("errands.ErrandDone",), ATTEMPTS_MAX + 1)


async def test_who_is_always_beaten_is_told_of_the_conflict_in_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service:
        errand, rival = await given(service), Rival(service, times=1_000)
        monkeypatch.setattr(service.journal, "append", rival.append)
        with pytest.raises(VersionConflict):
            await service.ask(FinishErrand(errand=errand))
        assert rival.tries == ATTEMPTS_MAX


async def test_of_a_long_stream_only_what_is_new_is_loaded_and_it_has_no_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service, service.working():
        errand, loads, load = await given(service), list[tuple[int, int]](), service.journal.load
        await passed_on(service, errand, 2 * LOADED_ENTRIES_MAX)

        async def counted(stream: UUID, command_id: UUID, after_version: int = 0) -> Loaded:
            found = await load(stream, command_id, after_version)
            loads.append((after_version, len(found.entries)))
            return found

        monkeypatch.setattr(service.journal, "load", counted)
        first, again = new_id(), PassOn(errand=errand, to="bob")
        assert (await service.ask(again, command_id=first)).version == 202
        assert loads == [(0, 100), (100, 100), (200, 1)]
        await passed_on(service, errand, 3)
        answer = await service.ask(PassOn(errand=errand, to="eve"))
        assert (answer.version, loads[3:]) == (206, [(201, 4)])
        answer = await service.ask(again, command_id=first)
        assert (answer.known, answer.version, loads[4:]) == (True, 202, [(205, 1)])
        with pytest.raises(VersionConflict):
            await service.ask(PassOn(errand=errand, to="bob"), expected=205)
        assert (await service.ask(PassOn(errand=errand, to="bob"))).version == 207
        assert loads[5:] == [(205, 1), (206, 0)], "a conflict that says nothing against it made it forget the stream"


async def test_what_is_kept_of_a_long_stream_is_forgotten_when_the_journal_does_not_have_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with errands(database) as service, service.working():
        errand, load = await given(service), service.journal.load
        await passed_on(service, errand, LOADED_ENTRIES_MAX)
        lost = iter([LOADED_ENTRIES_MAX + 50])

        async def loaded(stream: UUID, command_id: UUID, after_version: int = 0) -> Loaded:
            found = await load(stream, command_id, after_version)
            if after_version and (version := next(lost, None)):
                return found._replace(entries=[msgspec.structs.replace(found.entries[-1], version=version)])
            return found

        monkeypatch.setattr(service.journal, "load", loaded)
        assert (await service.ask(PassOn(errand=errand, to="bob"))).version == LOADED_ENTRIES_MAX + 2
