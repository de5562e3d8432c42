"""One delivery of an issue tracker, known by its body's hash: the same body is the same delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from libs.events.contracts.gateway import DeliveryAltered, WorkItemReported
from libs.events.deciding import Asked, Decider, Handle
from services.gateway.commands import NoteAlteredDelivery, ReportWorkItem

DeliveryFact = WorkItemReported | DeliveryAltered


@dataclass(frozen=True, slots=True)
class Delivery:
    """`identifiers`: those under which this body came though they had brought another one before."""

    reported: bool = False
    identifiers: frozenset[str] = frozenset()


def evolve(state: Delivery, fact: DeliveryFact) -> Delivery:
    match fact:
        case WorkItemReported():
            return Delivery(True, state.identifiers)
        case DeliveryAltered(identifier=identifier):
            return Delivery(state.reported, state.identifiers | {identifier})
        case _:
            assert_never(fact)


def report(state: Delivery, command: ReportWorkItem, asked: Asked) -> Sequence[WorkItemReported]:
    if state.reported:
        return []
    return [
        WorkItemReported(
            tracker=command.tracker,
            host=command.host,
            event=command.event,
            digest=command.digest,
            item=command.item,
            key=command.key,
            summary=command.summary,
            status=command.status,
            assignee=command.assignee,
            changed=command.changed,
            tracker_at=command.tracker_at,
            updated_at=command.updated_at,
            change=command.change,
            said=command.said,
            gone=command.gone,
        )
    ]


def note_altered(state: Delivery, command: NoteAlteredDelivery, asked: Asked) -> Sequence[DeliveryAltered]:
    if command.identifier in state.identifiers:
        return []
    return [DeliveryAltered(command.tracker, command.identifier, command.digest)]


DELIVERY = Decider("delivery", Delivery(), evolve)
HANDLES = (
    Handle(
        ReportWorkItem,
        DELIVERY,
        report,
        key=lambda command: command.delivery,
        subject=lambda command: command.work_item,
    ),
    Handle(NoteAlteredDelivery, DELIVERY, note_altered, key=lambda command: command.delivery),
)
