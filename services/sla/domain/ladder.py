"""A ladder: who is asked after whom, version after version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from libs.events.contracts.sla import LadderPublished, Rung
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import Refusal
from services.sla.commands import PublishLadder
from services.sla.domain.rungs import ASKS


@dataclass(frozen=True, slots=True)
class Ladder:
    newest: LadderPublished | None = None


def evolve(state: Ladder, fact: LadderPublished) -> Ladder:
    return Ladder(fact)


def publish(state: Ladder, command: PublishLadder, asked: Asked) -> Sequence[Fact]:
    *lower, top = command.rungs
    for rung in command.rungs:
        if rung.asks not in ASKS:
            known = sorted(ASKS)
            raise Refusal(
                "unknown-rung",
                f"asks={rung.asks} of rung {rung.name} is not known; take one of: {', '.join(known)}",
                f"层级 {rung.name} 的询问对象 {rung.asks} 无效，可用：{'、'.join(known)}",
            )
    for rung in lower:
        if rung.answer_min is None:
            raise Refusal(
                "rung-without-time",
                f"answer_min of rung {rung.name} is missing; only the last rung may wait for ever",
                f"层级 {rung.name} 未设答复时限，只有最后一级可以不设",
            )
    if top.answer_min is not None:
        raise Refusal(
            "nobody-above",
            f"answer_min={top.answer_min} of the last rung {top.name} leads nowhere; leave it out",
            f"{top.name} 是最后一级，再无上级可升级，请去掉答复时限",
        )
    version = 1 if state.newest is None else state.newest.version + 1
    rungs = tuple(Rung(rung.name, rung.asks, rung.answer_min, rung.name_zh) for rung in command.rungs)
    fact = LadderPublished(command.ladder, version, command.starts, rungs)
    if state.newest is not None and fact == replace(state.newest, version=version):
        return []
    return [fact]


def no_such_ladder(ladder: str) -> Refusal:
    return Refusal(
        "unknown-ladder",
        f"ladder={ladder} is not published; publish the ladder first",
        f"升级路径 {ladder} 尚未发布，请先发布",
    )


def _key(command: PublishLadder) -> UUID:
    return entity_id("", "ladder", command.ladder)


LADDER = Decider("ladder", Ladder(), evolve)
COMMANDS = (Handle(PublishLadder, LADDER, publish, key=_key),)
