"""One connected trace: from the request that came in to the last message, over processes, topics, timers and people."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from demo.stage import Stage
from infra.local import Platform
from tests.integration.whole.spans import Spans, span_named

pytestmark = pytest.mark.platform
DECIDED = (
    "select id, type, actor, traceparent, causation_id from journal.entries "
    "where decided and subject = $1 order by position"
)


@dataclass(frozen=True)
class Decided:
    owner: str
    type: str
    actor: str
    span: tuple[str, str]


@pytest.fixture
async def decided(platform_told: Platform, case: str) -> list[Decided]:
    """Every fact about the complaint, with the span that decided it, from each service's own journal."""
    found = []
    for name in platform_told.services:
        connection = await asyncpg.connect(platform_told.database(name).url)
        for row in await connection.fetch(DECIDED, UUID(case)):
            found.append(Decided(name, row["type"], row["actor"], span_named(row["traceparent"])))
        await connection.close()
    return found


@pytest.fixture
def spans(platform_told: Platform, decided: list[Decided]) -> Spans:
    spans = Spans(platform_told.state / "traces")
    spans.wait_for({fact.span for fact in decided})
    return spans


def test_each_fact_names_the_span_of_its_owners_process_that_decided_it(
    spans: Spans, decided: list[Decided], platform_told: Platform
) -> None:
    assert {fact.owner for fact in decided} == {"gateway", "tasks", "sla", "notify", "goals"}
    for fact in decided:
        span = spans.by_id[fact.span]
        assert (span.service, span.file) == (fact.owner, f"{fact.owner}.{platform_told.services[fact.owner].pid}.jsonl")
        assert span.name.startswith("decide "), span.name


def test_the_complaint_is_one_connected_trace_over_all_seven_services(
    spans: Spans, decided: list[Decided], platform_told: Platform
) -> None:
    reached = spans.reached(decided[0].span, through_batches=True)
    assert [fact for fact in decided if fact.span not in reached] == []
    services = {spans.by_id[span].service for span in reached if span in spans.by_id}
    assert services == set(platform_told.services)
    assert len({spans.by_id[span].file for span in reached if span in spans.by_id}) == 7


def test_even_without_the_batches_every_decision_hangs_together_with_what_it_stood_on(
    spans: Spans, decided: list[Decided]
) -> None:
    """Facts that lay in one batch by chance do not count here, nor that the organisation was published before."""
    reached = spans.reached(decided[0].span, through_batches=False)
    assert [fact for fact in decided if fact.span not in reached] == []


def test_a_timer_that_fired_is_linked_to_the_fact_that_set_its_instant(spans: Spans, decided: list[Decided]) -> None:
    started = {fact.span for fact in decided if fact.type == "sla.ClockStarted"}
    fired = [fact for fact in decided if fact.type in ("sla.SlaWarned", "sla.SlaBreached")]
    assert fired
    (first, *_) = fired
    assert first.actor == "sla/next-of-clock"
    assert started & set(spans.by_id[first.span].links)


def test_a_reaction_is_a_child_of_the_fact_it_answers(spans: Spans, decided: list[Decided]) -> None:
    opened = next(fact for fact in decided if fact.type == "tasks.CaseOpened")
    received = next(fact for fact in decided if fact.type == "gateway.RequestReceived")
    reaction = spans.by_id[opened.span].parent
    assert reaction is not None
    assert (spans.by_id[reaction].name, spans.by_id[reaction].parent) == ("react open-case", received.span)


def test_an_escalation_is_linked_to_the_organisation_that_it_asked(
    spans: Spans, decided: list[Decided], stage: Stage
) -> None:
    raised = next(fact for fact in decided if fact.type == "sla.EscalationRaised")
    stood_on = {spans.by_id[link].service for link in spans.by_id[raised.span].links if link in spans.by_id}
    assert "directory" in stood_on
