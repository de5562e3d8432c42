"""One request of a source: received once, closed once. A message that contradicts an earlier one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

import msgspec

from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.deciding import Asked, Decider, Handle
from libs.events.errors import NotFound, Refusal
from services.gateway.commands import CloseRequest, ReceiveRequest

RequestFact = RequestReceived | RequestClosed
DAY_MAX = timedelta(hours=25)
"""A date means the end of its day: what happened on that day may be named so much earlier (clocks were set back)."""


@dataclass(frozen=True, slots=True)
class Request:
    received: RequestReceived | None = None
    closed: RequestClosed | None = None


def evolve(state: Request, fact: RequestFact) -> Request:
    match fact:
        case RequestReceived():
            return replace(state, received=fact)
        case RequestClosed():
            return replace(state, closed=fact)
        case _:
            assert_never(fact)


def receive(state: Request, command: ReceiveRequest, asked: Asked) -> Sequence[RequestReceived]:
    fact = RequestReceived(
        source=command.source,
        reference=command.reference,
        template=command.template,
        category=command.category,
        title=command.title,
        form=dict(command.form),
        priority=command.priority,
        department=command.department,
        target_at=command.target_at,
        timeline=command.timeline,
        happened_at=command.happened_at,
    )
    if state.received is None:
        return [fact]
    if _says_the_same(state.received, fact):
        return []
    raise Refusal(
        "request-received-before",
        f"{command.source} sent {command.reference} before, with other content; the first one stands",
        f"来源 {command.source} 之前已发送过 {command.reference}，内容不同；以第一次为准",
    )


def close(state: Request, command: CloseRequest, asked: Asked) -> Sequence[RequestClosed]:
    if state.received is None:
        raise NotFound(
            "unknown-request",
            f"{command.source} never sent a request {command.reference}; send it first, then close it",
            f"来源 {command.source} 从未发送请求 {command.reference}；请先发送，再关闭",
        )
    if command.timeline != state.received.timeline:
        raise Refusal(
            "request-timeline",
            f"{command.reference} runs on timeline {state.received.timeline!r}, not {command.timeline!r}",
            f"{command.reference} 的时间线是 {state.received.timeline!r}，不是 {command.timeline!r}",
        )
    fact = RequestClosed(command.source, command.reference, command.outcome, command.timeline, command.happened_at)
    if state.closed is None:
        _require_order(state.received, fact)
        return [fact]
    if _says_the_same(state.closed, fact):
        return []
    raise Refusal(
        "request-closed-before",
        f"{command.source} closed {command.reference} before, otherwise or at another instant; the first one stands",
        f"来源 {command.source} 之前已关闭 {command.reference}，结果或时间不同；以第一次为准",
    )


def _require_order(received: RequestReceived, closed: RequestClosed) -> None:
    if received.happened_at is None or closed.happened_at is None:
        return
    if closed.happened_at < received.happened_at - DAY_MAX:
        opened, done = received.happened_at.isoformat(), closed.happened_at.isoformat()
        raise Refusal(
            "request-closed-too-early",
            f"{closed.source} says that {closed.reference} was closed at {done}, and received it only at {opened}; "
            "send when it was really closed",
            f"来源 {closed.source} 称 {closed.reference} 于 {done} 关闭，但其收到时间为 {opened}；请发送真实的关闭时间",
        )


def _says_the_same(stands: RequestFact, said: RequestFact) -> bool:
    """Whether nothing is new. An instant that only one of the two names contradicts nothing."""
    if None in (stands.happened_at, said.happened_at):
        return msgspec.structs.replace(stands, happened_at=None) == msgspec.structs.replace(said, happened_at=None)
    return stands == said


REQUEST = Decider("request", Request(), evolve)
HANDLES = (
    Handle(ReceiveRequest, REQUEST, receive, key=lambda command: command.case_id),
    Handle(CloseRequest, REQUEST, close, key=lambda command: command.case_id),
)
