"""One request of a source: received once, closed once. A message that contradicts an earlier one is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, assert_never

import msgspec

from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.deciding import Asked, Decider, Handle
from libs.events.errors import NotFound, Refusal
from services.gateway.commands import CloseRequest, ReceiveRequest

RequestFact = RequestReceived | RequestClosed
SHOWN_CHARS_MAX = 80
DAY_MAX = timedelta(hours=25)
"""A date means the end of its day: what happened on that day may be named so much earlier (clocks were set back)."""


class Differing(NamedTuple):
    """A field of the command (`title`, `form.customer`) that does not fit what stands, and what to do about it."""

    field: str
    en: str
    zh: str


class Contradiction(Refusal):
    """What is said of a request does not fit what was said of it before."""

    def __init__(self, rule: str, en: str, zh: str, differing: Sequence[Differing]) -> None:
        super().__init__(rule, en, zh)
        self.differing = tuple(differing)


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
    raise Contradiction(
        "request-received-before",
        f"{command.source} sent {command.reference} before, with other content; the first one stands and cannot be "
        "changed by sending, so take another reference for another request",
        f"来源 {command.source} 之前已发送过 {command.reference}，内容不同；以第一次为准，重新发送不能更改。"
        "若是另一项请求，请换一个编号",
        _differing(state.received, fact),
    )


def close(state: Request, command: CloseRequest, asked: Asked) -> Sequence[RequestClosed]:
    if state.received is None:
        raise NotFound(
            "unknown-request",
            f"{command.source} never sent a request {command.reference}; send it first, then close it",
            f"来源 {command.source} 从未发送请求 {command.reference}；请先发送，再关闭",
        )
    if command.timeline != state.received.timeline:
        raise Contradiction(
            "request-timeline",
            f"{command.reference} runs on timeline {state.received.timeline!r}, not {command.timeline!r}",
            f"{command.reference} 的时间线是 {state.received.timeline!r}，不是 {command.timeline!r}",
            [_came_first_as("timeline", state.received.timeline)],
        )
    fact = RequestClosed(command.source, command.reference, command.outcome, command.timeline, command.happened_at)
    if state.closed is None:
        _require_order(state.received, fact)
        return [fact]
    if _says_the_same(state.closed, fact):
        return []
    raise Contradiction(
        "request-closed-before",
        f"{command.source} closed {command.reference} before, otherwise or at another instant; the first one stands "
        "and cannot be changed by sending",
        f"来源 {command.source} 之前已关闭 {command.reference}，结果或时间不同；以第一次为准，重新发送不能更改",
        _differing(state.closed, fact),
    )


def _require_order(received: RequestReceived, closed: RequestClosed) -> None:
    if received.happened_at is None or closed.happened_at is None:
        return
    if closed.happened_at < received.happened_at - DAY_MAX:
        opened, done = received.happened_at.isoformat(), closed.happened_at.isoformat()
        raise Contradiction(
            "request-closed-too-early",
            f"{closed.source} says that {closed.reference} was closed at {done}, and received it only at {opened}",
            f"来源 {closed.source} 称 {closed.reference} 于 {done} 关闭，但其收到时间为 {opened}",
            [
                Differing(
                    "happened_at",
                    f"lies before the beginning, {opened}; send when it was really closed",
                    f"早于开始时间 {opened}；请发送真实的关闭时间",
                )
            ],
        )


def _differing(stands: RequestFact, said: RequestFact) -> list[Differing]:
    """Each field in which the two contradict one another; a form is told field by field."""
    before, now = _fields(stands), _fields(said)
    return [
        _came_first_as(field, before.get(field))
        for field in before | now
        if before.get(field) != now.get(field) and not (field == "happened_at" and None in (before[field], now[field]))
    ]


def _fields(fact: RequestFact) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(fact)
    form = found.pop("form", {})
    return found | {f"form.{name}": value for name, value in form.items()}


def _came_first_as(field: str, value: Any) -> Differing:
    if value is None or (field == "timeline" and not value):
        return Differing(field, "was left out when it came first; leave it out", "首次发送时没有此项；请省略")
    shown = value.isoformat() if isinstance(value, datetime) else json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN_CHARS_MAX else shown[: SHOWN_CHARS_MAX - 1] + "…"
    return Differing(field, f"came first as {shown}; send it so again", f"首次发送的是 {shown}；请按原值发送")


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
