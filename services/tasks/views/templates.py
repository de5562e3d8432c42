"""Which processes there are: every version, and which one new cases take."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.events.contracts.tasks import TemplatePublished
from libs.events.entries import Entry
from libs.events.views import View, on


class Template(msgspec.Struct, frozen=True):
    """`current`: new cases are opened with this version."""

    template: str
    version: int
    current: bool
    published_at: datetime
    content: TemplatePublished


def _published(row: Template | None, fact: TemplatePublished, entry: Entry) -> Template:
    if row is not None and row.version != fact.version:
        return msgspec.structs.replace(row, current=False)
    return Template(fact.template, fact.version, True, entry.occurred_at, fact)


def _this_version_and_the_one_before(fact: TemplatePublished, entry: Entry) -> tuple[tuple[str, int], ...]:
    before = ((fact.template, fact.version - 1),) if fact.version > 1 else ()
    return (*before, (fact.template, fact.version))


TEMPLATES = View(
    name="templates",
    version=1,
    row=Template,
    key=("template", "version"),
    folds=(on(TemplatePublished, _published, _this_version_and_the_one_before),),
)
