"""Effects acted out in memory: what would be sent, and what the facts say about it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from libs.events.effects import TEXT_CHARS_MAX, Delivery, NotSent
from libs.events.testing import MemoryService, instant
from libs.events.tests.postcards import (
    ATTEMPTS_MAX,
    BACKOFF_S,
    POSTCARDS,
    NoteArrival,
    PostcardArrived,
    PostcardLost,
    PostcardReturned,
    PostcardTaken,
    RecallPostcard,
    WritePostcard,
    by_post,
    nobody,
    with_postcards,
)

T = instant("2026-03-02T08:00+00:00")
CARD = UUID(int=1)


def written() -> tuple[MemoryService, Delivery]:
    memory = MemoryService(with_postcards(by_post(nobody, deadline_s=30)))
    memory.ask(WritePostcard(postcard=CARD, to="ann"), by="bob", at=T)
    (delivery,) = memory.effects(T)
    return memory, delivery


def test_what_is_due_is_listed_and_nothing_is_sent() -> None:
    memory, delivery = written()
    assert (delivery.effect.name, delivery.row.to, delivery.row.attempt) == ("post", "ann", 1)
    assert memory.effects(T - timedelta(seconds=1)) == []
    assert memory.effects(T) == [delivery]


def test_an_attempt_is_on_record_with_its_deadline_and_its_outcome() -> None:
    memory, delivery = written()
    memory.send(delivery, "no. 7", at=T)
    taken, arrived = memory.decided(PostcardTaken, PostcardArrived)
    assert (taken, arrived) == (PostcardTaken(1, T + timedelta(seconds=30)), PostcardArrived(1, "no. 7"))
    assert {entry.actor for entry in memory.entries[1:]} == {"errands/post"}
    assert memory.effects(T + timedelta(days=1)) == []


def test_attempts_come_when_the_facts_say_and_end_when_they_say() -> None:
    memory, _ = written()
    due = []
    while found := memory.effects(T + timedelta(days=1)):
        due.append((found[0].row.due_at - T).total_seconds())
        memory.send(found[0], NotSent("nobody at home"), at=found[0].row.due_at)
    assert due == [0, BACKOFF_S, round(BACKOFF_S * 3, 6)]
    assert memory.decided(PostcardReturned)[-1] == PostcardReturned(3, "nobody at home", None)
    assert len(memory.decided(PostcardTaken)) == ATTEMPTS_MAX


def test_a_final_no_ends_it_at_once() -> None:
    memory, delivery = written()
    memory.send(delivery, NotSent("no such street", final=True), at=T)
    assert memory.decided(PostcardReturned) == [PostcardReturned(1, "no such street", None)]
    assert memory.effects(T + timedelta(days=1)) == []


def test_an_unknown_outcome_is_shown_and_not_sent_again_and_the_truth_may_come_later() -> None:
    memory, delivery = written()
    memory.send(delivery, None, at=T)
    assert memory.decided(PostcardLost) == [PostcardLost(1, "nobody can say")]
    assert memory.row(POSTCARDS, CARD).state == "lost"
    assert memory.effects(T + timedelta(days=1)) == []
    memory.ask(NoteArrival(postcard=CARD, attempt=1, receipt="no. 7"), by="errands/post", at=T)
    assert memory.row(POSTCARDS, CARD).state == "arrived"


def test_what_was_recalled_is_not_sent() -> None:
    memory, _ = written()
    memory.ask(RecallPostcard(postcard=CARD), by="bob", at=T)
    assert memory.effects(T + timedelta(days=1)) == []


def test_the_key_is_of_delivery_and_attempt() -> None:
    memory, first = written()
    memory.send(first, NotSent("nobody at home"), at=T)
    (second,) = memory.effects(T + timedelta(days=1))
    keys = [delivery.idempotency_key("errands") for delivery in (first, first, second, first._replace(tenant="other"))]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_what_the_other_side_said_can_be_stored_and_is_bounded() -> None:
    assert NotSent("no\x00body\n\ud800 在家").reason == "no body   在家"
    assert len(NotSent("a" * 10_000).reason) == TEXT_CHARS_MAX
