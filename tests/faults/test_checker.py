"""The checker finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid5

import pytest

from tests.faults.checker import EXAMPLES_MAX, Verdict, check
from tests.faults.evidence import Row
from tests.faults.world import DELIVERY, MESSAGE, SPACE, START, World, flawless

Plant = Callable[[World], None]


def test_flawless_evidence_is_found_flawless() -> None:
    verdict = check(flawless().evidence)
    assert not verdict.violations, str(verdict)
    assert verdict.compared["entries"] > verdict.compared["records"] > 0
    assert verdict.compared["accepted"] == 5


def test_a_record_of_a_clock_ahead_is_parked_before_it_is_taken_and_released_by_an_operator() -> None:
    world = flawless()
    untaken = world.evidence.journals["notify"][-1]
    parked = {"parked": str(untaken.id), "kind": "future"}
    world.decide("tasks/listener", ("tasks.RecordParked", parked), cause=untaken)
    world.decide("ops-1", ("tasks.ParkedRecordReleased", parked))
    recorded_ahead(world, untaken)
    verdict = check(world.evidence)
    assert not verdict.violations, str(verdict)


def test_what_is_unknown_by_its_deadline_may_have_come_and_may_be_told_of_later() -> None:
    world = flawless()
    (attempt,) = world.decide("notify/email", ("notify.DeliveryAttempted", {"delivery": DELIVERY, "attempt": 2}))
    for outcome in ("notify.DeliveryUnknown", "notify.DeliveryArrived"):
        world.decide("notify/email", (outcome, {"delivery": DELIVERY, "attempt": 2}), cause=attempt)
    world.evidence.came[DELIVERY] = 2
    world.evidence.ledger = {str(row.id): row.data.decode() for row in world.evidence.journals["audit"]}
    verdict = check(world.evidence)
    assert not verdict.violations, str(verdict)


def recorded_ahead(world: World, row: Row) -> None:
    """The last decision of a service whose clock is two hours ahead; the audit takes it when it has got there too."""
    evidence, ahead = world.evidence, START + timedelta(hours=2)
    evidence.journals[row.owner][-1] = row._replace(recorded_at=ahead, noted_at=ahead)
    audit = evidence.journals["audit"]
    heard = audit.pop(next(at for at, each in enumerate(audit) if each.id == row.id))
    audit.append(heard._replace(recorded_at=ahead, noted_at=ahead + timedelta(microseconds=1)))
    audit[:] = [each._replace(position=position) for position, each in enumerate(audit, 1)]
    evidence.ledger = {str(each.id): each.data.decode() for each in audit}


def lose_an_entry(world: World) -> None:
    """The last one: positions and sequences show no gap."""
    world.evidence.journals["notify"].pop()


def lose_an_acknowledged_command(world: World) -> None:
    """With everything that came of it, so that only the client knows."""
    evidence = world.evidence
    lost = {row.id for row in evidence.journals["tasks"] if row.actor == "svc-1"}
    for name, rows in evidence.journals.items():
        gone = [row for row in rows if row.id in lost or row.causation_id in lost]
        assert name != "tasks" or len(gone) == 2
        evidence.journals[name] = [row for row in rows if row not in gone]
    for name, records in evidence.topics.items():
        kept = {str(row.id) for row in evidence.journals[name] if row.decided}
        evidence.topics[name] = [record for record in records if record.id in kept]


def lose_a_record(world: World) -> None:
    world.evidence.topics["tasks"].pop(1)


def lose_what_was_heard(world: World) -> None:
    world.evidence.journals["audit"].pop()


def lose_a_reaction(world: World) -> None:
    """The message was never posted, anywhere, nor what came of it."""
    evidence = world.evidence
    posted = [row.type for row in evidence.journals["notify"]].index("notify.MessagePosted")
    lost = len(evidence.journals["notify"]) - posted
    for rows in (evidence.journals["notify"], evidence.topics["notify"], evidence.journals["audit"]):
        del rows[-lost:]
    evidence.views["notify", "messages"].pop()
    evidence.came.clear()
    evidence.ledger = {str(row.id): row.data.decode() for row in evidence.journals["audit"]}


def lose_a_row_of_a_view(world: World) -> None:
    world.evidence.views["tasks", "cases"].pop()


def show_another_holder(world: World) -> None:
    (case,) = world.evidence.views["tasks", "cases"]
    world.evidence.views["tasks", "cases"] = [(*case[:-1], "production")]


def overlook_who_accepted(world: World) -> None:
    """The case was accepted, by an act that everybody heard of; the view still shows who held it before."""
    world.tell(world.decide("prod-1", ("tasks.HandoffAccepted", {"number": 1, "receiver": "production"})), "d")
    world.evidence.ledger = {str(row.id): row.data.decode() for row in world.evidence.journals["audit"]}


def overlook_a_new_superior(world: World) -> None:
    """Of one person; all people are one subject."""
    for person in ("sales-1", "sales-dir"):
        world.decide("ops-1", ("directory.PersonJoined", {"person": person, "reports_to": "sales-dir"}), subject=SPACE)
    moved = {"person": "sales-1", "reports_to": "ceo"}
    world.decide("ops-1", ("directory.ReportingLineCorrected", moved), subject=SPACE)
    world.evidence.views["directory", "people"] = [(name, "", "", "", "sales-dir") for name in ("sales-1", "sales-dir")]


def forget_a_version(world: World) -> None:
    for version in (1, 2):
        world.decide("ops-1", ("notify.TextPublished", {"template": "t", "version": version}), subject=SPACE)
    world.evidence.views["notify", "texts"] = [("t", "2", "", "")]


def lose_a_line_of_the_ledger(world: World) -> None:
    world.evidence.ledger.popitem()


def double_a_record(world: World) -> None:
    topic = world.evidence.topics["tasks"]
    topic.append(topic[-1]._replace(offset=len(topic)))


def double_an_entry(world: World) -> None:
    journal = world.evidence.journals["audit"]
    last = journal[-1]
    journal.append(last._replace(position=last.position + 1, noted_at=last.noted_at + timedelta(seconds=1)))


def double_a_reaction(world: World) -> None:
    """The same cause, another command: every journal and topic agrees about it."""
    (posted,) = (row for row in world.evidence.journals["notify"] if row.type == "notify.MessagePosted")
    cause = next(row for row in world.evidence.journals["tasks"] if row.id == posted.causation_id)
    world.decide(posted.actor, (posted.type, json.loads(posted.data)), cause=cause)


def double_a_command(world: World) -> None:
    """One key, accepted as two commands."""
    world.tell(world.decide("svc-1", ("tasks.FormCompleted", {})), "c")


def reorder_records(world: World) -> None:
    topic = world.evidence.topics["tasks"]
    topic[1], topic[2] = topic[2]._replace(offset=1), topic[1]._replace(offset=2)


def reorder_what_was_heard(world: World) -> None:
    journal = world.evidence.journals["audit"]
    one, other = (at for at, row in enumerate(journal) if row.type in ("tasks.FormCompleted", "tasks.HandoffOffered"))
    keep = {name: getattr(journal[one], name) for name in ("position", "noted_at")}
    then = {name: getattr(journal[other], name) for name in ("position", "noted_at")}
    journal[one], journal[other] = journal[other]._replace(**keep), journal[one]._replace(**then)


def note_an_effect_before_its_cause(world: World) -> None:
    journal = world.evidence.journals["tasks"]
    at = next(at for at, row in enumerate(journal) if row.type == "tasks.CaseOpened")
    early = START - timedelta(seconds=1)
    journal[at] = journal[at]._replace(noted_at=early, recorded_at=early)


def acknowledge_what_never_was(world: World) -> None:
    journal = world.evidence.journals["tasks"]
    world.tell([journal[-1]._replace(position=len(journal) + 1)], "d")


def acknowledge_somebody_elses(world: World) -> None:
    world.tell([world.evidence.journals["tasks"][-1]._replace(actor="prod-1")], "d")


def acknowledge_other_facts(world: World) -> None:
    world.evidence.told[-1]["facts"] = ["tasks.CaseClosed"]


def decide_what_was_refused(world: World) -> None:
    world.decide("svc-1", ("tasks.CustomerTold", {}))
    world.evidence.told.append({"kind": "refused", "service": "tasks", "actor": "svc-1", "path": "/", "key": "d"})


def change_what_was_heard(world: World) -> None:
    journal = world.evidence.journals["audit"]
    journal[-1] = journal[-1]._replace(data=b"{}")


def park_something(world: World) -> None:
    world.evidence.parked["tasks"] = ["reaction: it raised"]


def forget_to_plan(world: World) -> None:
    message = {"message": str(uuid5(SPACE, "another")), "to": "prod-1", "cause": str(SPACE), "template": "case-closed"}
    world.decide("notify/tell-closed", ("notify.MessagePosted", message))


def forget_to_send(world: World) -> None:
    planned = {"delivery": str(uuid5(SPACE, "another")), "message": MESSAGE, "channel": "webhook"}
    world.decide("notify/send-out", ("notify.DeliveryPlanned", planned))


def forget_what_came_of_it(world: World) -> None:
    world.decide("notify/email", ("notify.DeliveryAttempted", {"delivery": DELIVERY, "attempt": 2}))


def send_again_after_it_failed(world: World) -> None:
    """Once too often: the attempt that failed never left, and the other one is on record as arrived."""
    world.decide("notify/email", ("notify.DeliveryAttempted", {"delivery": DELIVERY, "attempt": 2}))
    world.decide("notify/email", ("notify.DeliveryFailed", {"delivery": DELIVERY, "attempt": 2}))
    world.evidence.came[DELIVERY] = 2


def say_that_it_arrived(world: World) -> None:
    del world.evidence.came[DELIVERY]


def send_twice(world: World) -> None:
    world.evidence.came[DELIVERY] = 2


def send_what_nobody_planned(world: World) -> None:
    world.evidence.came[str(uuid5(SPACE, "another"))] = 1


def miss_a_breach(world: World) -> None:
    due = {"clock": "x", "step": "answer", "due_at": (START + timedelta(hours=1)).isoformat()}
    world.evidence.journals["sla"], world.evidence.topics["sla"] = [], []
    world.decide("sla/start-clock", ("sla.ClockStarted", due))


PLANTS: dict[Plant, str] = {
    lose_an_entry: "published twice, or never decided",
    lose_an_acknowledged_command: "acknowledged, and lost",
    lose_a_record: "decided and not published",
    lose_what_was_heard: "published and not heard",
    lose_a_reaction: "a message is missing",
    lose_a_row_of_a_view: "view tasks.cases lacks a row",
    show_another_holder: "view tasks.cases has a row too many",
    overlook_who_accepted: "view tasks.cases lacks a row",
    overlook_a_new_superior: "view directory.people lacks a row",
    forget_a_version: "view notify.texts lacks a row",
    lose_a_line_of_the_ledger: "the ledger lacks a fact",
    double_a_record: "published twice, or never decided",
    double_an_entry: "heard twice, or never said",
    double_a_reaction: "a reaction was done twice",
    double_a_command: "one key was accepted twice",
    reorder_records: "records are out of order",
    reorder_what_was_heard: "heard out of order",
    note_an_effect_before_its_cause: "noted before its cause",
    acknowledge_what_never_was: "acknowledged, and lost",
    acknowledge_somebody_elses: "acknowledged, and lost",
    acknowledge_other_facts: "other facts were told",
    decide_what_was_refused: "decided, and nobody was told",
    change_what_was_heard: "published and not heard",
    park_something: "something is parked",
    forget_to_plan: "an effect is missing",
    forget_to_send: "an effect is missing",
    forget_what_came_of_it: "an effect is missing",
    send_again_after_it_failed: "came oftener than is on record",
    say_that_it_arrived: "said to have arrived, and never came",
    send_twice: "came oftener than is on record",
    send_what_nobody_planned: "came oftener than is on record",
    miss_a_breach: "a breach is missing or doubled",
}


@pytest.mark.parametrize(("plant", "violation"), PLANTS.items(), ids=[plant.__name__ for plant in PLANTS])
def test_what_is_planted_is_found(plant: Plant, violation: str) -> None:
    world = flawless()
    plant(world)
    verdict = check(world.evidence)
    assert violation in verdict.violations, str(verdict)


def test_a_verdict_counts_every_violation_and_shows_the_first_few() -> None:
    verdict = Verdict()
    for number in range(100):
        verdict.expect(False, "lost", number)
    assert verdict.violations == {"lost": 100}
    assert verdict.examples["lost"] == [str(number) for number in range(EXAMPLES_MAX)]
