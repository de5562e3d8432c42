"""Story 1 as audit tells it: one holder at every instant, the legs, the breach, and only what was on record."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.directory import PersonJoined
from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.contracts.sla import BreachWithdrawn, ClockStarted, Leg, SlaBreached
from libs.events.contracts.tasks import (
    CaseClosed,
    CaseOpened,
    CaseRouted,
    ConflictOpened,
    ConflictRuled,
    HandoffAccepted,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
    SourceCloseDeclined,
)
from libs.events.entries import Fact, entity_id
from libs.events.testing import MemoryService
from libs.organisation import PEOPLE
from services.audit.domain.history import Asked, History, tell
from services.audit.main import SERVICE
from services.audit.views.cases import CASES
from services.audit.views.ledger import LEDGER, row_of

CASE = entity_id("main", "case", "crm/STORY1")
CLOCK = UUID(int=7)
FORM = {"product": "cabinet"}
OPENED = CaseOpened(CASE, "crm", "STORY1", "complaint", 1, "quality", "normal", "veneer blisters", FORM, "service")


def at(clock: str, day: int = 2) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02}T{clock}:00+08:00")


def _leg(state: str, department: str | None, start: str, end: str) -> Leg:
    return Leg(state, department, at(start), at(end))


BREACH = SlaBreached(
    CLOCK,
    "answer",
    "complaint-answer",
    at("11:40"),
    (
        _leg("offered", "production", "09:40", "10:10"),
        _leg("offered", "purchasing", "10:10", "10:50"),
        _leg("offered", "product", "10:50", "11:20"),
        _leg("unruled", None, "11:20", "11:40"),
    ),
)
STORY: tuple[tuple[str, str, Fact], ...] = (
    ("09:00", "crm-1", RequestReceived("crm", "STORY1", "complaint", "quality", "veneer blisters", FORM)),
    ("09:00", "tasks/open-case", OPENED),
    ("09:40", "svc-1", CaseRouted("production", "quality")),
    ("09:40", "svc-1", HandoffOffered(1, "service", "production")),
    ("10:10", "prod-1", HandoffRejected(1, "production", "raw material", 1)),
    ("10:10", "prod-1", HandoffOffered(2, "service", "purchasing")),
    ("10:50", "purch-1", HandoffRejected(2, "purchasing", "specification", 2)),
    ("10:50", "purch-1", HandoffOffered(3, "service", "product")),
    ("11:20", "pd-1", HandoffRejected(3, "product", "not ours", 3)),
    ("11:20", "pd-1", ConflictOpened(("production", "purchasing", "product"), 3)),
    ("11:40", "sla/due", BREACH),
    ("12:25", "vp-ops", ConflictRuled("vp-ops", "production", ("purchasing",), "the press is theirs")),
    ("12:25", "vp-ops", HandoffOffered(4, "service", "production")),
    ("12:30", "prod-1", HandoffAccepted(4, "production")),
    ("13:30", "prod-1", SolutionGiven("production", "new veneer")),
)


@pytest.fixture(scope="module")
def audit() -> MemoryService:
    service = MemoryService(SERVICE)
    service.hear(PersonJoined("pd-1", "陈工", "product", "engineer"), subject=UUID(int=9), at=at("08:00"))
    for clock, actor, fact in STORY:
        service.hear(fact, subject=CASE, at=at(clock), by=actor)
    return service


def _told(audit: MemoryService, **asked: Any) -> History:
    names = {row.person: row.name for row in audit.rows(PEOPLE)}
    return tell(audit.rows(LEDGER, subject=CASE), Asked(now=at("18:00"), names=names, **asked))


def _types(history: History) -> list[str]:
    return [entry.what.type for entry in history.entries]


def test_the_legs_are_those_of_the_story_to_the_minute(audit: MemoryService) -> None:
    history = _told(audit)
    assert history.legs_minutes == [30, 40, 30, 65, 5, 60]
    assert sum(history.legs_minutes) == 230
    assert [(leg.state, leg.department) for leg in history.legs] == [
        ("offered", "production"),
        ("offered", "purchasing"),
        ("offered", "product"),
        ("unruled", None),
        ("offered", "production"),
        ("holding", "production"),
    ]


def test_as_of_half_past_eleven_there_is_the_conflict_and_no_breach(audit: MemoryService) -> None:
    history = _told(audit, as_of=at("11:30"))
    assert (history.state, history.holder, history.breaches) == ("conflict", "service", ())
    assert history.legs_minutes == [30, 40, 30, 10]
    assert "sla.SlaBreached" not in _types(history)


def test_the_breach_names_the_legs(audit: MemoryService) -> None:
    (breach,) = _told(audit).breaches
    assert (breach.due_at, breach.withdrawn) == (at("11:40"), False)
    assert [leg.minutes for leg in breach.legs] == [30, 40, 30, 20]


@pytest.mark.parametrize(
    ("before", "after", "type_"),
    [
        ("10:09", "10:11", "tasks.HandoffRejected"),
        ("11:19", "11:21", "tasks.ConflictOpened"),
        ("12:24", "12:26", "tasks.ConflictRuled"),
        ("12:29", "12:31", "tasks.HandoffAccepted"),
    ],
)
def test_a_handoff_is_on_record_just_after_it_and_not_just_before(
    audit: MemoryService, before: str, after: str, type_: str
) -> None:
    assert type_ not in _types(_told(audit, as_of=at(before)))
    assert type_ in _types(_told(audit, as_of=at(after)))


def test_service_holds_the_case_until_production_accepts(audit: MemoryService) -> None:
    holders = [_told(audit, as_of=at(clock)).holder for clock in ("08:59", "09:01", "11:00", "12:29", "12:31", "13:31")]
    assert holders == [None, "service", "service", "service", "production", "production"]


def test_before_anything_was_on_record_nothing_is_told(audit: MemoryService) -> None:
    history = _told(audit, as_of=at("08:30"))
    assert (history.state, history.holder, history.entries, history.legs) == (None, None, (), ())


def test_each_entry_says_who_when_what_why_and_on_what(audit: MemoryService) -> None:
    entry = next(e for e in _told(audit).entries if e.what.type == "tasks.ConflictOpened")
    rejected = next(e for e in _told(audit).entries if e.what.data.get("reason") == "not ours")
    assert (entry.who.actor, entry.who.name) == ("pd-1", "陈工")
    assert entry.when.occurred_at == at("11:20")
    assert entry.when.recorded_at >= entry.when.occurred_at
    assert entry.what.data["departments"] == ["production", "purchasing", "product"]
    assert rejected.why.reasons == {"reason": "not ours"}
    assert entry.on_what is not None


def test_a_close_that_was_not_taken_is_told_with_the_rule_that_forbids_it() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    audit.hear(RequestClosed("crm", "STORY1", "repaired"), subject=CASE, at=at("10:00"))
    declined = SourceCloseDeclined("repaired", "closing_rule=after-call-back")
    audit.hear(declined, subject=CASE, at=at("10:00"), by="tasks/close-case")
    history = _told(audit)
    assert history.state == "open"
    assert history.entries[-1].why.reasons == {"rule": "closing_rule=after-call-back", "outcome": "repaired"}


def test_a_replay_of_the_raw_journal_tells_the_same(audit: MemoryService) -> None:
    raw = [row_of(entry) for entry in audit.entries if entry.subject == CASE]
    for clock in ("09:30", "11:30", "18:00"):
        names = {"pd-1": "陈工"}
        asked = Asked(now=at("18:00"), as_of=at(clock), names=names)
        assert msgspec.json.encode(tell(reversed(raw), asked)) == msgspec.json.encode(
            tell(audit.rows(LEDGER, subject=CASE), asked)
        )


def test_a_fact_learnt_late_is_in_what_had_happened_but_not_in_what_was_known() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    audit.hear(CaseRouted("production", "quality"), subject=CASE, at=at("15:00"))
    audit.hear(CaseClosed("shipped"), subject=CASE, at=at("10:00"))  # recorded after 15:00
    assert _told(audit, as_of=at("12:00")).state == "open"
    assert _told(audit, occurred_until=at("12:00")).state == "closed"
    assert _types(_told(audit, occurred_until=at("12:00"))) == ["tasks.CaseOpened", "tasks.CaseClosed"]
    assert _types(_told(audit, as_of=at("12:00"), occurred_until=at("08:00"))) == []


def test_of_what_had_happened_the_last_to_happen_counts_and_of_what_was_known_the_last_to_be_learnt() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    audit.hear(HandoffAccepted(2, "purchasing"), subject=CASE, at=at("12:00"))
    audit.hear(CaseClosed("done"), subject=CASE, at=at("13:00"))
    audit.hear(HandoffAccepted(1, "production"), subject=CASE, at=at("10:00"))  # learnt after 13:00
    audit.hear(ConflictOpened(("production", "purchasing"), 3), subject=CASE, at=at("11:00"))
    happened = _told(audit, occurred_until=at("14:00"))
    assert (happened.holder, happened.state) == ("purchasing", "closed")
    before = _told(audit, occurred_until=at("11:30"))
    assert (before.holder, before.state) == ("production", "conflict")
    known = _told(audit)
    assert (known.holder, known.state) == ("production", "conflict")


def test_a_case_that_was_closed_on_the_day_whose_end_its_source_names_as_its_opening_is_closed() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("23:59"))
    audit.hear(CaseRouted("production", "quality"), subject=CASE, at=at("23:59"))
    audit.hear(HandoffAccepted(1, "production"), subject=CASE, at=at("10:00"))
    audit.hear(CaseClosed("done"), subject=CASE, at=at("11:00"))
    happened = _told(audit, occurred_until=at("08:00", day=3))
    assert (happened.state, happened.holder, happened.legs) == ("closed", "production", ())


def test_a_breach_that_was_none_is_shown_as_withdrawn() -> None:
    audit = MemoryService(SERVICE)
    for fact in (OPENED, BREACH, BreachWithdrawn(CLOCK, "answer", "complaint-answer", at("11:40"), at("11:39"))):
        audit.hear(fact, subject=CASE, at=at("11:45"))
    assert [breach.withdrawn for breach in _told(audit).breaches] == [True]


def test_a_breach_names_the_version_of_the_limit_that_its_clock_was_started_with() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    started = ClockStarted(CLOCK, CASE, "answer", "complaint-answer", 3, at("09:40"), at("11:16"), at("11:40"))
    audit.hear(started, subject=CASE, at=at("09:40"))
    audit.hear(BREACH, subject=CASE, at=at("11:40"))
    assert [breach.policy_version for breach in _told(audit).breaches] == [3]
    assert [breach.policy_version for breach in _told(audit, as_of=at("11:39")).breaches] == []


@pytest.mark.parametrize("axis", ["as_of", "occurred_until"])
def test_who_asks_about_the_future_gets_no_leg_that_has_not_been(axis: str) -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    audit.hear(CaseRouted("production", "quality"), subject=CASE, at=at("09:40"))
    audit.hear(HandoffOffered(1, "service", "production"), subject=CASE, at=at("09:40"))
    assert _told(audit, **{axis: at("18:00", day=9)}).legs[-1].end == at("18:00")


def test_the_last_leg_of_an_imported_case_ends_with_its_last_fact_not_today() -> None:
    audit = MemoryService(SERVICE)
    imported = msgspec.structs.replace(OPENED, timeline="crm")
    audit.hear(imported, subject=CASE, at=at("09:00"))
    audit.hear(CaseRouted("production", "quality"), subject=CASE, at=at("09:00"))
    audit.hear(HandoffOffered(1, "service", "production"), subject=CASE, at=at("09:00"))
    audit.hear(HandoffAccepted(1, "production"), subject=CASE, at=at("09:30"))
    assert sum(_told(audit).legs_minutes) == 30


def test_a_fact_that_no_contract_names_is_kept_and_told() -> None:
    class Rumoured(Fact, frozen=True):
        text: str

    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:00"))
    audit.hear(Rumoured("psst"), subject=CASE, at=at("09:10"))
    assert _types(_told(audit)) == ["tasks.CaseOpened", "unknown.Rumoured"]


def test_data_that_is_no_json_is_told_as_it_came(audit: MemoryService) -> None:
    entry = msgspec.structs.replace(audit.entries[1], data=b"\xff\x00 not json", type="unknown.Thing")
    (told,) = tell([row_of(entry)], Asked(now=at("18:00"))).entries
    assert told.what.data == "\\xff\\u0000 not json"


def test_cases_are_found_by_the_reference_of_their_source(audit: MemoryService) -> None:
    (row,) = audit.rows(CASES, reference="STORY1")
    assert (row.case_id, row.source, row.state, row.holder, row.since) == (
        CASE,
        "crm",
        "open",
        "production",
        at("09:00"),
    )


@given(st.permutations(range(2)))
def test_a_case_is_the_same_whichever_owner_is_heard_first(order: list[int]) -> None:
    said: list[Fact] = [STORY[0][2], OPENED]
    audit = MemoryService(SERVICE)
    for index in order:
        audit.hear(said[index], subject=CASE, at=at("09:00"))
    assert audit.row(CASES, CASE).state == "open"
    assert audit.row(CASES, CASE).since == at("09:00")


def test_a_case_keeps_its_place_among_the_others_when_something_earlier_is_heard_of_it_later() -> None:
    audit = MemoryService(SERVICE)
    audit.hear(OPENED, subject=CASE, at=at("09:30"))
    first_heard = audit.row(CASES, CASE).noted_at
    audit.hear(STORY[0][2], subject=CASE, at=at("09:00"))
    audit.hear(OPENED, subject=CASE, at=at("09:30"))
    assert (audit.row(CASES, CASE).since, audit.row(CASES, CASE).noted_at) == (at("09:00"), first_heard)


@given(st.integers(min_value=0, max_value=10 * 60))
def test_at_every_minute_the_legs_tile_the_time_since_routing(minute: int) -> None:
    audit = MemoryService(SERVICE)
    for clock, actor, fact in STORY:
        audit.hear(fact, subject=CASE, at=at(clock), by=actor)
    now = at("08:30") + timedelta(minutes=minute)
    legs = _told(audit, as_of=now + timedelta(seconds=1), occurred_until=now).legs
    until = min(max(now, at("09:40")), at("13:30"))
    assert sum(leg.minutes for leg in legs) == (until - at("09:40")) / timedelta(minutes=1)
    assert all(one.end == next_.start for one, next_ in itertools.pairwise(legs))
