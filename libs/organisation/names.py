"""Departments, people and seats in words, English and Chinese. Whom directory never named is called by the code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from libs.events.views import Look
from libs.organisation.views import DEPARTMENTS, PEOPLE


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


def departments_named(look: Look, codes: Iterable[str]) -> Words:
    """All of them, one after the other."""
    rows = [(code, look.row(DEPARTMENTS, code)) for code in codes]
    return Words(
        ", ".join(code if row is None else row.name_en for code, row in rows),
        "、".join(code if row is None else row.name_zh for code, row in rows),
    )


def person_named(look: Look, code: str) -> str:
    row = look.row(PEOPLE, code)
    return code if row is None else row.name


def seats_named(look: Look, seats: Iterable[str]) -> Words:
    """Any one of them: somebody in the department, the person with the code, or whoever has the role."""
    found = [_seat(look, seat) for seat in seats]
    return Words(" or ".join(words.en for words in found), "或".join(words.zh for words in found))


def _seat(look: Look, seat: str) -> Words:
    kind, _, name = seat.partition(":")
    if kind == "dept":
        department = departments_named(look, (name,))
        return Words(f"somebody in {department.en}", department.zh)
    if kind == "person":
        known = person_named(look, name)
        return Words(f"{known} ({name})", f"{known}（{name}）")
    return Words(f"whoever has the role {name}", f"角色为 {name} 的人员")
