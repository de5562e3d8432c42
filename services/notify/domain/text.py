"""The words of a template, version after version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from libs.events.contracts.notify import TextPublished
from libs.events.deciding import Asked, Decider, Handle
from libs.events.entries import Fact, entity_id
from libs.events.errors import Refusal
from services.notify.commands import PublishText
from services.notify.domain.templates import PARAMETERS, parameters_of
from services.notify.domain.words import faults_of


@dataclass(frozen=True, slots=True)
class Text:
    newest: TextPublished | None = None


def evolve(state: Text, fact: TextPublished) -> Text:
    return Text(fact)


def publish(state: Text, command: PublishText, asked: Asked) -> Sequence[Fact]:
    if command.template not in PARAMETERS:
        known = sorted(PARAMETERS)
        raise Refusal(
            "unknown-template",
            f"template={command.template} is never sent; take one of: {', '.join(known)}",
            f"没有消息模板 {command.template}，可用：{'、'.join(known)}",
        )
    allowed = parameters_of(command.template)
    for field, text in (("en", command.en), ("zh", command.zh)):
        faults = faults_of(text, allowed)
        if faults:
            wrong, known = ", ".join(faults), sorted(allowed)
            raise Refusal(
                "text-cannot-be-filled",
                f"{field} of {command.template} holds {wrong}; it may use: {', '.join(known)}",
                f"{command.template} 的 {field} 文本含有 {wrong}，可用参数：{'、'.join(known)}",
            )
    version = 1 if state.newest is None else state.newest.version + 1
    fact = TextPublished(command.template, version, command.en, command.zh)
    if state.newest is not None and fact == replace(state.newest, version=version):
        return []
    return [fact]


def _key(command: PublishText) -> UUID:
    return entity_id("", "text", command.template)


TEXT = Decider("text", Text(), evolve)
COMMANDS = (Handle(PublishText, TEXT, publish, key=_key),)
