"""How a case begins and how its source ends it: opening, the form, routing."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.gateway import PRIORITIES
from libs.events.contracts.tasks import (
    CaseOpened,
    CaseRouted,
    FormCompleted,
    SourceCloseDeclined,
    TemplatePublished,
)
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from libs.events.views import Look
from libs.organisation import departments_named
from services.tasks.commands import CloseBySource, CompleteForm, OpenCase
from services.tasks.domain.case import Case
from services.tasks.domain.choices import (
    AT_ONCE,
    CLOSED_BY_SOURCE,
    CLOSING_RULES,
    COMPLETE_FORM,
    FORM_COMPLETED,
    OPEN_CASE,
    OPENED,
    ROUTED,
    ROUTING_RULES,
)
from services.tasks.domain.handing import must_be_known
from services.tasks.domain.rights import may
from services.tasks.domain.unfolding import Unfolding, template_of, unfold
from services.tasks.views.templates import TEMPLATES


def open_case(case: Case, command: OpenCase, asked: Asked) -> Sequence[Fact]:
    """The same source and reference open one case, however often they ask; who says other words is told so."""
    if case.opened is not None:
        _same_words(case.opened, command)
        return []
    try:
        return _opening(case, command, asked)
    except Refusal as refusal:
        if not _by_itself(asked.actor):
            raise
        raise _stands_as_received(refusal) from refusal


def _opening(case: Case, command: OpenCase, asked: Asked) -> Sequence[Fact]:
    template = _current(command.template, asked)
    if not _by_itself(asked.actor):
        may(OPEN_CASE, case, template, asked)
        _known_words(template, command, asked)
    if command.department is not None and not command.timeline:  # an import's departments may be gone by now
        must_be_known("department", command.department, asked)
    unfolding = Unfolding(case, template, asked)
    if template.intake == AT_ONCE:
        routed = _routed(template, command.category, command.department, asked.views)
        unfolding.note(_opened(template, command, routed.department))
        unfolding.reach(OPENED, command.target_at)
        unfolding.note(routed)
        unfolding.reach(ROUTED, command.target_at)
    else:
        unfolding.note(_opened(template, command, template.opening_department))
        unfolding.reach(OPENED)
    return unfolding.facts


def complete_form(case: Case, command: CompleteForm, asked: Asked) -> Sequence[Fact]:
    """A complete form is routed and offered at once. The case stays with its holder until somebody accepts."""
    unfolding = unfold(case, asked)
    template = unfolding.template
    may(COMPLETE_FORM, case, template, asked)
    if case.responsible:
        raise Refusal(
            "form-completed",
            "the form is complete already; its department accepts or rejects the case",
            "表单已完成，请由接收部门接收或退回工单",
        )
    form = {**case.form, **command.form}
    _only_fields_of(template, command.form)
    _no_field_missing(template, form)
    unfolding.note(FormCompleted(form, command.category or ""))
    unfolding.reach(FORM_COMPLETED)
    unfolding.note(_routed(template, unfolding.case.category, None, asked.views))
    unfolding.reach(ROUTED)
    unfolding.offer(unfolding.case.responsible, note="")
    return unfolding.facts


def close_by_source(case: Case, command: CloseBySource, asked: Asked) -> Sequence[Fact]:
    """Closes a case whose template leaves that to the source; another process goes on to its own end, and says so."""
    template = template_of(case, asked)
    if case.closed or case.close_declined:
        return []
    if not CLOSING_RULES[template.closing_rule](CLOSED_BY_SOURCE):
        return [SourceCloseDeclined(command.outcome, f"closing_rule={template.closing_rule}")]
    unfolding = Unfolding(case, template, asked)
    unfolding.reach(CLOSED_BY_SOURCE)
    unfolding.close_if(CLOSED_BY_SOURCE, command.outcome)
    return unfolding.facts


def _known_words(template: TemplatePublished, command: OpenCase, asked: Asked) -> None:
    """Who opens a case at the desk can correct a word at once; later it would leave the case without a way on.

    A request from outside is not turned away for its category: the holder corrects that with the form. Nor is it for a
    due instant that its process does not use, or a field that its form does not have: that stays on record with the
    request, at the desk it would be lost, or was meant for another field.
    """
    _routed(template, command.category, command.department, asked.views)
    if command.target_at is not None and template.intake != AT_ONCE:
        raise Refusal(
            "target-not-used",
            f"target_at={command.target_at.isoformat()}: a case of {template.template} is due by its own time limits; "
            "leave target_at out",
            f"流程“{template.name_zh}”按自身时限计算到期时间，不使用 target_at，请去掉该字段",
        )
    if command.priority not in PRIORITIES:
        raise Refusal(
            "unknown-priority",
            f"priority={command.priority} is not known; take one of: {', '.join(PRIORITIES)}",
            f"没有优先级 {command.priority}，可用：{'、'.join(PRIORITIES)}",
        )
    _only_fields_of(template, command.form)


def _same_words(opened: CaseOpened, command: OpenCase) -> None:
    said = ("template", "category", "priority", "title", "form")
    other = [name for name in said if getattr(opened, name) != getattr(command, name)]
    if other:
        raise Refusal(
            "case-opened-before",
            f"reference={opened.reference} of source={opened.source} was opened before with other {', '.join(other)}; "
            "take another reference, or go on with that case",
            f"来源 {opened.source} 的编号 {opened.reference} 已立案，但内容不同（{'、'.join(other)}）；"
            "请换一个编号，或继续处理原工单",
        )


def _stands_as_received(refusal: Refusal) -> Refusal:
    """Nobody can correct a word of a request that was received, so its parked reaction says what helps instead."""
    return type(refusal)(
        refusal.rule,
        f"{refusal.en}. What was received stands: publish or register what is missing and retry this, or let the "
        "source send it corrected under another reference and drop this",
        f"{refusal.zh}。已接收的请求不能更改：请发布或登记缺失项后重试，或由来源方更正后换一个编号重新发送，并放弃此条",
    )


def _by_itself(actor: str) -> bool:
    """Whether a reaction asks, `<service>/<reaction>`, and not a person."""
    return "/" in actor


def _current(name: str, asked: Asked) -> TemplatePublished:
    rows = asked.views.rows(TEMPLATES, template=name, current=True)
    if not rows:
        raise NotFound(
            "unknown-template",
            f"template={name} was never published; publish it or correct the name",
            f"流程 {name} 尚未发布，请先发布或更正名称",
        )
    return rows[0].content


def _opened(template: TemplatePublished, command: OpenCase, holder: str) -> CaseOpened:
    return CaseOpened(
        case_id=command.case_id,
        source=command.source,
        reference=command.reference,
        template=template.template,
        template_version=template.version,
        category=command.category,
        priority=command.priority,
        title=command.title,
        form=command.form,
        holder=holder,
        timeline=command.timeline,
    )


def _routed(template: TemplatePublished, category: str, department: str | None, look: Look) -> CaseRouted:
    routed = ROUTING_RULES[template.routing_rule](template, category, department)
    if routed is None:
        known = ", ".join(template.routing) or "none"
        known_zh = (
            "、".join(f"{name}（{departments_named(look, [to]).zh}）" for name, to in template.routing.items()) or "无"
        )
        raise Refusal(
            "no-route",
            f"category={category} has no line in the routing of {template.template}; publish a line or take one of: "
            f"{known}",
            f"类别 {category} 在流程“{template.name_zh}”中没有责任部门，请在流程中为其指定，或改用：{known_zh}",
        )
    return routed


def _only_fields_of(template: TemplatePublished, form: dict[str, str]) -> None:
    known = {field.name for field in template.form}
    if strange := sorted(form.keys() - known):
        fields_zh = "、".join(f"{field.label_zh}（{field.name}）" for field in template.form) or "无"
        raise Refusal(
            "unknown-field",
            f"form has no {', '.join(strange)}; its fields are {', '.join(sorted(known)) or 'none'}",
            f"表单没有字段 {'、'.join(strange)}，可填字段：{fields_zh}",
        )


def _no_field_missing(template: TemplatePublished, form: dict[str, str]) -> None:
    missing = [field for field in template.form if field.required and not form.get(field.name, "").strip()]
    if missing:
        raise Refusal(
            "fields-missing",
            f"form lacks {', '.join(field.name for field in missing)}; fill them in",
            f"表单缺少：{'、'.join(field.label_zh for field in missing)}，请补全",
        )
