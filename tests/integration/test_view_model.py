"""Whatever is asked, views and their past show what a plain model of the errands says, at every position; to people and
to pure code alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.databases import Database
from libs.events.deciding import Command
from libs.events.entries import derived_id, new_id
from libs.events.errors import Refusal
from libs.events.reading import Moment
from libs.events.tests.errands import ERRANDS, REMINDERS, FinishErrand, GiveErrand, PassOn
from libs.events.views import Look
from tests.integration.errands_service import Errands, errands, now

pytestmark = pytest.mark.platform
BUSY = 3
"""So many open errands, and nothing more is passed on to somebody."""
Row = dict[str, Any]
ACTS = st.tuples(
    st.sampled_from(["give", "give with a limit", "pass on", "finish"]), st.integers(0, 5), st.integers(0, 1)
)


@dataclass
class Model:
    """The rows as dictionaries, written apart from the folds; `past`: how they stood after each position."""

    rows: dict[UUID, Row] = field(default_factory=dict)
    reminders: dict[UUID, Row] = field(default_factory=dict)
    versions: dict[UUID, int] = field(default_factory=dict)
    past: dict[int, tuple[dict[UUID, Row], dict[UUID, Row]]] = field(default_factory=dict)

    def act(self, kind: str, errand: UUID, to: str, at: datetime) -> str:
        """What comes of it: the fact's name, "" for nothing, or the rule that refuses it."""
        row = self.rows.get(errand)
        match kind:
            case "give" | "give with a limit":
                if row is not None:
                    return ""
                self.rows[errand] = {"errand": errand, "to": to, "open": True, "passed_on": 0, "tags": ("given",)}
                self.versions[errand] = 1
                if kind == "give with a limit":
                    due = at + timedelta(seconds=60)
                    self.reminders[errand] = {"errand": errand, "due_at": due, "stream_version": 1, "timeline": ""}
                return "ErrandGiven"
            case "pass on":
                if row is None or not row["open"]:
                    return "errand-is-open"
                if sum(each["open"] and each["to"] == to for each in self.rows.values()) >= BUSY:
                    return "at-most-three"
                row |= {"to": to, "passed_on": row["passed_on"] + 1, "tags": (*row["tags"][-3:], to)}
                self.versions[errand] += 1
                if errand in self.reminders:
                    self.reminders[errand]["stream_version"] = self.versions[errand]
                return "ErrandPassedOn"
            case _:
                if row is None or not row["open"]:
                    return ""
                row["open"] = False
                self.reminders.pop(errand, None)
                self.versions[errand] += 2  # the reaction says thanks
                return "ErrandDone"

    def note(self, position: int) -> None:
        self.past[position] = deepcopy((self.rows, self.reminders))


@pytest.fixture
def playing(database: Database) -> Iterator[tuple[asyncio.AbstractEventLoop, Errands]]:
    """One service for all examples, its clock held, and the loop that it lives on."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    service = loop.run_until_complete(stack.enter_async_context(errands(database)))
    loop.run_until_complete(service.clock.hold(now()))
    yield loop, service
    loop.run_until_complete(stack.aclose())
    loop.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, min_size=1, max_size=25))
def test_views_and_their_past_say_what_the_model_says(
    playing: tuple[asyncio.AbstractEventLoop, Errands], acts: list[tuple[str, int, int]]
) -> None:
    loop, service = playing
    loop.run_until_complete(compare(service, acts))


async def compare(service: Errands, acts: list[tuple[str, int, int]]) -> None:
    root, model, at = new_id(), Model(), (await service.clock.read()).now
    for kind, number, person in acts:
        errand, to = derived_id(root, "errand", f"{number}"), f"{root}/{person}"
        expected = model.act(kind, errand, to, at)
        assert await done(service, command(kind, errand, to)) == expected
        await service.settle()
        model.note(await service.journal.position())
    ids = [derived_id(root, "errand", f"{number}") for number in range(6)]
    for position, (rows, reminders) in model.past.items():
        moment = Moment(at, position, True)
        for errand in ids:
            assert plain(await service.reader.row(ERRANDS, errand, tenant="main", at=moment)) == rows.get(errand)
            reminder = await service.reader.row(REMINDERS, errand, tenant="main", at=moment)
            assert plain(reminder) == reminders.get(errand)
        assert await looked(service, ids, [f"{root}/{person}" for person in range(2)], position) == (rows, reminders)
    for errand in ids:
        assert plain(await service.reader.row(ERRANDS, errand, tenant="main")) == model.rows.get(errand)
        assert plain(await service.reader.row(REMINDERS, errand, tenant="main")) == model.reminders.get(errand)


async def looked(
    service: Errands, ids: list[UUID], people: list[str], position: int
) -> tuple[dict[UUID, Row], dict[UUID, Row]]:
    """What pure code sees as of this position; by key it is the same as by other columns."""

    def look(views: Look) -> tuple[dict[UUID, Row], dict[UUID, Row]]:
        rows = {errand: shown for errand in ids if (shown := plain(views.row(ERRANDS, errand)))}
        reminders = {errand: shown for errand in ids if (shown := plain(views.row(REMINDERS, errand)))}
        for person in people:
            for is_open in (True, False):
                found = {row.errand: plain(row) for row in views.rows(ERRANDS, to=person, open=is_open)}
                assert found == {key: row for key, row in rows.items() if (row["to"], row["open"]) == (person, is_open)}
        return rows, reminders

    return (await service.looks.run("main", look, position))[0]


def command(kind: str, errand: UUID, to: str) -> Command:
    match kind:
        case "give":
            return GiveErrand(errand=errand, to=to)
        case "give with a limit":
            return GiveErrand(errand=errand, to=to, due_in_s=60)
        case "pass on":
            return PassOn(errand=errand, to=to)
        case _:
            return FinishErrand(errand=errand)


async def done(service: Errands, asked: Command) -> str:
    """The fact's name, "" for nothing, or the rule that refused it."""
    try:
        answer = await service.ask(asked)
    except Refusal as refusal:
        return refusal.rule
    return "".join(type_.partition(".")[2] for type_ in answer.facts)


def plain(row: Any) -> Row | None:
    return None if row is None else {name: getattr(row, name) for name in row.__struct_fields__}
