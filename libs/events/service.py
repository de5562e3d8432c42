"""One service, declared: what it owns, hears, answers, shows and does by itself. Wiring reads nothing else."""

from __future__ import annotations

from collections.abc import Iterator
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

    def __post_init__(self) -> None:
        """What can never be heard must not wait in silence."""
        said = {kind.fact for contract in (self.contract, *self.hears) for kind in contract.kinds.values()}
        said |= {Fact} if self.hears_everything else set()
        for what, facts in self._naming():
            deaf = sorted(f"{fact.__module__.rpartition('.')[2]}.{fact.__name__}" for fact in facts - said)
            if deaf:
                raise ValueError(
                    f"service {self.name}: {what} names {', '.join(deaf)}, which none of its contracts says; "
                    "list the class in the CONTRACT of its owner, and that contract in `hears` of this service"
                )

    def _naming(self) -> Iterator[tuple[str, set[type[Fact]]]]:
        for view in self.views:
            yield f"view {view.name}", {line.fact for line in view.folds}
        for reaction in self.reactions:
            yield f"reaction {reaction.name}", set(reaction.on)

    @property
    def language(self) -> Language:
        return Language((self.contract, *self.hears))

    @property
    def needs(self) -> frozenset[type[Fact]]:
        """The fact classes that some view or reaction here names."""
        folded = {line.fact for view in self.views for line in view.folds}
        return frozenset(folded | {fact for reaction in self.reactions for fact in reaction.on})
