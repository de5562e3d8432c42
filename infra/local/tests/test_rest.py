"""Advancing a held clock, against services in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from infra.local import rest
from infra.local.doors import Doors

START = datetime(2024, 1, 1, 10, tzinfo=UTC)


class Held:
    """Services at rest whose clocks refuse to move back, as the real ones do."""

    def __init__(self, **minutes: int) -> None:
        self.held = {name: START + timedelta(minutes=minute) for name, minute in minutes.items()}
        self.urls = dict.fromkeys(minutes, "")
        self.moving = 0
        self.asked: list[str] = []

    def as_(self, role: str, person: str) -> Held:
        return self

    def get(self, name: str, path: str) -> dict[str, Any]:
        self.asked.append("get")
        self.moving = max(0, self.moving - 1)
        timers: dict[str, Any] = {"waiting": 0, "next_due": None, "stuck": []}
        marks = dict.fromkeys(("position", "sequence", "published", "folded", "reacted", "queued", "inbound_lag"), 0)
        marks["position"] = marks["folded"] = marks["reacted"] = self.moving
        clock = {"held_at": self.held[name].isoformat()}
        effects = {"waiting": 0, "under_way": 0, "next_due": None}
        return {**marks, "clock": clock, "timers": timers, "effects": effects, "heard": {}, "announced": {}}

    def post(self, name: str, path: str, body: dict[str, Any]) -> None:
        self.asked.append(next(iter(body)))
        if "hold" in body:
            to = datetime.fromisoformat(body["hold"])
            assert to >= self.held[name], "the clock moves only forward"
            self.held[name] = to


@pytest.mark.parametrize("due", [None, 10])
def test_an_advance_that_was_interrupted_halfway_can_be_asked_again(due: int | None) -> None:
    services = Held(tasks=30, sla=0)
    plain = services.get

    def get(name: str, path: str) -> dict[str, Any]:
        found = plain(name, path)
        if name == "sla" and due is not None and services.held["sla"] < START + timedelta(minutes=due):
            found["timers"]["next_due"] = (START + timedelta(minutes=due)).isoformat()
        return found

    services.get = get  # type: ignore[method-assign]  # a service that becomes due on the way
    rest.advance(cast("Doors", services), START + timedelta(minutes=60))
    assert set(services.held.values()) == {START + timedelta(minutes=60)}


def test_all_clocks_are_moved_before_any_timer_may_fire() -> None:
    services = Held(tasks=0, sla=0, notify=0)
    rest.advance(cast("Doors", services), START + timedelta(minutes=60))
    acts = [asked for asked in services.asked if asked != "get"]
    assert acts == ["hold"] * 3 + ["fire"] * 3


def test_rest_is_what_was_seen_twice_in_a_row_the_same() -> None:
    services = Held(tasks=0)
    services.moving = 5
    found = rest.wait_rest(cast("Doors", services))
    assert found["tasks"]["position"] == 0
    assert services.asked == ["get"] * 6, "five different ones, and the last of them once more"
