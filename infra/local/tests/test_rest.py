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

    def as_(self, role: str, person: str) -> Held:
        return self

    def get(self, name: str, path: str) -> dict[str, Any]:
        timers: dict[str, Any] = {"waiting": 0, "next_due": None, "stuck": []}
        marks = dict.fromkeys(("position", "sequence", "published", "folded", "reacted", "queued", "inbound_lag"), 0)
        clock = {"held_at": self.held[name].isoformat()}
        effects = {"waiting": 0, "under_way": 0, "next_due": None}
        return {**marks, "clock": clock, "timers": timers, "effects": effects, "heard": {}, "announced": {}}

    def post(self, name: str, path: str, body: dict[str, Any]) -> None:
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
