"""The names that a template may choose from: intake, moments, acts, routing and closing.

Data chooses among these; there is no expression language. A new behaviour is a new function in a table, here, in
`rights.py` (who may) or in `raci.py` (who sits where).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libs.events.contracts.tasks import CaseRouted, TemplatePublished

# How a case comes in: its form is filled in first and then it is offered; or its department holds it from the start.
AFTER_FORM, AT_ONCE = "after-form", "at-once"
INTAKES = (AFTER_FORM, AT_ONCE)

# The moments between which steps run.
OPENED, FORM_COMPLETED, ROUTED, ACCEPTED = "opened", "form-completed", "routed", "accepted"
SOLUTION_GIVEN, CUSTOMER_TOLD, CALLED_BACK = "solution-given", "customer-told", "called-back"
CLOSED_BY_SOURCE = "closed-by-source"
MOMENTS = (OPENED, FORM_COMPLETED, ROUTED, ACCEPTED, SOLUTION_GIVEN, CUSTOMER_TOLD, CALLED_BACK, CLOSED_BY_SOURCE)

# What people do with a case; a template without a line for an act does not have it.
OPEN_CASE, COMPLETE_FORM, OFFER_HANDOFF, ANSWER_HANDOFF = (
    "open-case",
    "complete-form",
    "offer-handoff",
    "answer-handoff",
)
RULE, GIVE_SOLUTION, TELL_CUSTOMER, CALL_BACK = "rule", "give-solution", "tell-customer", "call-back"
ACTS = (OPEN_CASE, COMPLETE_FORM, OFFER_HANDOFF, ANSWER_HANDOFF, RULE, GIVE_SOLUTION, TELL_CUSTOMER, CALL_BACK)
ACTS_OF_INTAKE: Mapping[str, tuple[str, ...]] = {
    AFTER_FORM: (COMPLETE_FORM, OFFER_HANDOFF, ANSWER_HANDOFF, RULE),
    AT_ONCE: (),
}

ANY_CATEGORY = "*"
BY_SOURCE = "source"
"""The rule of a case that went where its source routed it."""


def by_category(template: TemplatePublished, category: str, department: str | None) -> CaseRouted | None:
    """The line of the routing table for the category, else the line `*`."""
    for line in (category, ANY_CATEGORY):
        if line in template.routing:
            return CaseRouted(template.routing[line], f"category={line}")
    return None


def by_source(template: TemplatePublished, category: str, department: str | None) -> CaseRouted | None:
    """Where the source routed it; else as by category."""
    return CaseRouted(department, BY_SOURCE) if department else by_category(template, category, department)


# (template, category, the department that the source named) → where the case goes, or nothing
ROUTING_RULES: Mapping[str, Callable[[TemplatePublished, str, str | None], CaseRouted | None]] = {
    "by-category": by_category,
    "by-source": by_source,
}


def after_call_back(moment: str) -> bool:
    """Calling the customer back closes the loop; what the source says about it does not."""
    return moment == CALLED_BACK


def closed_by_source(moment: str) -> bool:
    """The source alone knows when its request is done."""
    return moment == CLOSED_BY_SOURCE


# (the moment that was just reached) → whether the case ends there
CLOSING_RULES: Mapping[str, Callable[[str], bool]] = {
    "after-call-back": after_call_back,
    "by-source": closed_by_source,
}


def solution_step(template: TemplatePublished) -> str:
    """The step that a solution ends; "" in a process without one."""
    return next((step.name for step in template.steps if step.ends == SOLUTION_GIVEN), "")
