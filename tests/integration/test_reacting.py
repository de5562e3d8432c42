"""Reactions on a real database: once each, in order per subject, and what cannot be done is parked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from infra.local.databases import Database
from libs.events.deciding import Command
from libs.events.entries import Entry, derived_id, new_id
from libs.events.reactions import Reaction
from libs.events.reactor import CHECKPOINT_EVERY, SUBJECTS_AT_ONCE_MAX
from libs.events.tests.errands import SERVICE, ErrandPassedOn, FinishErrand, GiveErrand
from libs.events.views import Look
from libs.service.logging import JsonLines
from tests.integration.errands_service import DEADLINE_S, errands, passed_on

pytestmark = pytest.mark.platform
MANY = 640


async def test_a_new_reaction_misses_nothing_while_the_process_before_goes_on_without_it(database: Database) -> None:
    async with errands(database, replace(SERVICE, reactions=())) as before, errands(database) as after:
        for service in (before, after):  # `after` was prepared before this, and leads only afterwards
            errand = new_id()
            await service.ask(GiveErrand(errand=errand, to="ann"))
            await service.ask(FinishErrand(errand=errand))
            await service.settle()
        start = await after.pool.fetchval("select start_position from views.reaction where name = 'thank'")
        entries = await after.journal.read(0, 100)
        done = [entry.id for entry in entries if entry.type == "errands.ErrandDone" and entry.position > start]
        assert [entry.causation_id for entry in entries if entry.type == "errands.ThanksSaid"] == done
        assert len(done) == 1


async def test_a_reaction_acts_once_however_often_it_runs(database: Database) -> None:
    async with errands(database) as service:
        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.ask(FinishErrand(errand=errand))
        await service.settle()
        done = next(entry for entry in await service.journal.read(0, 100) if entry.type == "errands.ErrandDone")
        await service.pool.execute("update views.checkpoint set position = 0 where name = 'reactions'")
        await service.settle()
        await service.reactor.retry("thank", done.position)
        thanks = [entry for entry in await service.journal.read(0, 100) if entry.type == "errands.ThanksSaid"]
        assert len(thanks) == 1
        assert thanks[0].causation_id == done.id
        assert thanks[0].actor == "errands/thank"
        assert thanks[0].occurred_at == done.occurred_at
        assert thanks[0].basis == done.position


async def test_a_reaction_that_is_refused_is_parked_and_others_go_on(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(JsonLines("errands"))
    asked_under = NonRecordingSpan(SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(1)))
    async with errands(database) as service:
        nobody, ann = new_id(), new_id()
        await service.ask(GiveErrand(errand=nobody, to="nobody"))
        await service.ask(GiveErrand(errand=ann, to="ann"))
        with trace.use_span(asked_under):
            await service.ask(FinishErrand(errand=nobody))
        await service.ask(FinishErrand(errand=ann))
        await service.settle()
        ((name, entry, reason),) = service.parked.found
        assert (name, entry.subject) == ("thank", nobody)
        assert "somebody-to-thank" in reason
        entries = await service.journal.read(0, 100)
        assert [entry.subject for entry in entries if entry.type == "errands.ThanksSaid"] == [ann]
    (told,) = [line for line in map(json.loads, caplog.text.splitlines()) if line["logger"] == "libs.events.reactor"]
    assert told["level"] == "WARNING", "a rule that says no is no fault of the program"
    assert "somebody-to-thank" in told["message"]
    assert "exception" not in told
    assert (told["trace_id"], told["parked"]) == (f"{7:032x}", str(entry.id))


async def test_a_reaction_with_a_bug_is_parked_and_its_stack_is_logged(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with errands(database) as service:
        (thank,) = [reaction for reaction in SERVICE.reactions if reaction.name == "thank"]

        async def broken(*_: object, **__: object) -> None:
            raise KeyError("colour")

        errand = new_id()
        await service.ask(GiveErrand(errand=errand, to="ann"))
        await service.ask(FinishErrand(errand=errand))
        monkeypatch.setattr(service.reactor, "_react", broken)
        await service.settle()
        assert {name for name, _, _ in service.parked.found} == {thank.name}
    told = [record for record in caplog.records if record.name == "libs.events.reactor"]
    assert [(record.levelname, record.exc_info is not None) for record in told] == [("ERROR", True)]


class Noting:
    """A reaction to errands passed on, which gives one more errand each, and raises at some subject's once."""

    def __init__(self, fails_at: UUID | None = None) -> None:
        self.reacted, self._fails_at = list[Entry](), fails_at
        self.service = replace(SERVICE, reactions=(Reaction("note", (ErrandPassedOn,), self.note),))

    def note(self, fact: ErrandPassedOn, entry: Entry, look: Look) -> list[Command]:
        if entry.subject == self._fails_at:
            self._fails_at = None
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        self.reacted.append(entry)
        return [GiveErrand(errand=derived_id(entry.id, "more"), to="cy")]


async def test_who_is_far_behind_takes_many_entries_at_once_and_of_each_subject_the_oldest_first(
    database: Database,
) -> None:
    noting = Noting()
    async with errands(database, noting.service) as service:
        await service.reactor.register()
        short, long = [new_id() for _ in range(2 * SUBJECTS_AT_ONCE_MAX)], new_id()
        for errand in short:
            await passed_on(service, long, MANY // len(short))
            await passed_on(service, errand, 1)
        noted = await service.journal.read(0, 2 * MANY)
        while await service.projector.step():
            pass
        async with asyncio.timeout(DEADLINE_S):
            assert await service.reactor.step()
        assert await service.reactor.position() == noted[-1].position
        assert sorted(entry.position for entry in noting.reacted) == [entry.position for entry in noted]
        of_long = [entry.position for entry in noting.reacted if entry.subject == long]
        assert of_long == sorted(of_long)
        assert noting.reacted[-1].subject == long, "others went on beside it"


async def test_no_subject_goes_on_while_older_entries_of_others_wait(database: Database) -> None:
    noting = Noting()
    async with errands(database, noting.service) as service:
        await service.reactor.register()
        several = [new_id() for _ in range(SUBJECTS_AT_ONCE_MAX + 8)]
        for errand in (*several, *several):
            await passed_on(service, errand, 1)
        while await service.projector.step():
            pass
        await service.reactor.step()
        assert {entry.subject for entry in noting.reacted[: len(several)]} == set(several)


async def test_an_outage_within_a_batch_costs_what_came_after_the_last_checkpoint_and_no_more(
    database: Database,
) -> None:
    noting = Noting(fails_at=(last := new_id()))
    async with errands(database, noting.service) as service:
        await service.reactor.register()
        for _ in range(MANY):
            await passed_on(service, new_id(), 1)
        await passed_on(service, last, 1)
        while await service.projector.step():
            pass
        with pytest.raises(ExceptionGroup):
            await service.reactor.step()
        assert await service.reactor.position() >= MANY - CHECKPOINT_EVERY - SUBJECTS_AT_ONCE_MAX
        await service.settle()
        assert {entry.subject for entry in noting.reacted} >= {last}
        twice = len(noting.reacted) - len({entry.id for entry in noting.reacted})
        assert twice <= CHECKPOINT_EVERY + SUBJECTS_AT_ONCE_MAX
        given = [
            entry for entry in await service.journal.read(MANY + 1, 2 * MANY) if entry.type == "errands.ErrandGiven"
        ]
        assert len(given) == MANY + 1
