"""The readers say what the sources say: nothing lost, in event-time order, with the source's own verdicts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from demo.sources import boston, jira, northwind


def _times(events: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(event["time"]) for event in events]


def _types(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(event["type"].removeprefix("baton.").removesuffix(".v1") for event in events)


def test_boston_has_100_requests_85_closed_of_which_77_are_judged_72_on_time_and_5_late() -> None:
    assert boston.verdicts() == (100, 85, 77, 72, 5, 8)


def test_bostons_own_verdicts_follow_from_its_instants() -> None:
    due = {e["data"]["reference"]: e["data"]["target_at"] for e in boston.events() if "request.received" in e["type"]}
    closed = {e["data"]["reference"]: e["time"] for e in boston.events() if "request.closed" in e["type"]}
    judged = [
        datetime.fromisoformat(at) <= datetime.fromisoformat(target)
        for reference, at in closed.items()
        if (target := due[reference]) is not None
    ]
    assert Counter(judged) == {True: 72, False: 5}


def test_boston_sends_100_requests_85_closings_and_one_watermark_in_event_time_order() -> None:
    events = boston.events()
    assert _types(events) == {"request.received": 100, "request.closed": 85, "source.advanced": 1}
    assert _times(events) == sorted(_times(events))
    assert events[-1]["type"] == "baton.source.advanced.v1"


def test_bostons_watermark_lies_after_every_target_that_the_file_calls_missed() -> None:
    up_to = datetime.fromisoformat(boston.events()[-1]["data"]["up_to"])
    missed = [row for row in boston.requests() if row["ontime"] == "OVERDUE"]
    assert len(missed) == 17
    assert all(up_to >= datetime.fromisoformat(row["target_dt"]).replace(tzinfo=boston.ZONE) for row in missed)


def test_a_boston_instant_is_the_citys_wall_clock() -> None:
    event = next(e for e in boston.events() if e["id"] == "101004130437-received")
    assert event["time"] == "2022-01-19T16:18:00+00:00"


def test_northwind_has_830_orders_809_shipped_37_late_21_open() -> None:
    assert northwind.verdicts() == (830, 809, 37, 21)


def test_northwind_sends_placed_before_shipped_in_event_time_order_and_one_watermark() -> None:
    events = northwind.events()
    assert _types(events) == {"order.placed": 830, "order.shipped": 809, "source.advanced": 1}
    assert _times(events) == sorted(_times(events))
    seen: set[str] = set()
    for event in events[:-1]:
        assert event["type"] == "baton.order.placed.v1" or event["data"]["order"] in seen
        seen.add(event["data"]["order"])
    assert events[-1]["data"]["up_to"] == "2018-05-06T23:59:59.999999+00:00"


def test_every_event_has_an_id_of_its_own_within_its_source() -> None:
    for source in (boston, northwind):
        assert max(Counter(event["id"] for event in source.events()).values()) == 1


def test_jira_has_55_different_bodies_of_which_three_name_no_issue() -> None:
    bodies = jira.bodies()
    assert len({hashlib.sha256(body.raw).digest() for body in bodies}) == len(bodies) == 55
    assert sum("issue" not in json.loads(body.raw) for body in bodies) == 3


@pytest.mark.parametrize("read", [boston.events, northwind.events, jira.bodies])
def test_reading_twice_gives_the_same(read: Any) -> None:
    assert read() == read()
