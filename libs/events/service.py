"""One service, declared: what it owns, hears, answers, shows and does by itself. Wiring reads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from libs.events.contract import Contract, Language
from libs.events.deciding import Handle
from libs.events.effects import Effect
from libs.events.entries import Fact
from libs.events.reactions import Reaction
from libs.events.timers import Timer
from libs.events.views import View


@dataclass(frozen=True, slots=True)
class Service:
    """`contract` is its own; `hears` are the contracts it listens to. It keeps the facts that a view or a reaction of
    its own names (`needs`), or all of them with `hears_everything` (the audit's ledger).
    """

    name: str
    contract: Contract
    hears: tuple[Contract, ...] = ()
    commands: tuple[Handle[Any, Any], ...] = ()
    views: tuple[View[Any], ...] = ()
    reactions: tuple[Reaction, ...] = ()
    timers: tuple[Timer, ...] = ()
    effects: tuple[Effect, ...] = ()
    hears_everything: bool = False

    @property
    def language(self) -> Language:
        return Language((self.contract, *self.hears))

    @property
    def needs(self) -> frozenset[type[Fact]]:
        """The fact classes that some view or reaction here names."""
        folded = {line.fact for view in self.views for line in view.folds}
        return frozenset(folded | {fact for reaction in self.reactions for fact in reaction.on})
