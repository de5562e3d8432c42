"""A small flawless piece of evidence, made by hand: two people and a shop, three services, an auditor."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from tests.faults.evidence import Evidence, Record, Row

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SPACE = UUID(int=7)
SERVICES = ("directory", "gateway", "tasks", "notify", "audit")
HEARS = {
    "tasks": ["gateway.*", "directory.*"],
    "notify": ["tasks.HandoffOffered", "directory.ContactNamed"],
    "audit": ["directory.*", "gateway.*", "tasks.*", "notify.*"],
}
CASE = uuid5(SPACE, "case")
DELIVERY, MESSAGE = str(uuid5(SPACE, "delivery")), str(uuid5(SPACE, "message"))


class World:
    def __init__(self) -> None:
        self.evidence = Evidence(rested_at=START + timedelta(days=1))
        for name in SERVICES:
            self.evidence.journals[name], self.evidence.topics[name] = [], []
            self.evidence.subscriptions[name], self.evidence.parked[name] = HEARS.get(name, []), []
        self._now = START

    def decide(self, actor: str, *facts: tuple[str, Any], subject: UUID = CASE, cause: Row | None = None) -> list[Row]:
        """One command: noted, published, and heard by everybody who listens."""
        owner = facts[0][0].partition(".")[0]
        journal = self.evidence.journals[owner]
        stream = uuid5(subject, owner)
        command = uuid5(SPACE, f"{owner}/{len(journal)}")
        version = sum(row.decided and row.stream == stream for row in journal)
        rows = []
        for number, (type_, data) in enumerate(facts, 1):
            at, sequence = self._later(), sum(row.decided for row in journal) + 1
            row = Row(
                *(
                    len(journal) + 1,
                    sequence,
                    True,
                    uuid5(command, str(number)),
                    type_,
                    stream,
                    version + number,
                    "main",
                ),
                *(subject, actor, command, cause and cause.id, at, at, at, json.dumps(data).encode()),
            )
            journal.append(row)
            rows.append(row)
        for row in rows:
            self._publish(row)
        return rows

    def tell(self, rows: list[Row], key: str, **changed: Any) -> None:
        """What the client of this command was answered."""
        last = rows[-1]
        line = {"kind": "accepted", "service": last.owner, "actor": last.actor, "path": "/", "key": key, "known": False}
        line |= {"position": last.position, "stream": str(last.stream), "version": last.version}
        self.evidence.told.append(line | {"facts": [row.type for row in rows]} | changed)

    def _publish(self, row: Row) -> None:
        topic = self.evidence.topics[row.owner]
        key = f"{row.tenant}:{row.subject}".encode()
        previous = topic[-1].sequence if topic else 0
        head = (0, len(topic), key, str(row.id), row.type, row.sequence, previous, str(row.stream), row.version)
        topic.append(Record(*head, row.data))
        for name, types in self.evidence.subscriptions.items():
            if row.type in types or f"{row.owner}.*" in types:
                journal = self.evidence.journals[name]
                sequence = journal[-1].sequence if journal else 0
                noted = row._replace(
                    position=len(journal) + 1, sequence=sequence, decided=False, noted_at=self._later()
                )
                journal.append(noted)

    def _later(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now


def flawless() -> World:
    """A request from outside becomes a case, an agent hands it over, the contact is told; a mail leaves."""
    world = World()
    contact = {"department": "production", "person": "prod-1", "counterpart": "*"}
    world.tell(world.decide("ops-1", ("directory.ContactNamed", contact), subject=uuid5(SPACE, "directory")), "a")
    received = world.decide("web-shop", ("gateway.RequestReceived", {"reference": "R1"}))
    world.tell(received, "b", facts=["?"], stream=None, version=None)
    opened = {"source": "web-shop", "reference": "R1", "holder": "service"}
    world.decide("tasks/open-case", ("tasks.CaseOpened", opened), cause=received[0])
    offered = {"number": 1, "receiver": "production"}
    formed = world.decide("svc-1", ("tasks.FormCompleted", {}), ("tasks.HandoffOffered", offered))
    world.tell(formed, "c")
    world.tell(formed, "c", facts=[], known=True)
    chosen = {"person": "prod-1", "channel": "email"}
    world.tell(world.decide("prod-1", ("notify.ChannelChosen", chosen), subject=uuid5(SPACE, "channel")), "d")
    cause = formed[-1]
    message = {"message": MESSAGE, "to": "prod-1", "cause": str(cause.id), "template": "handoff-offered"}
    posted = world.decide("notify/tell-offered", ("notify.MessagePosted", message), cause=cause)
    planned = {"delivery": DELIVERY, "message": MESSAGE, "channel": "email"}
    world.decide("notify/send-out", ("notify.DeliveryPlanned", planned), cause=posted[0])
    world.decide("notify/email", ("notify.DeliveryAttempted", {"delivery": DELIVERY, "attempt": 1}))
    world.decide("notify/email", ("notify.DeliveryArrived", {"delivery": DELIVERY, "attempt": 1}))
    evidence = world.evidence
    evidence.came[DELIVERY] = 1
    evidence.ledger = {str(row.id): row.data.decode() for row in evidence.journals["audit"]}
    case = (str(CASE), "web-shop", "R1", "", "", "", "", "service")
    letter = (str(CASE), MESSAGE, "prod-1", "handoff-offered", "", str(cause.id))
    evidence.views = {("tasks", "cases"): [case], ("notify", "messages"): [letter]}
    return world
