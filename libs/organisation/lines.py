"""Reporting lines: who stands above whom, and who stands above all of several people."""

from __future__ import annotations

from collections.abc import Mapping

from libs.events.errors import Refusal
from libs.events.views import Look
from libs.organisation.views import BOARD, PEOPLE, THE_BOARD

LINE_PEOPLE_MAX = 64


def superiors(look: Look, person: str) -> tuple[str, ...]:
    """Everybody above `person`, nearest first; empty for the top and for a stranger."""
    line: list[str] = []
    row = look.row(PEOPLE, person)
    while row is not None and row.reports_to is not None:
        line.append(row.reports_to)
        if len(line) > LINE_PEOPLE_MAX:
            raise line_too_long(person)
        row = look.row(PEOPLE, row.reports_to)
    return tuple(line)


def common_superior(look: Look, *people: str) -> str | None:
    """The nearest person who stands above all of `people`, who is none of them; None where there is nobody."""
    return nearest_common({person: superiors(look, person) for person in people})


def nearest_common(lines: Mapping[str, tuple[str, ...]]) -> str | None:
    """The first person of one line who is in every other; `lines`: person → everybody above, nearest first.

    Strictly above: one of the parties never judges its own case.
    """
    if not lines:
        return None
    first, *others = lines.values()
    above_all = set(first).intersection(*others) - lines.keys()
    return next((superior for superior in first if superior in above_all), None)


def board(look: Look) -> tuple[str, ...]:
    """The people of the decision board; empty until one was named."""
    row = look.row(BOARD, THE_BOARD)
    return () if row is None else row.people


def line_too_long(person: str) -> Refusal:
    return Refusal(
        "reporting-line-too-long",
        f"more than {LINE_PEOPLE_MAX} people stand above {person}; correct the reporting line in directory",
        f"{person} 的汇报线超过 {LINE_PEOPLE_MAX} 级，请在组织目录中更正",
    )
