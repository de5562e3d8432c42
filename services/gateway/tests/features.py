"""Cases of a Gherkin feature, as far as the CloudEvents conformance tests use the language: one per example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

Table = list[list[str]]
_STEP = re.compile(r"(Given|And|When|Then) (.+)")


@dataclass
class Step:
    """A step's words, and the text or the table below it."""

    words: str
    text: str = ""
    table: Table = field(default_factory=list)


@dataclass
class Case:
    """A scenario with the values of one example put in."""

    name: str
    steps: list[Step]

    def text(self, words: str) -> str:
        return self._step(words).text

    def pairs(self, words: str) -> dict[str, str]:
        """The table of two columns below this step, without its head."""
        return {row[0]: row[1] for row in self._step(words).table[1:]}

    def _step(self, words: str) -> Step:
        (found,) = (step for step in self.steps if step.words == words)
        return found


def cases(feature: Path) -> Iterator[Case]:
    _, *scenarios = re.split(r"^ *Scenario(?: Outline)?: ", feature.read_text("utf-8"), flags=re.M)
    for scenario in scenarios:
        outline, _, below = scenario.partition("Examples:")
        head, *rows = [_cells(line) for line in below.splitlines() if line.strip()] or [[], []]
        for row in rows:
            told = outline
            for name, value in zip(head, row, strict=True):
                told = told.replace(f"<{name}>", value)
            yield _case(told)


def _case(told: str) -> Case:
    name, *lines = told.splitlines()
    case, quoted = Case(name, []), list[str]()
    inside = False
    for line in lines:
        bare = line.strip()
        if bare == '"""':
            if inside:
                case.steps[-1].text = dedent("\n".join(quoted))
            inside, quoted = not inside, []
        elif inside:
            quoted.append(line)
        elif bare.startswith("|"):
            case.steps[-1].table.append(_cells(line))
        elif step := _STEP.fullmatch(bare):
            case.steps.append(Step(step[2].removesuffix(":")))
        elif bare:
            raise ValueError(f"{name}: {bare!r} is no step")
    return case


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
