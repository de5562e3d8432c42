"""Time limits, ladders, goals and words are data as well: a changed line changes instants, people, what is met."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from demo import rulebook
from demo.tests.test_rulebook import BODIES, CASE_ID, FORM, NOBODY_WANTS_IT, NOW, change, company
from demo.tests.test_rulebook import data as data  # the fixture
from libs.events.contracts.gateway import RequestReceived
from libs.events.contracts.sla import EscalationRaised, SlaBreached, SlaWarned
from libs.events.deciding import Command
from libs.events.entries import Fact
from libs.events.testing import MemoryService, instant
from services.directory.main import SERVICE as DIRECTORY
from services.goals.commands import SetGoal, ShareKpi
from services.goals.main import SERVICE as GOALS
from services.goals.views.kpis import KPIS
from services.notify.commands import PublishText
from services.notify.main import SERVICE as NOTIFY
from services.notify.views.texts import TEXTS
from services.sla.commands import PublishLadder, PublishPolicy
from services.sla.main import SERVICE as SLA
from services.tasks.commands import CompleteForm, RejectHandoff

LIMITS: dict[str, type[Command]] = {
    "/v1/ladders": PublishLadder,
    "/v1/policies": PublishPolicy,
    "/v1/goals": SetGoal,
    "/v1/kpis": ShareKpi,
    "/v1/texts": PublishText,
}


def at(time: str) -> datetime:
    return instant(f"2026-11-02T{time}+08:00")


def bounced(data: Path) -> MemoryService:
    """tasks, with the complaint of the story rejected by all three, each at its instant."""
    tasks = company(data)
    tasks.hear(
        RequestReceived("desk", "STORY1", "complaint", "quality", "blisters", {}), subject=CASE_ID, at=at("09:00")
    )
    tasks.ask(CompleteForm(case_id=CASE_ID, form=FORM), by="svc-1", at=at("09:40"))
    for number, (time, (person, following)) in enumerate(
        zip(("10:10", "10:50", "11:20"), NOBODY_WANTS_IT, strict=True), start=1
    ):
        reject = RejectHandoff(case_id=CASE_ID, number=number, reason="not ours", next_department=following)
        tasks.ask(reject, by=person, at=at(time))
    return tasks


def watched(data: Path, until: str) -> MemoryService:
    """sla by these data files, which heard the organisation and the bounced complaint, with its timers fired."""
    directory, sla = MemoryService(DIRECTORY), MemoryService(SLA)
    for call in rulebook.organisation(data):
        directory.ask(BODIES[call.path].model_validate(call.body), by="ops-1", at=NOW)
    for entry, fact in zip(directory.entries, directory.facts, strict=True):
        sla.hear(fact, subject=entry.subject, at=NOW)
    for call in rulebook.limits(data):
        sla.ask(LIMITS[call.path].model_validate(call.body), by="ops-1", at=NOW)
    tasks = bounced(data)
    for entry, fact in zip(tasks.entries, tasks.facts, strict=True):
        if entry.subject == CASE_ID and entry.sequence is not None:
            sla.fire(entry.occurred_at)
            sla.hear(fact, subject=CASE_ID, at=entry.occurred_at)
    sla.fire(at(until))
    return sla


def when(sla: MemoryService, kind: type[Fact], step: str) -> list[datetime]:
    return [
        entry.occurred_at
        for fact, entry in zip(sla.facts, sla.entries, strict=True)
        if isinstance(fact, kind) and getattr(fact, "step", step) == step
    ]


def asked(sla: MemoryService) -> list[tuple[str, tuple[str, ...], datetime]]:
    return [
        (fact.rung, tuple(sorted(fact.asked)), entry.occurred_at)
        for fact, entry in zip(sla.facts, sla.entries, strict=True)
        if isinstance(fact, EscalationRaised)
    ]


CONTACTS = ("pd-1", "prod-1", "purch-1")


def test_by_the_shipped_limits_the_answer_is_warned_breached_and_escalated_as_the_story_tells() -> None:
    sla = watched(rulebook.DATA, "13:20")
    assert when(sla, SlaWarned, "answer") == [at("11:16")]
    assert when(sla, SlaBreached, "answer") == [at("11:40")]
    assert asked(sla) == [
        ("contacts", CONTACTS, at("11:40")),
        ("common superior", ("vp-ops",), at("12:10")),
        ("decision board", ("ceo", "cfo"), at("13:10")),
    ]


@pytest.mark.parametrize(
    ("limit_min", "warn_percent", "warned", "breached"), [(90, 80, "10:52", "11:10"), (60, 50, "10:10", "10:40")]
)
def test_a_changed_policy_changes_when_the_answer_is_due(
    data: Path, limit_min: int, warn_percent: int, warned: str, breached: str
) -> None:
    old = "step: answer\n    limit_min: 120\n    warn_percent: 80"
    change(data, "policies.yaml", old, f"step: answer\n    limit_min: {limit_min}\n    warn_percent: {warn_percent}")
    sla = watched(data, "11:30")
    assert when(sla, SlaWarned, "answer") == [at(warned)]
    assert when(sla, SlaBreached, "answer") == [at(breached)]


def test_a_policy_without_a_ladder_breaches_and_asks_nobody(data: Path) -> None:
    old = "limit_min: 120\n    warn_percent: 80\n    ladder: complaint-ladder"
    change(data, "policies.yaml", old, "limit_min: 120\n    warn_percent: 80")
    sla = watched(data, "13:20")
    assert when(sla, SlaBreached, "answer") == [at("11:40")]
    assert asked(sla) == []


def test_a_changed_ladder_changes_who_is_asked_and_after_how_long(data: Path) -> None:
    old = """- ladder: complaint-ladder
    starts: breach
    rungs:
      - {name: contacts, name_zh: 对接人, asks: contacts-of-the-departments, answer_min: 30}"""
    new = old.replace("contacts-of-the-departments, answer_min: 30", "leads-of-the-departments, answer_min: 10")
    change(data, "ladders.yaml", old, new)
    first, second, *_ = asked(watched(data, "12:00"))
    assert first == ("contacts", ("pd-dir", "prod-dir", "purch-dir"), at("11:40"))
    assert second == ("common superior", ("vp-ops",), at("11:50"))


def test_a_ladder_may_start_at_the_conflict_instead_of_the_breach(data: Path) -> None:
    change(
        data,
        "ladders.yaml",
        "ladder: complaint-ladder\n    starts: breach",
        "ladder: complaint-ladder\n    starts: conflict",
    )
    assert asked(watched(data, "11:30")) == [("contacts", CONTACTS, at("11:20"))]


def test_another_contact_and_another_board_are_asked(data: Path) -> None:
    change(data, "organisation.yaml", "person: purch-1}", "person: purch-dir}")
    change(data, "organisation.yaml", "people: [ceo, cfo]", "people: [cfo]")
    contacts, _, board = asked(watched(data, "13:20"))
    assert contacts == ("contacts", ("pd-1", "prod-1", "purch-dir"), at("11:40"))
    assert board == ("decision board", ("cfo",), at("13:10"))


def test_a_changed_threshold_changes_whether_the_shared_kpi_is_met(data: Path) -> None:
    sla = watched(rulebook.DATA, "11:45")

    def met(data: Path) -> tuple[int, int, bool | None]:
        goals = MemoryService(GOALS)
        for call in rulebook.goals(data):
            goals.ask(LIMITS[call.path].model_validate(call.body), by="ops-1", at=NOW)
        for entry, fact in zip(sla.entries, sla.facts, strict=True):
            if entry.sequence is not None and entry.subject == CASE_ID:
                goals.hear(fact, subject=CASE_ID, at=entry.occurred_at)
        row = goals.row(KPIS, "complaint-response")
        return row.hits, row.misses, row.met

    assert met(data) == (0, 1, False)
    change(data, "goals.yaml", 'comparator: ">="\n    threshold: "100"', 'comparator: ">="\n    threshold: "0"')
    assert met(data) == (0, 1, True)


def test_changed_words_are_the_ones_that_are_written(data: Path) -> None:
    texts = list(rulebook.texts(data))
    first = texts[0].body
    change(data, "messages.yaml", first["en"], "Please look at this")
    notify = MemoryService(NOTIFY)
    for call in (*texts, *rulebook.texts(data)):
        notify.ask(LIMITS[call.path].model_validate(call.body), by="ops-1", at=NOW)
    versions = notify.rows(TEXTS, template=first["template"])
    assert [row.en for row in versions] == [first["en"], "Please look at this"]
    assert len(notify.rows(TEXTS)) == len(texts) + 1, "what did not change is not published again"
