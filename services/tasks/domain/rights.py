"""Who may act on a case: named functions that a template's `who` chooses, act by act. Each returns or refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from libs.events.contracts.tasks import TemplatePublished
from libs.events.deciding import Asked
from libs.events.errors import Forbidden, Refusal
from libs.events.views import Look
from libs.organisation import (
    board,
    common_superior,
    contact_of,
    department_of,
    department_seat,
    lead_of,
    person_seat,
    seats_named,
    sits_in,
)
from services.tasks.domain.case import Case
from services.tasks.domain.choices import solution_step


def may(act: str, case: Case, template: TemplatePublished, asked: Asked) -> None:
    """Refuses an act that the template does not have, and an actor whom it does not allow."""
    right = template.who.get(act)
    if right is None:
        raise Refusal(
            "no-such-act",
            f"template {template.template} v{template.version} has no act '{act}'; publish one that does",
            f"流程“{template.name_zh}”第 {template.version} 版没有动作“{act}”，请发布包含该动作的流程",
        )
    RIGHTS[right](case, template, asked)


def of_opening_department(case: Case, template: TemplatePublished, asked: Asked) -> None:
    """Where the case was opened; before that, where the template opens it."""
    must_work_in(case.opened_in or template.opening_department, "not-opening-department", asked)


def of_holder(case: Case, template: TemplatePublished, asked: Asked) -> None:
    must_work_in(case.holder, "not-holder", asked)


def of_receiver(case: Case, template: TemplatePublished, asked: Asked) -> None:
    """The department that is asked to take the case; nobody is shut out while nobody is asked."""
    if case.offer is not None:
        must_work_in(case.offer.receiver, "not-receiver", asked)


def responsible(case: Case, template: TemplatePublished, asked: Asked) -> None:
    """Who sits in an R seat of the solution."""
    step = case.seats.get(solution_step(template))
    seats = step.responsible if step else ()
    if not seats:
        raise Refusal(
            "nobody-responsible",
            "nobody is responsible (R) for a solution yet; complete the form first, which routes the case",
            "尚无部门负责解决方案（R），请先填写完整表单，工单随后转给责任部门",
        )
    if not any(sits_in(asked.views, asked.actor, seat) for seat in seats):
        raise _forbidden("not-responsible", asked, seats)


def above_the_conflict(case: Case, template: TemplatePublished, asked: Asked) -> None:
    allowed = rulers(case, asked.views)
    if not allowed:
        raise Forbidden(
            "nobody-above-the-conflict",
            f"actor={asked.actor} may not rule, nor may anybody else yet; name the decision board in directory",
            f"{asked.actor} 无权裁决，目前也没有其他人有权裁决，请先在组织目录中指定决策委员会",
        )
    if asked.actor not in allowed:
        raise _forbidden("not-above-the-conflict", asked, [person_seat(person) for person in allowed])


def rulers(case: Case, look: Look) -> tuple[str, ...]:
    """Who may rule: the common superior of those who answer for the conflict's departments, and the board."""
    parties = [contact_of(look, dept, case.holder) or lead_of(look, dept) for dept in case.conflict]
    above = common_superior(look, *(party for party in parties if party is not None))
    return (*((above,) if above else ()), *board(look))


def must_work_in(department: str, rule: str, asked: Asked) -> None:
    if department_of(asked.views, asked.actor) != department:
        raise _forbidden(rule, asked, [department_seat(department)])


def _forbidden(rule: str, asked: Asked, allowed: Iterable[str]) -> Forbidden:
    """`allowed`: the seats that may."""
    who = seats_named(asked.views, allowed)
    stranger = department_of(asked.views, asked.actor) is None
    return Forbidden(
        rule,
        f"actor={asked.actor} {'is not registered in directory and ' if stranger else ''}may not do this; let {who.en} "
        "do it",
        f"{asked.actor} {'尚未在组织目录中登记，' if stranger else ''}无权执行此操作，请由{who.zh}执行",
    )


OF_RESPONSIBLE = "responsible"
RIGHTS: Mapping[str, Callable[[Case, TemplatePublished, Asked], None]] = {
    "opening-department": of_opening_department,
    "holder": of_holder,
    "receiver": of_receiver,
    OF_RESPONSIBLE: responsible,
    "above-the-conflict": above_the_conflict,
}
