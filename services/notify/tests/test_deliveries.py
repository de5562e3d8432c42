"""What leaves the inbox: by whose wish, when it is tried again, what follows when nobody knows whether it arrived."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from libs.events.contracts.notify import (
    ChannelChosen,
    ChannelDropped,
    DeliveryArrived,
    DeliveryAttempted,
    DeliveryFailed,
    DeliveryPlanned,
    DeliveryUnknown,
)
from libs.events.contracts.tasks import CaseClosed
from libs.events.effects import Delivery as Due
from libs.events.effects import NotSent
from libs.events.errors import NotFound, Refusal
from libs.events.folding import Held, apply, lines_by_fact, touches
from libs.events.testing import MemoryService, given
from services.notify.channels.webhook import Gone
from services.notify.commands import (
    EMAIL,
    WEBHOOK,
    AcknowledgeMessage,
    ChooseChannel,
    DropChannel,
    NoteArrival,
    NoteFailure,
    RepeatDelivery,
    delivery_id,
)
from services.notify.domain import channel, delivery
from services.notify.domain.delivery import ATTEMPTS_MAX, POLICIES, repeat
from services.notify.tests.world import BEFORE, CASE, at, notify, told
from services.notify.views.channels import CHANNELS
from services.notify.views.deliveries import DELIVERIES, Delivery
from services.notify.views.messages import MESSAGES

LATER = at("12:00") + timedelta(days=30)
WHERE = {EMAIL: "svc@example.com", WEBHOOK: "https://example.com/hook"}


def choose(service: MemoryService, channel: str, address: str = "", person: str = "service-1") -> None:
    command = ChooseChannel(person=person, channel=channel, address=address or WHERE[channel], zone="Asia/Shanghai")
    service.ask(command, by=person, at=BEFORE)


def due(*channels: str) -> tuple[MemoryService, Due]:
    """service-1 chose these channels, then the case was closed; the first delivery that is due."""
    service = notify()
    for each in channels:
        choose(service, each)
    told(service, CaseClosed("solved"))
    return service, service.effects(at("12:00"))[0]


def row_of(service: MemoryService, sent: Due) -> Delivery:
    found: Delivery = service.row(DELIVERIES[sent.effect.name], sent.key)
    return found


def attempts(service: MemoryService, came: NotSent | None) -> list[float]:
    """Send whatever falls due until nothing does, each with this outcome; the instants, in seconds from the first."""
    sent = []
    while found := service.effects(LATER):
        sent.append((found[0].row.due_at - at("12:00")).total_seconds())
        service.send(found[0], came, at=found[0].row.due_at)
    return sent


def test_without_a_channel_messages_stay_in_the_inbox() -> None:
    service, others = notify(), "production-1"
    choose(service, EMAIL, person=others)
    assert list(told(service, CaseClosed("solved"))) == ["service-1"]
    assert (len(service.rows(MESSAGES)), service.effects(LATER)) == (1, [])


def test_a_message_goes_out_once_by_every_channel_that_its_reader_chose() -> None:
    service, _ = due(EMAIL, WEBHOOK)
    (message,) = service.rows(MESSAGES, to="service-1")
    assert service.decided(DeliveryPlanned) == [
        DeliveryPlanned(delivery_id(message.message, by), message.message, "service-1", by) for by in (EMAIL, WEBHOOK)
    ]
    assert {entry.subject for entry in service.entries[-2:]} == {CASE}
    assert {found.effect.name for found in service.effects(at("12:00"))} == {EMAIL, WEBHOOK}


@pytest.mark.parametrize("of", ["occurred_at", "recorded_at"])
@pytest.mark.parametrize("again", [False, True])
def test_a_clock_that_stands_ahead_for_a_while_does_not_hold_back_what_goes_out_at_once(again: bool, of: str) -> None:
    service, sent = due(EMAIL)
    if again:
        service.send(sent, None, at=at("12:00"))
        service.ask(RepeatDelivery(delivery=sent.row.delivery, case_id=CASE), by="ops-1", at=at("12:00"))
    *before, last = [(e, f) for e, f in zip(service.entries, service.facts, strict=True) if f in service.decided()]
    ahead = msgspec.structs.replace(last[0], **{of: getattr(last[0], of) + timedelta(hours=2)})
    view = DELIVERIES[EMAIL]
    work = [
        touch
        for entry, fact in (*before, (ahead, last[1]))
        for touch in touches(view, lines_by_fact(view), entry, fact)
    ]
    live = {touch.key: Held(None, 0) for touch in work}
    apply(live, work)
    (held,) = live.values()
    assert held.row.state == "waiting"
    assert held.row.due_at <= last[0].recorded_at


def test_an_attempt_is_on_record_with_its_deadline_before_what_came_of_it() -> None:
    service, first = due(EMAIL)
    service.send(first, "250 taken", at=at("12:00"))
    attempted, arrived = service.decided(DeliveryAttempted, DeliveryArrived)
    deadline = at("12:00") + timedelta(seconds=first.effect.deadline_s)
    assert attempted == DeliveryAttempted(first.row.delivery, 1, deadline)
    assert arrived == DeliveryArrived(first.row.delivery, 1, "250 taken")
    assert {entry.actor for entry in service.entries[-2:]} == {"notify/email"}
    assert (row_of(service, first).state, service.effects(LATER)) == ("arrived", [])


@pytest.mark.parametrize("by", [EMAIL, WEBHOOK])
def test_a_dead_receiver_is_tried_as_often_as_the_policy_says_and_then_given_up_for_all_to_see(by: str) -> None:
    service, first = due(by)
    waits_s = POLICIES[by].waits_s
    assert attempts(service, NotSent("nobody answers")) == [sum(waits_s[:n]) for n in range(len(waits_s) + 1)]
    failed = service.decided(DeliveryFailed)[-1]
    assert failed == DeliveryFailed(first.row.delivery, len(waits_s) + 1, "nobody answers", None)
    assert (row_of(service, first).state, row_of(service, first).said) == ("failed", "nobody answers")
    assert {letter.delivery for letter in service.sent} == {first.row.delivery}


def test_a_final_no_ends_it_at_once() -> None:
    service, first = due(EMAIL)
    assert len(attempts(service, NotSent("550 no such user", final=True))) == 1
    assert row_of(service, first).state == "failed"


def test_an_e_mail_of_which_nobody_knows_waits_for_a_person() -> None:
    service, first = due(EMAIL)
    assert len(attempts(service, None)) == 1
    assert service.decided(DeliveryUnknown) == [DeliveryUnknown(first.row.delivery, 1, "nobody can say", None)]
    row = row_of(service, first)
    assert (row.state, row.due_at, row.said) == ("unknown", None, "nobody can say")


def test_a_webhook_of_which_nobody_knows_is_sent_again_with_the_same_id_and_shown_as_unknown() -> None:
    service, first = due(WEBHOOK)
    service.send(first, None, at=at("12:00"))
    row = row_of(service, first)
    assert (row.state, row.attempt, row.due_at) == ("unknown", 2, at("12:00") + timedelta(seconds=5))
    (second,) = service.effects(LATER)
    service.send(second, "answered 200", at=second.row.due_at)
    assert [letter.delivery for letter in service.sent] == [first.row.delivery] * 2
    assert row_of(service, first).state == "arrived"


def test_the_truth_about_an_unknown_one_may_come_later() -> None:
    service, first = due(WEBHOOK)
    service.send(first, None, at=at("12:00"))
    of = {"delivery": first.row.delivery, "case_id": CASE, "attempt": 1}
    service.ask(NoteArrival(**of, receipt="answered 200"), by="notify/webhook", at=at("12:00"))
    assert (row_of(service, first).state, row_of(service, first).attempt) == ("arrived", 1)
    assert service.effects(LATER) == []
    late = NoteFailure(**of, reason="answered 500", final=False)
    assert service.ask(late, by="notify/webhook", at=at("12:01")) == ()


def test_a_person_has_an_unknown_or_failed_one_sent_again_and_nothing_else() -> None:
    service, first = due(EMAIL)
    again = RepeatDelivery(delivery=first.row.delivery, case_id=CASE)
    with pytest.raises(Refusal, match="nothing-to-repeat"):
        service.ask(again, by="ops-1", at=at("12:00"))
    service.send(first, None, at=at("12:00"))
    service.ask(again, by="ops-1", at=at("12:30"))
    (second,) = service.effects(at("12:30"))
    assert (second.row.attempt, second.row.state) == (2, "waiting")
    service.send(second, "250 taken", at=at("12:30"))
    with pytest.raises(Refusal, match="nothing-to-repeat"):
        service.ask(again, by="ops-1", at=at("12:31"))
    with pytest.raises(NotFound):
        service.ask(RepeatDelivery(delivery=UUID(int=9), case_id=CASE), by="ops-1", at=at("12:31"))


def test_one_that_waits_for_its_next_attempt_can_be_sent_at_once() -> None:
    service, first = due(WEBHOOK)
    service.send(first, NotSent("answered 500"), at=at("12:00"))
    service.ask(RepeatDelivery(delivery=first.row.delivery, case_id=CASE), by="ops-1", at=at("12:00"))
    (second,) = service.effects(at("12:00"))
    assert second.row.attempt == 2
    service.send(second, "answered 200", at=at("12:00"))
    assert service.effects(LATER) == []


def test_repeating_has_a_bound() -> None:
    of = UUID(int=5)
    facts = [
        DeliveryPlanned(of, UUID(int=6), "service-1", EMAIL),
        DeliveryAttempted(of, ATTEMPTS_MAX, BEFORE),
        DeliveryFailed(of, ATTEMPTS_MAX, "no", None),
    ]
    handle = next(each for each in delivery.COMMANDS if each.decide is repeat)
    asked = given(delivery.DELIVERY, *facts).when(
        handle, RepeatDelivery(delivery=of, case_id=CASE), by="ops-1", at=BEFORE
    )
    asked.refused("too-many-attempts")


def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    dropped, first = due(WEBHOOK)
    dropped.ask(DropChannel(person="service-1", channel=WEBHOOK), by="service-1", at=at("12:00"))
    read, second = due(EMAIL)
    acknowledged = AcknowledgeMessage(message=second.row.message, case_id=CASE)
    read.ask(acknowledged, by="service-1", at=at("12:00"))
    for service, sent in ((dropped, first), (read, second)):
        service.send(sent, "taken", at=at("12:00"))
        assert (service.sent, row_of(service, sent).state) == ([], "failed")
        assert row_of(service, sent).said == "it is no longer wanted"


def test_a_letter_goes_to_the_address_that_stands_when_it_leaves() -> None:
    service, first = due(EMAIL)
    choose(service, EMAIL, "new@example.com")
    service.send(first, "250 taken", at=at("12:00"))
    assert [letter.address for letter in service.sent] == ["new@example.com"]


def test_a_receiver_that_is_gone_gets_nothing_more_unless_another_was_chosen_meanwhile() -> None:
    for moved in (False, True):
        service, first = due(WEBHOOK)
        gone = Gone(service.row(CHANNELS, ("service-1", WEBHOOK)).choice)
        if moved:
            choose(service, WEBHOOK, "https://example.com/other")
        service.send(first, gone, at=at("12:00"))
        assert (row_of(service, first).state, service.effects(LATER)) == ("failed", [])
        assert bool(service.rows(CHANNELS)) is moved
        assert len(service.decided(ChannelDropped)) == (not moved)


def test_choosing_again_changes_nothing_and_another_address_has_another_secret() -> None:
    service = notify()
    choices = []
    for address in ("https://a.example", "https://a.example", "https://b.example", "https://a.example"):
        choose(service, WEBHOOK, address)
        choices.append(service.row(CHANNELS, ("service-1", WEBHOOK)).choice)
    assert choices[0] == choices[1]
    assert len(set(choices)) == 3
    assert len(service.decided(ChannelChosen)) == 3
    dropping = DropChannel(person="service-1", channel=WEBHOOK)
    assert len(service.ask(dropping, by="service-1", at=BEFORE)) == 1
    assert service.ask(dropping, by="service-1", at=BEFORE) == ()
    choose(service, WEBHOOK, "https://a.example")
    assert service.row(CHANNELS, ("service-1", WEBHOOK)).choice not in choices


def test_two_tenants_never_share_a_secret() -> None:
    command = ChooseChannel(person="service-1", channel=WEBHOOK, address="https://a.example")
    made = [
        given(channel.CHANNEL).when(channel.COMMANDS[0], command, by="service-1", at=BEFORE, tenant=tenant).facts
        for tenant in ("main", "other")
    ]
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("by", "address"),
    [
        (EMAIL, "nobody"),
        (EMAIL, "a@b@example.com"),
        (EMAIL, "a b@example.com"),
        (EMAIL, "a@example.com\r\nBcc: all@example.com"),
        (EMAIL, "<a@example.com>"),
        (EMAIL, f"{'a' * 60}@{'b' * 200}.example"),
        (WEBHOOK, "ftp://example.com"),
        (WEBHOOK, "example.com/hook"),
        (WEBHOOK, "https://"),
        (WEBHOOK, "https://user:secret@example.com/"),
        (WEBHOOK, "https://example.com:99999/"),
        (WEBHOOK, "https://example.com/#part"),
        (WEBHOOK, "https://example.com/a b"),
        (WEBHOOK, "https://例子.example/"),
        (WEBHOOK, "https://example.com\\@evil.example/"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(by: str, address: str) -> None:
    with pytest.raises(Refusal) as caught:
        choose(notify(), by, address)
    assert caught.value.rule == {EMAIL: "no-email-address", WEBHOOK: "no-web-address"}[by]
