"""Goals and KPIs: what may be shared, what counts, and what shows it."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.events.contracts.goals import KpiMeasured
from libs.events.contracts.sla import BreachWithdrawn, ClockStopped, SlaBreached, SlaMet
from libs.events.entries import Fact
from libs.events.errors import Refusal
from libs.events.testing import MemoryService, instant
from services.goals.commands import SetGoal, ShareKpi
from services.goals.main import SERVICE
from services.goals.views.kpis import KPIS
from services.goals.views.samples import SAMPLES

CASE, CLOCK = UUID(int=1), UUID(int=11)
DUE = instant("2026-11-02T11:40+08:00")
BEFORE = instant("2026-01-01T09:00+08:00")
DATA = Path(__file__).resolve().parents[3] / "demo" / "data" / "goals.yaml"
RESPONSE = "complaint-response"


@cache
def data() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    return found


def goals(**changed: Any) -> MemoryService:
    """goals, with the demo's goal and KPIs; `changed` goes into the goal."""
    service = MemoryService(SERVICE)
    for row in data()["goals"]:
        service.ask(SetGoal(**(row | changed)), by="ops-1", at=BEFORE)
    for row in data()["kpis"]:
        service.ask(ShareKpi(**row), by="ops-1", at=BEFORE)
    return service


def breached(clock: UUID = CLOCK, step: str = "answer") -> SlaBreached:
    return SlaBreached(clock, step, f"complaint/{step}", DUE, (), template="complaint")


def met(clock: UUID = CLOCK, step: str = "answer") -> SlaMet:
    return SlaMet(clock, step, f"complaint/{step}", DUE, DUE, template="complaint")


def hear(service: MemoryService, *facts: Fact) -> None:
    for fact in facts:
        service.hear(fact, subject=CASE, at=DUE)


def standing(service: MemoryService, kpi: str = RESPONSE) -> tuple[int, int, Decimal | None, bool | None]:
    row = service.row(KPIS, kpi)
    return row.hits, row.misses, row.value, row.met


def test_a_broken_limit_is_one_miss_and_links_to_its_event() -> None:
    service = goals()
    hear(service, breached(), ClockStopped(CLOCK, "answer", DUE, 3000))
    assert standing(service) == (0, 1, Decimal(0), False)
    (sample,) = service.rows(SAMPLES, kpi=RESPONSE)
    evidence = next(e for e in service.entries if e.type == "sla.SlaBreached")
    assert (sample.hit, sample.evidence, sample.case_id) == (False, evidence.id, CASE)
    measured = next(e for e in service.entries if e.type == "goals.KpiMeasured")
    assert (measured.subject, measured.causation_id) == (CASE, evidence.id)


def test_a_met_limit_is_a_hit_of_its_own_kpi_only() -> None:
    service = goals()
    hear(service, met(step="solution"))
    assert standing(service, "complaint-solution") == (1, 0, Decimal(100), True)
    assert standing(service) == (0, 0, None, None)


def test_a_withdrawn_breach_becomes_a_hit_and_the_sample_stays_one() -> None:
    service = goals()
    withdrawn = BreachWithdrawn(CLOCK, "answer", "complaint/answer", DUE, DUE)
    hear(service, breached(), withdrawn, met())
    assert standing(service) == (1, 0, Decimal(100), True)
    (sample,) = service.rows(SAMPLES, kpi=RESPONSE)
    assert (sample.hit, sample.corrects) == (True, True)


def test_a_breach_that_is_told_twice_counts_once() -> None:
    service = goals()
    hear(service, breached(), breached())
    assert standing(service)[:2] == (0, 1)


def test_only_what_was_due_in_the_goals_period_counts() -> None:
    service = goals(end="2026-11-02T11:40:00+08:00")
    hear(service, breached())
    assert standing(service) == (0, 0, None, None)
    service = goals(start="2026-11-02T11:40:00+08:00")
    hear(service, breached())
    assert standing(service)[:2] == (0, 1)


@pytest.mark.parametrize("wrong", [2026, "2026", "2026-01-01"])
def test_a_goals_period_is_written_out_and_never_in_1970(wrong: object) -> None:
    with pytest.raises(ValidationError, match="must be an instant with a zone"):
        goals(start=wrong)


def test_one_kpi_may_count_every_step_of_a_template() -> None:
    service = goals()
    row = data()["kpis"][0] | {"kpi": "all", "measure": "clock-met:complaint/*"}
    service.ask(ShareKpi(**row), by="ops-1", at=BEFORE)
    hear(service, breached(), met(UUID(int=12), "form"), met(UUID(int=13), "solution"))
    assert standing(service, "all") == (2, 1, Decimal("66.67"), False)


def test_a_new_threshold_judges_the_same_count() -> None:
    service = goals()
    hear(service, breached(), met(UUID(int=12)))
    service.ask(ShareKpi(**(data()["kpis"][0] | {"threshold": "50"})), by="ops-1", at=DUE)
    assert standing(service) == (1, 1, Decimal(50), True)


def test_setting_and_sharing_the_same_again_changes_nothing() -> None:
    service = goals()
    assert service.ask(SetGoal(**data()["goals"][0]), by="ops-1", at=BEFORE) == ()
    assert service.ask(ShareKpi(**data()["kpis"][0]), by="ops-1", at=BEFORE) == ()


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"measure": "mood:complaint/answer"}, "unknown-measure"),
        ({"measure": "clock-met:complaint"}, "unknown-measure"),
        ({"unit": "h"}, "unit-does-not-fit"),
        ({"goal": "nowhere"}, "unknown-goal"),
        ({"measure": "clock-met:complaint/form"}, "kpi-is-counted"),
    ],
)
def test_a_kpi_that_cannot_be_counted_is_refused(changed: dict[str, Any], rule: str) -> None:
    with pytest.raises(Refusal) as caught:
        goals().ask(ShareKpi(**(data()["kpis"][0] | changed)), by="ops-1", at=BEFORE)
    assert caught.value.rule == rule


def test_a_goal_without_a_period_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        goals(end="2025-01-01T00:00:00+08:00")
    assert caught.value.rule == "period-empty"


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=20))
def test_every_measurement_carries_the_count_of_its_samples(heard: list[tuple[int, bool]]) -> None:
    """A clock is told as sla tells it: met at most once, and nothing after it."""
    service = goals()
    verdicts: dict[int, bool] = {}
    for clock, hit in heard:
        if verdicts.get(clock):
            continue
        verdicts[clock] = hit
        hear(service, met(UUID(int=clock)) if hit else breached(UUID(int=clock)))
    hits = sum(verdicts.values())
    assert standing(service)[:2] == (hits, len(verdicts) - hits)
    measured = [fact for fact in service.decided(KpiMeasured) if isinstance(fact, KpiMeasured)]
    assert all(fact.hits + fact.misses > 0 for fact in measured)
    assert len(service.rows(SAMPLES, kpi=RESPONSE)) == len(verdicts)


def test_a_share_that_only_rounding_brings_to_the_threshold_does_not_meet_it() -> None:
    service = goals()
    (shared,) = (row for row in data()["kpis"] if row["kpi"] == RESPONSE)
    service.ask(ShareKpi(**(shared | {"threshold": "66.67"})), by="ops-1", at=BEFORE)
    hear(service, met(UUID(int=12)), met(UUID(int=13)), breached())
    row = service.row(KPIS, RESPONSE)
    assert (row.hits, row.misses, row.value, row.met) == (2, 1, Decimal("66.67"), False)
