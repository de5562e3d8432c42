"""Announcements and what fulfils them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events import heads
from libs.events.errors import Undecodable
from libs.events.heads import Fulfilment, Head
from libs.events.judging import Place

NESTED = b"[" * 2_000 + b"]" * 2_000
START = datetime(2024, 1, 1, tzinfo=UTC)


def head(minute: int, owner: str = "tasks", **sequences: int) -> Head:
    at = START + timedelta(minutes=minute)
    return Head(owner, 1, at, {int(name.removeprefix("p")): last for name, last in sequences.items()})


def reached(fulfilment: Fulfilment, now: float = 0.0, **seen: dict[int, int]) -> datetime | None:
    fulfilment.reach(fulfilment.fulfilled(seen), 7, now)
    return fulfilment.watermarks({})["tasks"].at


def test_a_head_comes_back_as_it_went() -> None:
    assert heads.decode(heads.encode(head(3, p0=1, p5=12))) == head(3, p0=1, p5=12)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"\xff",
        b'{"owner":"a","epoch":1,"at":"2024-01-01T00:00:00","sequences":{}}',
        b'{"owner":"a","epoch":1,"at":"2024-01-01T00:00:00Z","sequences":{},"more":%b}' % NESTED,
    ],
)
def test_a_head_that_cannot_be_read_is_refused(value: bytes | None) -> None:
    with pytest.raises(Undecodable, match=r"head"):
        heads.decode(value)


def test_a_watermark_waits_for_every_partition() -> None:
    fulfilment = Fulfilment(("tasks",))
    fulfilment.announced(head(1, p0=4, p1=7))
    assert reached(fulfilment, tasks={0: 4, 1: 6}) is None
    assert reached(fulfilment, tasks={0: 4, 1: 7}) == START + timedelta(minutes=1)


def test_an_owner_that_said_nothing_has_passed_what_it_announces() -> None:
    fulfilment = Fulfilment(("tasks",))
    fulfilment.announced(head(1))
    assert reached(fulfilment) == START + timedelta(minutes=1)


def test_a_watermark_never_goes_back_and_owners_that_are_not_heard_are_ignored() -> None:
    fulfilment = Fulfilment(("tasks",))
    for each in (head(5), head(3), head(9, owner="stranger")):
        fulfilment.announced(each)
    assert reached(fulfilment) == START + timedelta(minutes=5)
    assert fulfilment.watermarks({}).keys() == {"tasks"}


def test_silence_counts_from_the_last_announcement_that_was_fulfilled() -> None:
    fulfilment = Fulfilment(("tasks",))
    assert fulfilment.watermarks({})["tasks"].silent_since is None
    fulfilment.announced(head(1))
    reached(fulfilment, now=10.0)
    fulfilment.announced(head(1))
    reached(fulfilment, now=20.0)
    fulfilment.announced(head(2, p0=99))  # it speaks, but what it speaks of does not arrive
    reached(fulfilment, now=30.0)
    assert fulfilment.watermarks({"tasks": 3})["tasks"].silent_since == 20.0
    assert fulfilment.watermarks({"tasks": 3})["tasks"].parked == 3


@given(lag=st.integers(0, 200), count=st.integers(1, 300))
def test_a_listener_that_is_always_behind_makes_progress(lag: int, count: int) -> None:
    fulfilment = Fulfilment(("tasks",))
    for number in range(1, count + 1):
        fulfilment.announced(head(number, p0=number))
        at = reached(fulfilment, tasks={0: number - lag})
        behind = lag + heads.PENDING_MAX
        if number > 2 * behind:
            assert at is not None
            assert at >= START + timedelta(minutes=number - 2 * behind)
        if at is not None:
            assert at <= START + timedelta(minutes=number - lag)


def test_an_owner_is_not_silent_while_its_backlog_is_heard_but_a_partition_that_stands_still_is_silence() -> None:
    fulfilment = Fulfilment(("tasks",))
    fulfilment.announced(head(1, p0=100, p1=9))
    for now, seen in ((10.0, 1), (20.0, 50), (30.0, 100), (40.0, 150)):  # partition 1 has a gap all the time
        fulfilment.reach(fulfilment.fulfilled({"tasks": {0: seen}}, now), 7, now)
    assert fulfilment.watermarks({})["tasks"].silent_since == 30.0
    assert fulfilment.watermarks({})["tasks"].at is None


def test_while_a_topic_is_read_again_its_owners_watermark_stands_still_but_it_is_not_silent() -> None:
    fulfilment = Fulfilment(("tasks",))
    fulfilment.announced(head(1, p0=7))
    for now, next_offset in ((10.0, 0), (20.0, 1), (30.0, 899), (40.0, 899)):
        place = Place(next_offset, sequence=7, reread_until=900)
        fulfilment.reach(fulfilment.fulfilled({"tasks": {0: place.fulfils}}, now), 7, now)
        assert fulfilment.watermark("tasks").at is None
    assert fulfilment.watermark("tasks").silent_since == 30.0
    assert reached(fulfilment, tasks={0: Place(900, sequence=7, reread_until=900).fulfils}) is not None
