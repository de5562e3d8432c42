"""What people call the steps of a process: every version, for running cases keep theirs."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.contracts.tasks import TemplatePublished
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Steps:
    """`en` and `zh`: the name of each step, by its code."""

    template: str
    version: int
    en: dict[str, str]
    zh: dict[str, str]


def _published(row: Steps | None, fact: TemplatePublished, entry: Entry) -> Steps:
    return Steps(
        template=fact.template,
        version=fact.version,
        en={step.name: step.name_en for step in fact.steps},
        zh={step.name: step.name_zh for step in fact.steps},
    )


STEPS = View(
    name="steps",
    version=1,
    row=Steps,
    key=("template", "version"),
    folds=(on(TemplatePublished, _published, lambda fact, entry: ((fact.template, fact.version),)),),
)
