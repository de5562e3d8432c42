"""The templates there are, and the parameters that their words may use."""

from __future__ import annotations

from collections.abc import Mapping

ABOUT_THE_CASE = ("title", "reference", "process")
STEP = ("step", "step_en", "step_zh")
OUTCOME = ("outcome", "outcome_en", "outcome_zh")

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "task-assigned": (*STEP, "seat", "seat_en", "seat_zh"),
    "handoff-offered": ("sender_en", "sender_zh", "receiver_en", "receiver_zh", "number", "note"),
    "handoff-rejected": ("receiver_en", "receiver_zh", "reason", "bounces"),
    "conflict-opened": ("departments_en", "departments_zh", "bounces"),
    "conflict-ruled": ("ruler", "responsible_en", "responsible_zh", "consulted_en", "consulted_zh", "reason"),
    "consultation-asked": ("department_en", "department_zh", *STEP, "question"),
    "consultation-answered": ("department_en", "department_zh", *STEP, "answer"),
    "solution-given": ("department_en", "department_zh", "solution"),
    "sla-warned": (*STEP, "due_at"),
    "sla-breached": (*STEP, "due_at", "legs_en", "legs_zh", "had_it_en", "had_it_zh"),
    "breach-withdrawn": (*STEP, "due_at", "stopped_at"),
    "escalation-raised": ("rung", "rung_en", "rung_zh", "level", "answer_by_at", "departments_en", "departments_zh"),
    "close-declined": OUTCOME,
    "case-closed": OUTCOME,
}


def parameters_of(template: str) -> frozenset[str]:
    """Everything that the words of this template may use."""
    return frozenset((*ABOUT_THE_CASE, *PARAMETERS[template]))
