"""The templates there are, and the parameters that their words may use."""

from __future__ import annotations

from collections.abc import Mapping

ABOUT_THE_CASE = ("title", "reference", "process")

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "task-assigned": ("step", "seat"),
    "handoff-offered": ("sender_en", "sender_zh", "receiver_en", "receiver_zh", "number", "note"),
    "handoff-rejected": ("receiver_en", "receiver_zh", "reason", "bounces"),
    "conflict-opened": ("departments_en", "departments_zh", "bounces"),
    "conflict-ruled": ("ruler", "responsible_en", "responsible_zh", "consulted_en", "consulted_zh", "reason"),
    "consultation-asked": ("department_en", "department_zh", "step", "question"),
    "consultation-answered": ("department_en", "department_zh", "step", "answer"),
    "solution-given": ("department_en", "department_zh", "solution"),
    "sla-warned": ("step", "due_at"),
    "sla-breached": ("step", "due_at", "legs_en", "legs_zh"),
    "breach-withdrawn": ("step", "due_at", "stopped_at"),
    "escalation-raised": ("rung", "level", "answer_by_at", "departments_en", "departments_zh"),
    "close-declined": ("outcome",),
    "case-closed": ("outcome",),
}


def parameters_of(template: str) -> frozenset[str]:
    """Everything that the words of this template may use."""
    return frozenset((*ABOUT_THE_CASE, *PARAMETERS[template]))
