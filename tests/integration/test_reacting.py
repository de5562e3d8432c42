"""Reactions on a real database: once each, in order per subject, and what cannot be done is parked."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from infra.local.databases import Database
from libs.events.deciding import Command
from libs.events.entries import Entry, new_id
from libs.events.reactions import Reaction
from libs.events.reactor import SUBJECTS_AT_ONCE_MAX
from libs.events.tests.errands import SERVICE, ErrandPassedOn, FinishErrand, GiveErrand
from libs.events.views import Look
from libs.service.logging import JsonLines
from tests.integration.errands_service import errands, passed_on

pytestmark = pytest.mark.platform
LONG = 600


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


async def test_who_is_far_behind_takes_many_entries_at_once_and_begins_with_the_longest_chain(
    database: Database,
) -> None:
    reacted = list[UUID]()

    def note(fact: ErrandPassedOn, entry: Entry, look: Look) -> list[Command]:
        reacted.append(entry.subject)
        return []

    async with errands(database, replace(SERVICE, reactions=(Reaction("note", (ErrandPassedOn,), note),))) as service:
        await service.reactor.register()
        short, long = [new_id() for _ in range(2 * SUBJECTS_AT_ONCE_MAX)], new_id()
        for errand in short:
            await passed_on(service, errand, 1)
        await passed_on(service, long, LONG)
        while await service.projector.step():
            pass
        assert await service.reactor.step()
        assert await service.reactor.position() == await service.journal.position()
        assert reacted[0] == long, "left for the end it goes on alone, one entry after the other"
        assert sorted(reacted) == sorted([*short, *[long] * LONG])
