"""One command often moves a case through several facts; each is noted upon the state that the ones before it made."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from libs.events.contracts.tasks import (
    CaseClosed,
    ConsultationAsked,
    HandoffOffered,
    StepCompleted,
    StepStarted,
    TemplatePublished,
    TemplateStep,
)
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from libs.organisation import departments_named
from services.tasks.domain.case import Case, CaseFact, evolve
from services.tasks.domain.choices import CLOSED_BY_SOURCE, CLOSING_RULES
from services.tasks.domain.raci import assigned, consulted_departments, unanswered
from services.tasks.views.templates import TEMPLATES


class Unfolding:
    """The facts that a command adds to a case: `facts`, and `case` as it stands after them."""

    def __init__(self, case: Case, template: TemplatePublished, asked: Asked) -> None:
        self.case, self.template, self._asked = case, template, asked
        self.facts: list[Fact] = []

    def note(self, *facts: CaseFact) -> None:
        for fact in facts:
            self.case = evolve(self.case, fact)
            self.facts.append(fact)

    def reach(self, moment: str, target_at: datetime | None = None) -> None:
        """Steps that this moment ends are completed, those that it begins are started and assigned.

        No step ends before everybody in a C seat of it was heard, unless it is the source that ends it.
        """
        for step in self.template.steps:
            if step.ends == moment and step.name in self.case.running:
                if moment != CLOSED_BY_SOURCE:
                    self._must_be_heard(step.name)
                self.note(StepCompleted(step.name))
        starting = [step for step in self.template.steps if step.starts == moment]
        for step in starting:
            self.note(self._started(step, target_at))
        self._assign(starting)
        self._consult(starting)

    def reassign(self) -> None:
        """Give the running steps the seats that follow from who is responsible now; unchanged ones stay."""
        self._assign(self._running())

    def consult(self, question: str = "", again: Collection[str] = ()) -> None:
        """Ask every department in a C seat of a running step that was not asked before; those of `again` also if they
        have answered something before.
        """
        self._consult(self._running(), question, again)

    def offer(self, receiver: str, note: str) -> None:
        self.note(HandoffOffered(self.case.offers + 1, self.case.holder, receiver, note))

    def close_if(self, moment: str, outcome: str) -> None:
        """Close the case if its template closes at this moment."""
        if CLOSING_RULES[self.template.closing_rule](moment):
            self.note(CaseClosed(outcome))

    def _must_be_heard(self, step: str) -> None:
        if silent := unanswered(self.case, step):
            who = departments_named(self._asked.views, silent)
            raise Refusal(
                "consulted-not-answered",
                f"consulted (C) and not heard yet: {who.en}; wait for the answer",
                f"须征询（C）的{who.zh}尚未答复，请等待答复",
            )

    def _running(self) -> list[TemplateStep]:
        return [step for step in self.template.steps if step.name in self.case.running]

    def _started(self, step: TemplateStep, target_at: datetime | None) -> StepStarted:
        case = self.case
        return StepStarted(step.name, case.template, case.category, case.priority, target_at, case.timeline)

    def _assign(self, steps: list[TemplateStep]) -> None:
        for step in steps:
            task = assigned(step, self.case, self._asked.views)
            if task != self.case.seats.get(step.name):
                self.note(task)

    def _consult(self, steps: list[TemplateStep], question: str = "", again: Collection[str] = ()) -> None:
        for step in steps:
            for department in consulted_departments(self.case.seats.get(step.name)):
                asked = (step.name, department)
                if asked not in self.case.asked or (department in again and asked in self.case.answered):
                    text = question or f"{step.name_zh} / {step.name_en}"
                    self.note(ConsultationAsked(step.name, department, text))


def unfold(case: Case, asked: Asked) -> Unfolding:
    """For a command on a case that is open; refuses a case that never was, and one that is closed."""
    if case.closed:
        raise Refusal(
            "case-closed",
            "the case is closed; open another one with a reference of its own",
            "工单已关闭，请用新的编号另开工单",
        )
    return Unfolding(case, template_of(case, asked), asked)


def template_of(case: Case, asked: Asked) -> TemplatePublished:
    """The version of the template that the case was opened with."""
    if not case.template:
        raise NotFound(
            "unknown-case", "there is no such case; look it up by its reference", "没有这个工单，请按编号查找"
        )
    row = asked.views.row(TEMPLATES, (case.template, case.template_version))
    if row is None:
        raise NotFound(
            "unknown-template",
            f"template={case.template} v{case.template_version} is not in the view templates; rebuild the view",
            f"流程 {case.template} 第 {case.template_version} 版不在视图中，请重建视图",
        )
    return row.content
