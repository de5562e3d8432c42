"""Which limit holds for which step: the newest version of every policy."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.contracts.sla import PolicyPublished
from libs.events.entries import Entry
from libs.events.views import Look, View, on


@dataclass(frozen=True, slots=True)
class Policy:
    """`category` and `priority`: None is any."""

    policy: str
    version: int
    template: str
    step: str
    category: str | None
    priority: str | None
    limit_min: int
    warn_percent: int | None
    calendar: str
    ladder: str | None


def _published(row: Policy | None, fact: PolicyPublished, entry: Entry) -> Policy:
    return Policy(
        fact.policy,
        fact.version,
        fact.template,
        fact.step,
        fact.category,
        fact.priority,
        fact.limit_min,
        fact.warn_percent,
        fact.calendar,
        fact.ladder,
    )


POLICIES = View(
    name="policies",
    version=1,
    row=Policy,
    key=("policy",),
    folds=(on(PolicyPublished, _published, lambda fact, entry: (fact.policy,)),),
    indexes=(("template", "step"),),
)


def policy_for(look: Look, template: str, step: str, category: str, priority: str) -> Policy | None:
    """The narrowest policy that fits: one for the category goes before one for the priority, any before neither."""
    fitting = [
        row
        for row in look.rows(POLICIES, template=template, step=step)
        if row.category in (None, category) and row.priority in (None, priority)
    ]
    return max(fitting, key=lambda row: (row.category is not None, row.priority is not None), default=None)
