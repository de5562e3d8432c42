"""What a listener makes of one record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from libs.events import judging, wire
from libs.events.contract import Contract, Kind, Language
from libs.events.entries import Entry, Fact, new_id
from libs.events.judging import Judge, Place, Raw, Subscription, Verdict, raw_of, row
from libs.events.parked import Problem, State, headers_from, headers_json, key_text

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)


class Offered(Fact, frozen=True):
    number: int


def broken(_: dict[str, Any]) -> dict[str, Any]:
    raise KeyError("number")


LANGUAGE = Language([Contract("tasks", (Kind("Offered", 2, Offered, {1: broken}), Kind("Taken", 1, Offered)))])
JUDGE = Judge(LANGUAGE, {"tasks.Offered": Subscription(SINCE, SINCE)})
HERE = Place(17, 4, 1)
EVERYTHING = Judge(LANGUAGE, {"tasks.*": Subscription(SINCE, SINCE)})


def raw(
    *, sequence: int = 5, previous: int = 4, epoch: int = 1, headers: dict[str, bytes] | None = None, **said: Any
) -> Raw:
    plain: dict[str, Any] = {
        "position": 9,
        "sequence": sequence,
        "id": new_id(),
        "type": "tasks.Offered",
        "schema_version": 2,
        "stream": uuid4(),
        "version": 1,
        "tenant": "main",
        "subject": uuid4(),
        "actor": "prod-1",
        "command_id": new_id(),
        "causation_id": None,
        "correlation_id": new_id(),
        "traceparent": "",
        "basis": None,
        "epoch": 1,
        "occurred_at": NOW,
        "recorded_at": NOW,
        "noted_at": NOW,
        "backfilled": False,
        "data": b'{"number":1}',
    }
    record = wire.outgoing(Entry(**{**plain, **said}), previous=previous, epoch=epoch)
    named = {**dict(record.headers), **(headers or {})}
    return Raw("baton.tasks", "t1", 0, 17, key_text(record.key), tuple(named.items()), record.value)


def judged(record: Raw, place: Place | None = HERE, judge: Judge = JUDGE) -> Verdict:
    return judge.judge(record, NOW, place)


def test_a_good_record_is_taken() -> None:
    verdict = judged(raw())
    assert verdict.wanted
    assert verdict.heard is not None
    assert not verdict.heard.backfilled
    assert verdict.link == (5, 4, 1)


def test_what_was_recorded_before_the_subscription_is_backfilled() -> None:
    verdict = judged(raw(recorded_at=SINCE - timedelta(microseconds=1)))
    assert verdict.heard is not None
    assert verdict.heard.backfilled


def test_what_was_recorded_before_listening_began_may_be_new_at_a_place_that_was_passed() -> None:
    began = NOW - timedelta(minutes=10)
    judge = Judge(LANGUAGE, {"tasks.Offered": Subscription(SINCE, began)})
    before, by_a_clock_ahead, after = (
        judged(raw(sequence=4, previous=3, recorded_at=at), judge=judge)
        for at in (began - timedelta(minutes=1), began + timedelta(seconds=59), began + timedelta(seconds=61))
    )
    assert [verdict.passed for verdict in (before, by_a_clock_ahead, after)] == [False, False, True]
    assert not any(verdict.heard.backfilled for verdict in (before, by_a_clock_ahead, after) if verdict.heard)


def test_a_type_that_nobody_needs_is_passed_over_however_broken_its_data() -> None:
    verdict = judged(raw(type="tasks.Taken", data=b"no json"))
    assert (verdict.wanted, verdict.problem, verdict.held) == (False, None, False)
    assert verdict.link is not None


def test_a_ledger_takes_types_that_it_does_not_know_but_none_that_it_cannot_read() -> None:
    assert judged(raw(type="tasks.Unheard", data=b"anything"), judge=EVERYTHING).wanted
    assert judged(raw(data=b"no json"), judge=EVERYTHING).problem is Problem.UNREADABLE


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data": b'{"number":"one"}'}, Problem.UNREADABLE),
        ({"data": b'{"number":1,"more":' + b"[" * 2_000 + b"]" * 2_000 + b"}"}, Problem.UNREADABLE),
        ({"schema_version": 3}, Problem.UNREADABLE),
        ({"schema_version": 1}, Problem.UNREADABLE),
        ({"headers": {"ce_id": b"?"}}, Problem.UNREADABLE),
        ({"headers": {"ce_sequence": b"?"}}, Problem.UNREADABLE),
        ({"headers": {"ce_source": b""}}, Problem.UNREADABLE),
        ({"headers": {"ce_source": b"/baton/sla"}}, Problem.FOREIGN),
        ({"headers": {"ce_source": b"/baton/sla", "ce_type": b"sla.Breached"}}, Problem.FOREIGN),
        ({"recorded_at": NOW + timedelta(seconds=61)}, Problem.FUTURE),
        ({"epoch": 1}, Problem.OLD_EPOCH),
    ],
)
def test_a_record_that_cannot_be_taken_has_its_problem_and_its_reason(
    changes: dict[str, Any], problem: Problem
) -> None:
    place = Place(17, 4, 2) if problem is Problem.OLD_EPOCH else Place(17, 4, 1)
    verdict = judged(raw(**changes), place)
    assert verdict.problem is problem
    assert verdict.reason
    assert (verdict.wanted, verdict.heard) == (False, None)


def test_a_clock_may_run_a_minute_ahead() -> None:
    assert judged(raw(recorded_at=NOW + timedelta(seconds=60))).wanted


def test_a_record_whose_predecessor_was_not_seen_is_held_back() -> None:
    assert judged(raw(sequence=9, previous=6), Place(17, 4, 1)).held
    assert not judged(raw(sequence=9, previous=4), Place(17, 4, 1)).held
    assert judged(raw(sequence=3, previous=1), Place(17, 4, 1)).wanted  # seen before: its id tells
    assert judged(raw(sequence=9, previous=6), None).wanted  # from its parked row: its turn has come


def test_a_parked_row_holds_everything_to_judge_the_record_again() -> None:
    record = raw(data=b"no json")
    parked = row(judged(record), State.PARKED)
    assert (parked.kind, parked.sequence, parked.previous, parked.type) == (Problem.UNREADABLE, 5, 4, "tasks.Offered")
    assert raw_of(parked) == record
    assert judged(raw_of(parked, value=b'{"number":2}'), None).wanted
    assert judged(raw_of(replace(parked, mended=b'{"number":2}')), None).wanted
    assert headers_from(headers_json(parked.headers)) == record.headers


def test_only_problems_that_a_person_can_solve_block_their_key() -> None:
    assert {problem for problem in Problem if problem.blocks} == {Problem.UNREADABLE, Problem.FUTURE, Problem.REFUSED}


def test_a_key_that_is_no_text_is_shown_in_hexadecimal() -> None:
    assert key_text(b"\xff\x00") == "hex:ff00"
    assert key_text(b"\x00\x07") == "hex:0007"  # which PostgreSQL could not store
    assert key_text(None) == ""


def test_a_long_key_is_shown_by_its_beginning_and_told_apart_by_its_digest() -> None:
    one, other = (key_text(b"k" * 100_000 + end) for end in (b"1", b"2"))
    assert one != other
    assert len(one.encode()) < 1_000


class Breaking:
    def judge(self, raw: Raw, now: datetime, place: Place | None) -> Verdict:
        raise KeyError("a shape that nobody thought of")


def test_a_record_over_which_judging_breaks_is_parked_at_its_place_in_the_chain() -> None:
    record = raw()
    verdict = judging.judged(Breaking(), record, NOW, HERE)
    assert (verdict.problem, verdict.link, verdict.event) == (Problem.UNREADABLE, (5, 4, 1), judged(record).event)
    assert "a shape that nobody thought of" in verdict.reason
    assert judging.judged(Breaking(), raw(sequence=9, previous=6), NOW, HERE).held
    assert judging.judged(Breaking(), raw(), NOW, Place(17, 4, 2)).problem is Problem.OLD_EPOCH
    unreadable = judging.judged(Breaking(), raw(headers={"ce_sequence": b"?"}), NOW, None)
    assert (unreadable.problem, unreadable.link) == (Problem.UNREADABLE, None)
