"""By which channels messages leave the inbox, person by person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from libs.events.contracts.notify import ChannelChosen, ChannelDropped
from libs.events.entries import Entry
from libs.events.views import View, on


@dataclass(frozen=True, slots=True)
class Channel:
    """`choice`: of person, channel and address; the secret of a webhook derives from it."""

    person: str
    channel: str
    address: str
    zone: str
    choice: UUID


def _chosen(row: Channel | None, fact: ChannelChosen, entry: Entry) -> Channel:
    return Channel(fact.person, fact.channel, fact.address, fact.zone, fact.choice)


def _dropped(row: Channel | None, fact: ChannelDropped, entry: Entry) -> None:
    return None


def _key(fact: Any, entry: Entry) -> tuple[tuple[str, str]]:
    return ((fact.person, fact.channel),)


CHANNELS = View(
    name="channels",
    version=1,
    row=Channel,
    key=("person", "channel"),
    folds=(on(ChannelChosen, _chosen, _key), on(ChannelDropped, _dropped, _key)),
)
