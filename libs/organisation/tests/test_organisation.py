"""The organisation as heard: folds, seats, and who stands above whom."""

from __future__ import annotations

from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st

from libs.events.contract import Contract
from libs.events.contracts import directory
from libs.events.contracts.directory import (
    ContactNamed,
    DecisionBoardNamed,
    DepartmentRegistered,
    PersonJoined,
    ReportingLineCorrected,
)
from libs.events.entries import Fact, entity_id
from libs.events.service import Service
from libs.events.testing import MemoryLook, MemoryService, instant, look_of
from libs.events.views import View
from libs.organisation import (
    BOARD,
    CONTACTS,
    DEPARTMENTS,
    PEOPLE,
    VIEWS,
    board,
    common_superior,
    contact_of,
    department_of,
    is_seat,
    lead_of,
    nearest_common,
    people_of,
    seats_named,
    sits_in,
    superiors,
)
from libs.organisation.views import Contact, Department, Person

NOW = instant("2026-11-02T09:00+08:00")


def listener(*facts: Fact) -> MemoryService:
    service = MemoryService(Service("listener", Contract("listener", ()), hears=(directory.CONTRACT,), views=VIEWS))
    for fact in facts:
        service.hear(fact, subject=entity_id("", "organisation", "organisation"), at=NOW)
    return service


def house() -> MemoryLook:
    def person(code: str, department: str, role: str, reports_to: str | None) -> tuple[View[Any], Person]:
        return PEOPLE, Person(code, code.title(), department, role, reports_to)

    return look_of(
        person("ceo", "management", "chief", None),
        person("vp-ops", "management", "vice-president", "ceo"),
        person("prod-dir", "production", "director", "vp-ops"),
        person("prod-1", "production", "engineer", "prod-dir"),
        person("purch-dir", "purchasing", "head", "vp-ops"),
        person("purch-1", "purchasing", "buyer", "purch-dir"),
        person("svc-1", "service", "agent", "ceo"),
        (CONTACTS, Contact("production", "*", "prod-1")),
        (CONTACTS, Contact("production", "purchasing", "prod-dir")),
    )


def test_what_directory_says_is_remembered() -> None:
    service = listener(
        DepartmentRegistered("production", "Production", "生产部"),
        PersonJoined("vp-ops", "Qian", "production", "vice-president"),
        PersonJoined("prod-1", "Li", "production", "engineer"),
        ReportingLineCorrected("prod-1", "vp-ops"),
        ContactNamed("production", "*", "vp-ops"),
        ContactNamed("production", "*", "prod-1"),
        DecisionBoardNamed(("vp-ops",)),
    )
    assert service.row(PEOPLE, "prod-1") == Person("prod-1", "Li", "production", "engineer", "vp-ops")
    assert service.row(DEPARTMENTS, "production").name_zh == "生产部"
    assert service.row(CONTACTS, ("production", "*")).person == "prod-1"
    assert service.row(BOARD, "board").people == ("vp-ops",)


def test_the_common_superior_is_the_nearest_one_above_all() -> None:
    look = house()
    assert superiors(look, "prod-1") == ("prod-dir", "vp-ops", "ceo")
    assert common_superior(look, "prod-1", "purch-1") == "vp-ops"
    assert common_superior(look, "prod-1", "svc-1") == "ceo"
    assert common_superior(look, "prod-1") == "prod-dir"


def test_a_party_never_judges_its_own_case() -> None:
    assert common_superior(house(), "prod-dir", "prod-1") == "vp-ops"
    assert common_superior(house(), "ceo", "prod-1") is None
    assert common_superior(house(), "stranger", "prod-1") is None
    assert nearest_common({}) is None


def test_seats_are_filled_by_department_person_or_role() -> None:
    look = house()
    assert people_of(look, "dept:production") == ("prod-1", "prod-dir")
    assert people_of(look, "role:director") == ("prod-dir",)
    assert people_of(look, "person:prod-1") == ("prod-1",)
    assert people_of(look, "nonsense") == ()
    assert is_seat("dept:x")
    assert not is_seat("dept:")
    assert not is_seat("team:x")


def test_the_contact_is_the_one_named_for_the_counterpart_else_for_everybody() -> None:
    look = house()
    assert contact_of(look, "production", "purchasing") == "prod-dir"
    assert contact_of(look, "production", "service") == "prod-1"
    assert contact_of(look, "purchasing", "service") is None


def test_a_department_is_led_by_its_director_else_by_its_top() -> None:
    look = house()
    assert lead_of(look, "production") == "prod-dir"
    assert lead_of(look, "purchasing") == "purch-dir"
    assert lead_of(look, "nobody-here") is None


def test_the_board_is_empty_until_it_is_named() -> None:
    assert board(house()) == ()


@for_all(st.sampled_from(["ceo", "prod-1", "svc-1", "stranger"]), st.sampled_from(["dept", "person", "role"]))
def test_sitting_in_a_seat_is_being_among_its_people(person: str, kind: str) -> None:
    look = house()
    for name in ("production", "service", "engineer", "chief", "prod-1", "management"):
        seat = f"{kind}:{name}"
        assert sits_in(look, person, seat) == (person in people_of(look, seat))
    assert department_of(look, "stranger") is None


def test_seats_are_named_as_people_know_them_and_by_their_codes_where_nobody_named_them() -> None:
    look = look_of(
        (DEPARTMENTS, Department("production", "Production", "生产部")),
        (PEOPLE, Person("vp-ops", "钱立", "management", "vice-president", None)),
    )
    assert seats_named(look, ["dept:production", "person:vp-ops"]) == (
        "somebody in Production or 钱立 (vp-ops)",
        "生产部或钱立（vp-ops）",
    )
    assert seats_named(look, ["dept:moon", "role:director"]) == (
        "somebody in moon or whoever has the role director",
        "moon或角色为 director 的人员",
    )
