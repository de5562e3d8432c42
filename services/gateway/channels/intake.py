"""Taking foreign events in, the same way by HTTP and by Kafka: translated, asked once by (source, id), answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from libs.events.entries import entity_id
from libs.events.errors import BatonError, CommandReused, Refusal, Unavailable
from libs.events.handling import Answer, Request
from libs.service.cures import Cure
from libs.service.errors import BodyTooLarge, Contradicted, EventReused, Fault, WrongShape
from services.gateway.channels.cloudevents import InboundEvent
from services.gateway.channels.translation import Inbound, occurred_at, translate
from services.gateway.commands import AdvanceSource
from services.gateway.domain.request import Contradiction

Result = Literal["accepted", "duplicate"]
Untaken = (BatonError, BodyTooLarge)
WATERMARK_AHEAD_MAX = timedelta(days=1)
"""How far a source may promise beyond the domain clock's now: its clock and its day may be ahead of ours."""
_TENANT = Cure("this door speaks for another tenant; leave it out", "令牌属于另一租户，请删除此项")


class Asker(Protocol):
    """What handles commands: the service's handler."""

    async def ask(self, request: Request) -> Answer: ...


class Taken(NamedTuple):
    """What came of an event. A duplicate is answered and not stored."""

    result: Result
    subject: UUID
    position: int


class Intake:
    """Takes events for one tenant in one actor's name."""

    def __init__(self, asker: Asker, *, tenant: str, actor: str, now: Callable[[], datetime]) -> None:
        self._asker, self._tenant, self._actor, self._now = asker, tenant, actor, now

    async def take(self, event: InboundEvent) -> Taken:
        """Ask what the event asks for. Sending it again changes nothing; the same id with other content is refused."""
        return await self._ask(event, self._translated(event))

    async def take_all(self, events: Sequence[InboundEvent | WrongShape]) -> list[Taken | BatonError | BodyTooLarge]:
        """Each event's own result, in their order. Events of one subject are taken one after the other, and a
        watermark after all that came before it; the rest goes side by side. Raises Unavailable: send it all again.
        """
        results: list[Taken | BatonError | BodyTooLarge] = []
        ready: dict[UUID, list[tuple[int, InboundEvent, Inbound]]] = {}
        for index, event in enumerate(events):
            results.append(_UNTAKEN)
            if isinstance(event, WrongShape):
                results[index] = event
                continue
            try:
                inbound = self._translated(event)
            except WrongShape as fault:
                results[index] = fault
                continue
            if isinstance(inbound.command, AdvanceSource):
                await self._take_side_by_side(ready, results)
                ready = {}
            ready.setdefault(inbound.subject, []).append((index, event, inbound))
        await self._take_side_by_side(ready, results)
        return results

    async def _take_side_by_side(
        self,
        ready: dict[UUID, list[tuple[int, InboundEvent, Inbound]]],
        results: list[Taken | BatonError | BodyTooLarge],
    ) -> None:
        # As many at once as a batch may hold subjects (BATCH_EVENTS_MAX), far below the journal's queue.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._take_in_order(queue, results)) for queue in ready.values()]
        away = next((found for task in tasks if (found := task.result()) is not None), None)
        if away is not None:
            raise away

    async def _take_in_order(
        self, queue: list[tuple[int, InboundEvent, Inbound]], results: list[Taken | BatonError | BodyTooLarge]
    ) -> Unavailable | None:
        for index, event, inbound in queue:
            try:
                results[index] = await self._ask(event, inbound)
            except Unavailable as away:
                return away
            except Untaken as refusal:
                results[index] = refusal
        return None

    def _translated(self, event: InboundEvent) -> Inbound:
        if event.tenant not in (None, self._tenant):
            raise WrongShape([Fault(event.named("tenant"), *_TENANT, event.tenant)])
        return translate(event, self._tenant)

    async def _ask(self, event: InboundEvent, inbound: Inbound) -> Taken:
        now = self._now()
        _require_reached(inbound, event.source, now)
        request = Request(
            command=inbound.command,
            tenant=self._tenant,
            actor=self._actor,
            command_id=inbound_id(self._tenant, event.source, event.id),
            at=occurred_at(inbound, event.timeline, now),
        )
        try:
            answer = await self._asker.ask(request)
        except Contradiction as found:
            faults = [inbound.fault(event, each) for each in found.differing]
            # An order's title and form tell of one and the same customer.
            raise Contradicted(found, {fault.field: fault for fault in faults}.values()) from found
        except CommandReused as reused:
            raise EventReused(event.source, event.id, reused) from reused
        return Taken(result_of(answer), inbound.subject, answer.position)


def _require_reached(inbound: Inbound, source: str, now: datetime) -> None:
    """A watermark only rises: one from the far future would judge every case of its source, and stay for good."""
    command = inbound.command
    if isinstance(command, AdvanceSource) and command.up_to > now + WATERMARK_AHEAD_MAX:
        said, here = command.up_to.isoformat(), now.isoformat()
        raise Refusal(
            "source-ahead",
            f"data.up_to={said}: {source} promises more than a day beyond {here}, the domain clock's now; send an "
            "instant up to which all of it has been sent",
            f"data.up_to={said}：来源 {source} 声明的时刻比当前业务时间 {here} 超前一天以上；"
            "请填写一个时刻，此前的数据均已发送",
        )


def result_of(answer: Answer) -> Result:
    return "duplicate" if answer.known or not answer.facts else "accepted"


def inbound_id(tenant: str, source: str, name: str) -> UUID:
    """The command's id by what a CloudEvent is known by. The length keeps ("a", "bc") and ("ab", "c") apart."""
    return entity_id(tenant, "inbound", f"{len(source)}:{source}{name}")


_UNTAKEN = BatonError("not taken yet")
