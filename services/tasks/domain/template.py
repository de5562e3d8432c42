"""Templates: what may be published. Each rule names the line that breaks it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import assert_never

from libs.events.contracts.tasks import FormField, RaciSeats, TemplatePublished, TemplateStep
from libs.events.deciding import Asked, Decider
from libs.events.entries import Fact
from libs.events.errors import Refusal
from services.tasks.commands import PublishTemplate, Step
from services.tasks.domain.choices import (
    ACTS,
    ACTS_OF_INTAKE,
    ANY_CATEGORY,
    CLOSING_RULES,
    INTAKES,
    MOMENTS,
    ROUTING_RULES,
    SOLUTION_GIVEN,
)
from services.tasks.domain.raci import DEPARTMENT_SEAT, SEATS, is_known_seat
from services.tasks.domain.rights import OF_RESPONSIBLE, RIGHTS


@dataclass(frozen=True, slots=True)
class Published:
    """`last`: the version that new cases take, None before the first."""

    last: TemplatePublished | None = None


def evolve(state: Published, fact: TemplatePublished) -> Published:
    match fact:
        case TemplatePublished():
            return Published(fact)
        case _:
            assert_never(fact)


def publish_template(state: Published, command: PublishTemplate, asked: Asked) -> Sequence[Fact]:
    """A new version, unless it says what the last one says."""
    _check(command)
    version = state.last.version if state.last else 0
    if state.last == _published(command, version):
        return []
    return [_published(command, version + 1)]


def _check(command: PublishTemplate) -> None:
    _one_of("intake", command.intake, INTAKES)
    _one_of("routing_rule", command.routing_rule, ROUTING_RULES)
    _one_of("closing_rule", command.closing_rule, CLOSING_RULES)
    _unique("form", [field.name for field in command.form])
    _unique("steps", [step.name for step in command.steps])
    for act, right in command.who.items():
        _one_of("who", act, ACTS)
        _one_of(f"who.{act}", right, RIGHTS)
    for act in ACTS_OF_INTAKE[command.intake]:
        if act not in command.who:
            raise _refused("who", act, f"is missing; intake {command.intake} needs a line for it", "缺少，请补上")
    if command.routing_rule == "by-category" and not command.routing:
        raise _refused("routing", "{}", f"is empty; give it a line, '{ANY_CATEGORY}' for every category", "不能为空")
    for step in command.steps:
        _check_step(step)
    for act, right in command.who.items():
        if right == OF_RESPONSIBLE and SOLUTION_GIVEN not in (step.ends for step in command.steps):
            raise _refused(
                f"who.{act}",
                right,
                f"means the R of the step that ends in {SOLUTION_GIVEN}; add that step",
                f"指以 {SOLUTION_GIVEN} 结束的步骤的负责方（R），请补上该步骤",
            )


def _check_step(step: Step) -> None:
    where = f"steps.{step.name}"
    _one_of(f"{where}.starts", step.starts, MOMENTS)
    _one_of(f"{where}.ends", step.ends, MOMENTS)
    if MOMENTS.index(step.ends) <= MOMENTS.index(step.starts):
        raise _refused(f"{where}.ends", step.ends, f"is not after {step.starts}; choose a later moment", "必须晚于开始")
    raci = step.raci
    if len(raci.accountable) != 1:
        raise Refusal(
            "one-accountable",
            f"{where}.accountable={list(raci.accountable)}: exactly one seat is accountable (A); name it",
            f"步骤“{step.name_zh}”必须有且只有一个最终负责方（A），请指定",
        )
    if not raci.responsible:
        raise Refusal(
            "no-responsible",
            f"{where}.responsible=[]: at least one seat is responsible (R); name it",
            f"步骤“{step.name_zh}”至少需要一个负责方（R），请指定",
        )
    for seat in (*raci.responsible, *raci.accountable, *raci.consulted, *raci.informed):
        if not is_known_seat(seat):
            raise _refused(
                where,
                seat,
                f"is no seat; write dept:…, person:…, role:… or one of {', '.join(sorted(SEATS))}",
                f"不是有效席位，请写 dept:…、person:…、role:… 或以下之一：{'、'.join(sorted(SEATS))}",
            )
    for seat in raci.consulted:
        if not (seat.startswith(DEPARTMENT_SEAT) or seat.endswith("-department")):
            raise _refused(
                f"{where}.consulted", seat, "is no department; departments are consulted", "不是部门，只能征询部门"
            )


def _published(command: PublishTemplate, version: int) -> TemplatePublished:
    return TemplatePublished(
        template=command.template,
        version=version,
        name_en=command.name_en,
        name_zh=command.name_zh,
        intake=command.intake,
        opening_department=command.opening_department,
        form=tuple(FormField(field.name, field.label_en, field.label_zh, field.required) for field in command.form),
        steps=tuple(_step(step) for step in command.steps),
        routing_rule=command.routing_rule,
        routing=dict(command.routing),
        closing_rule=command.closing_rule,
        who=dict(command.who),
        bounce_limit=command.bounce_limit,
        call_back_after_h=command.call_back_after_h,
    )


def _step(step: Step) -> TemplateStep:
    raci = step.raci
    seats = RaciSeats(raci.responsible, raci.accountable[0], raci.consulted, raci.informed)
    return TemplateStep(step.name, step.name_en, step.name_zh, step.starts, step.ends, seats)


def _one_of(field: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        en, zh = ", ".join(choices), "、".join(choices)
        raise _refused(field, value, f"is not known; choose one of {en}", f"无效，可选：{zh}")


def _unique(field: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused(field, ", ".join(twice), "is there twice; each name once", "重复，每个名称只能出现一次")


def _refused(field: str, value: str, en: str, zh: str) -> Refusal:
    return Refusal("template-invalid", f"{field}={value} {en}", f"流程模板有误：{field}={value} {zh}")


TEMPLATE = Decider("template", Published(), evolve)
