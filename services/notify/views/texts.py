"""The words of every template: every version, for posted messages keep theirs."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.contracts.notify import TextPublished
from libs.events.entries import Entry
from libs.events.views import Look, View, on


@dataclass(frozen=True, slots=True)
class Text:
    template: str
    version: int
    en: str
    zh: str


def _published(row: Text | None, fact: TextPublished, entry: Entry) -> Text:
    return Text(fact.template, fact.version, fact.en, fact.zh)


TEXTS = View(
    name="texts",
    version=1,
    row=Text,
    key=("template", "version"),
    folds=(on(TextPublished, _published, lambda fact, entry: ((fact.template, fact.version),)),),
)


def newest_text(look: Look, template: str) -> Text | None:
    return max(look.rows(TEXTS, template=template), key=lambda row: row.version, default=None)
