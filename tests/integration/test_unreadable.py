"""Entries that no contract can read: one that was heard is passed over and said so, an own one stops everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.local.databases import Database
from libs.events import rebuilding
from libs.events.contract import Contract, Kind
from libs.events.entries import Entry, Fact, new_id
from libs.events.errors import Undecodable
from libs.events.reactions import Reaction
from libs.events.tests.errands import RINGS, SERVICE, BellRung, ErrandGiven, GiveErrand, Rings
from libs.events.views import Look, on
from tests.integration.errands_service import errands, now
from tests.integration.journal_probe import append, record

pytestmark = pytest.mark.platform
RUNG, BROKEN = b'{"to": "ann"}', b'{"to": 7}'


def answer_the_bell(fact: BellRung, entry: Entry, look: Look) -> list[GiveErrand]:
    return [GiveErrand(errand=entry.id, to=fact.to)]


def _rung(row: Rings | None, fact: Any, entry: Entry) -> Rings:
    return Rings(str(fact.to), 1 + (row.count if row else 0))


LISTENING = replace(SERVICE, reactions=(Reaction("answer", (BellRung,), answer_the_bell),))


async def test_a_heard_entry_that_cannot_be_read_is_in_no_view_and_harms_no_other(database: Database) -> None:
    async with errands(database, LISTENING) as service:
        bells = (record("one", now(), data=RUNG), record("two", now(), data=BROKEN), record("three", now(), data=RUNG))
        for bell in bells:
            await service.journal.hear([bell])
        await service.settle()
        row = await service.reader.row(RINGS, "ann", tenant="main")
        assert row is not None
        assert row.count == 2
        ((name, entry, reason),) = service.parked.found
        assert (name, entry.position) == ("answer", 2), "its reaction waits for a contract that can read it"
        assert "BellRung" in reason
        ((what, why),) = service.projector.unreadable.items()
        assert "position 2" in why
        assert str(entry.id) in why
        assert "baton rebuild" in why
        checked = await rebuilding.check(LISTENING, RINGS, service.journal, service.pool)
        assert (checked.differing, checked.unreadable, checked.behind) == ((), 1, 0)
    async with errands(database, LISTENING) as again:
        assert list(again.projector.unreadable) == [what], "another process says so, too"


async def test_it_is_said_until_a_rebuild_can_read_it(database: Database) -> None:
    class BellAnnounced(Fact, frozen=True):
        to: str | int

    async with errands(database) as service:
        await service.journal.hear([record("one", now(), data=BROKEN)])
        await service.settle()
        for view in SERVICE.views:
            await rebuilding.replace(SERVICE, view, service.journal, service.pool)
        await service.projector.step()
        assert service.projector.unreadable, "the same contracts read no more than before"
        rings = replace(RINGS, folds=(on(BellAnnounced, _rung, lambda fact, entry: (str(fact.to),)),))
        others = tuple(view for view in SERVICE.views if view is not RINGS)
        newer = replace(
            SERVICE, hears=(Contract("bells", (Kind("BellRung", 1, BellAnnounced),)),), views=(*others, rings)
        )
        for view in newer.views:
            await rebuilding.replace(newer, view, service.journal, service.pool)
        await service.projector.step()
        assert service.projector.unreadable == {}
        row = await service.reader.row(RINGS, "7", tenant="main")
        assert row is not None
        assert row.count == 1


async def test_a_view_that_is_behind_its_journal_is_said_to_be(database: Database) -> None:
    async with errands(database) as service:
        await service.settle()
        for name in ("one", "two"):
            await service.journal.hear([record(name, now(), data=RUNG)])
        checked = await rebuilding.check(SERVICE, RINGS, service.journal, service.pool)
        assert (checked.differing, checked.behind) == ((), 2)
        await service.settle()
        assert (await rebuilding.check(SERVICE, RINGS, service.journal, service.pool)).behind == 0


async def test_an_own_entry_that_cannot_be_read_stops_the_folding(database: Database) -> None:
    async with errands(database) as service:
        errand = new_id()
        broken = append()
        facts = tuple((id_, "errands.ErrandGiven", 1, b"{}") for id_, *_ in broken.facts)
        await service.journal.append(replace(broken, facts=facts))
        await service.ask(GiveErrand(errand=errand, to="ann"))
        with pytest.raises(Undecodable, match=ErrandGiven.__name__):
            await service.projector.step()
        assert await service.projector.position() == 0
