"""A policy: one time limit, version after version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from libs.clocks import CALENDARS
from libs.events.contracts.gateway import PRIORITIES
from libs.events.contracts.sla import PolicyPublished
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import Refusal
from services.sla.commands import PublishPolicy
from services.sla.domain.ladder import no_such_ladder
from services.sla.views.ladders import newest_ladder
from services.sla.views.policies import POLICIES


@dataclass(frozen=True, slots=True)
class Policy:
    newest: PolicyPublished | None = None


def evolve(state: Policy, fact: PolicyPublished) -> Policy:
    return Policy(fact)


def publish(state: Policy, command: PublishPolicy, asked: Asked) -> Sequence[Fact]:
    if command.calendar not in CALENDARS:
        known = sorted(CALENDARS)
        raise Refusal(
            "unknown-calendar",
            f"calendar={command.calendar} is not known; take one of: {', '.join(known)}",
            f"没有日历 {command.calendar}，可用：{'、'.join(known)}",
        )
    if command.priority not in (None, *PRIORITIES):
        raise Refusal(
            "unknown-priority",
            f"priority={command.priority} is not known, no case would ever have it; "
            f"take one of: {', '.join(PRIORITIES)}",
            f"没有优先级 {command.priority}，可用：{'、'.join(PRIORITIES)}",
        )
    if command.ladder is not None and newest_ladder(asked.views, command.ladder) is None:
        raise no_such_ladder(command.ladder)
    _not_twice(command, asked)
    version = 1 if state.newest is None else state.newest.version + 1
    fact = PolicyPublished(version=version, **command.model_dump())
    if state.newest is not None and fact == replace(state.newest, version=version):
        return []
    return [fact]


def _not_twice(command: PublishPolicy, asked: Asked) -> None:
    for row in asked.views.rows(POLICIES, template=command.template, step=command.step):
        same_cases = (row.category, row.priority) == (command.category, command.priority)
        if same_cases and row.policy != command.policy:
            raise Refusal(
                "limit-given-twice",
                f"policy={row.policy} limits the same cases of {command.template}/{command.step}; "
                f"publish a new version of it, or narrow this one down by category or priority",
                f"时限规则 {row.policy} 已适用于 {command.template}/{command.step} 的同类工单，"
                f"请发布该规则的新版本，或用类别、优先级区分",
            )


def _key(command: PublishPolicy) -> UUID:
    return entity_id("", "policy", command.policy)


POLICY = Decider("policy", Policy(), evolve)
COMMANDS = (Handle(PublishPolicy, POLICY, publish, key=_key),)
