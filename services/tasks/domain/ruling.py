"""Conflicts: who stands above the parties decides, and the consulted are heard."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.tasks import ConflictRuled, ConsultationAnswered
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from libs.organisation import departments_named
from services.tasks.commands import AnswerConsultation, Rule
from services.tasks.domain.case import Case
from services.tasks.domain.choices import RULE
from services.tasks.domain.handing import must_be_known
from services.tasks.domain.rights import may, must_work_in
from services.tasks.domain.unfolding import unfold


def rule(case: Case, command: Rule, asked: Asked) -> Sequence[Fact]:
    """The ruling binds: its department is responsible from now on, and is offered the case once more, to accept."""
    unfolding = unfold(case, asked)
    if not case.conflict:
        raise Refusal(
            "no-conflict",
            "nobody disputes the case; let its holder or receiver act",
            "该工单没有待裁决的争议，请由经办部门或接收部门处理",
        )
    may(RULE, case, unfolding.template, asked)
    must_be_known("responsible", command.responsible, asked)
    consulted = tuple(dict.fromkeys(command.consulted))
    for department in consulted:
        must_be_known("consulted", department, asked)
    if command.responsible in consulted:
        itself = departments_named(asked.views, [command.responsible])
        raise Refusal(
            "responsible-consulted",
            f"consulted={command.responsible} is responsible itself; leave it out",
            f"{itself.zh}已是责任部门，无需再征询，请从征询部门中去掉",
        )
    unfolding.note(ConflictRuled(asked.actor, command.responsible, consulted, command.reason))
    unfolding.reassign()
    unfolding.offer(command.responsible, command.reason)
    unfolding.consult(command.question or command.reason, again=consulted)
    return unfolding.facts


def answer_consultation(case: Case, command: AnswerConsultation, asked: Asked) -> Sequence[Fact]:
    """One answer counts for every running step that asked this department."""
    unfolding = unfold(case, asked)
    must_work_in(command.department, "not-consulted", asked)
    steps = [step for step, department in sorted(case.asked) if department == command.department]
    if not steps:
        stranger = departments_named(asked.views, [command.department])
        raise NotFound(
            "unknown-consultation",
            f"department={command.department} was not asked in this case; look up who was",
            f"该工单没有征询{stranger.zh}，请查看已征询的部门",
        )
    for step in steps:
        if (step, command.department) not in case.answered:
            unfolding.note(ConsultationAnswered(step, command.department, command.answer))
    return unfolding.facts
