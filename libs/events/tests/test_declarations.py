"""A declaration that could never work says so when it is made, not by silence later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace

from libs.events.contracts.sla import SlaMet
from libs.events.contracts.tasks import CONTRACT as TASKS
from libs.events.contracts.tasks import CaseClosed, CaseOpened
from libs.events.deciding import Command
from libs.events.entries import Entry, Fact
from libs.events.parked import Parked, Problem, State
from libs.events.parking import UNKNOWN_TENANT, Announcing
from libs.events.reactions import Reaction
from libs.events.service import Service
from libs.events.views import Look, View, on

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    case: UUID


def fold(row: Row | None, fact: SlaMet, entry: Entry) -> Row:
    return Row(entry.subject)


def react(fact: Fact, entry: Entry, look: Look) -> Iterable[Command]:
    return ()


def test_a_view_whose_key_or_index_is_no_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"view rows: .* name casse, .*take from case"):
        View("rows", 1, Row, ("casse",), ())
    with pytest.raises(ValueError, match="name holder"):
        View("rows", 1, Row, ("case",), (), indexes=(("case", "holder"),))


def test_a_service_that_names_a_fact_nobody_tells_it_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"reaction act names sla\.SlaMet.*`hears`"):
        Service("tasks", TASKS, reactions=(Reaction("act", (CaseClosed, SlaMet), react),))
    with pytest.raises(ValueError, match=r"view rows names sla\.SlaMet"):
        Service("tasks", TASKS, views=(View("rows", 1, Row, ("case",), (on(SlaMet, fold),)),))
    assert Service("tasks", TASKS, reactions=(Reaction("act", (CaseClosed, CaseOpened), react),)).needs


def test_a_parked_record_of_an_impossible_tenant_is_told_so_that_others_can_hear_it() -> None:
    row = Parked(UUID(int=1), Problem.UNREADABLE, State.PARKED, "baton.inbound", "t", 0, 0, "k", "why")
    announcing = Announcing(TASKS, "inbound")
    assert announcing.parked(replace(row, tenant="Other Tenant!"), NOW).tenant == UNKNOWN_TENANT
    assert announcing.parked(replace(row, tenant="north"), NOW).tenant == "north"
