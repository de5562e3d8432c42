"""What follows from what, by the promises of the services: each effect there once, and none that is owed missing."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from tests.faults.evidence import Evidence, Row

if TYPE_CHECKING:
    from tests.faults.checker import Verdict

Data: TypeAlias = Mapping[str, Any]
ONCE: dict[str, Callable[[Row, Data], Hashable]] = {
    "tasks.CaseOpened": lambda row, data: row.subject,
    "tasks.StepStarted": lambda row, data: (row.subject, data["step"]),
    "tasks.HandoffOffered": lambda row, data: (row.subject, data["number"]),
    "tasks.HandoffAccepted": lambda row, data: (row.subject, data["number"]),
    "tasks.HandoffRejected": lambda row, data: (row.subject, data["number"]),
    "tasks.CaseClosed": lambda row, data: row.subject,
    "sla.ClockStarted": lambda row, data: data["clock"],
    "sla.SlaWarned": lambda row, data: data["clock"],
    "sla.SlaMet": lambda row, data: data["clock"],
    "sla.ClockStopped": lambda row, data: data["clock"],
    "notify.MessagePosted": lambda row, data: (data["to"], data["cause"], data["template"]),
    "goals.KpiMeasured": lambda row, data: (data["kpi"], data["evidence"]),
}
"""Of these facts there is one each of this name, whatever died meanwhile."""
NO_LAST_WORD = "notify.DeliveryUnknown"
"""At its deadline an attempt is unknown, and what came of it may be told after that all the same."""


def effects(evidence: Evidence, verdict: Verdict) -> None:
    """No effect twice, none missing."""
    facts: dict[str, list[tuple[Row, Data]]] = defaultdict(list)
    for rows in evidence.journals.values():
        for row in rows:
            if row.decided:
                facts[row.type].append((row, json.loads(row.data)))
    _one_command_per_cause(evidence, verdict)
    for type_, name in ONCE.items():
        for what, times in Counter(name(row, data) for row, data in facts[type_]).items():
            verdict.expect(times == 1, "an effect was done twice", type_, what)
    _cases(facts, verdict)
    _clocks(facts, evidence, verdict)
    _escalations(facts, verdict)
    _messages(facts, verdict)
    _deliveries(facts, evidence.came, verdict)


def _one_command_per_cause(evidence: Evidence, verdict: Verdict) -> None:
    """A reaction asks a stream at most once per cause."""
    for name, rows in evidence.journals.items():
        asked: dict[tuple[UUID, str, UUID], set[UUID]] = defaultdict(set)
        for row in rows:
            if row.decided and row.causation_id is not None and row.type != NO_LAST_WORD:
                asked[row.causation_id, row.actor, row.stream].add(row.command_id)
        verdict.compared["reactions"] += len(asked)
        for (cause, actor, _), commands in asked.items():
            verdict.expect(len(commands) == 1, "a reaction was done twice", name, actor, cause)


def _cases(facts: Mapping[str, list[tuple[Row, Data]]], verdict: Verdict) -> None:
    """What came in from outside became a case."""
    opened = {row.subject for row, _ in facts["tasks.CaseOpened"]}
    for row, data in facts["gateway.RequestReceived"]:
        verdict.expect(row.subject in opened, "an effect is missing", "case of", data["reference"])


def _clocks(facts: Mapping[str, list[tuple[Row, Data]]], evidence: Evidence, verdict: Verdict) -> None:
    """A step with a limit has a clock; it ends with its step, and is broken when it was not done in time."""
    limits = {(data["template"], data["step"]) for _, data in facts["sla.PolicyPublished"]}
    started = {(row.subject, data["step"]): (row, data) for row, data in facts["sla.ClockStarted"]}
    for row, data in facts["tasks.StepStarted"]:
        if (data["template"], data["step"]) in limits:
            verdict.expect((row.subject, data["step"]) in started, "an effect is missing", "clock of", row.id)
    met = {data["clock"] for _, data in facts["sla.SlaMet"]}
    ended = met | {data["clock"] for _, data in facts["sla.ClockStopped"]}
    done = {(row.subject, data["step"]) for row, data in facts["tasks.StepCompleted"]}
    broken = Counter(data["clock"] for _, data in facts["sla.SlaBreached"])
    broken.subtract(data["clock"] for _, data in facts["sla.BreachWithdrawn"])
    for step, (row, data) in started.items():
        verdict.expect((step in done) == (data["clock"] in ended), "a clock and its step differ", row.subject, step[1])
        due = evidence.rested_at is not None and datetime.fromisoformat(data["due_at"]) <= evidence.rested_at
        wanted = int(data["clock"] not in met and due)
        verdict.expect(broken[data["clock"]] == wanted, "a breach is missing or doubled", data, wanted)
    verdict.compared["clocks"] += len(started)
    verdict.compared["breaches"] += broken.total()


def _escalations(facts: Mapping[str, list[tuple[Row, Data]]], verdict: Verdict) -> None:
    """The rungs of a case's escalation are climbed one after the other."""
    level: Counter[UUID] = Counter()
    moves = sorted(facts["sla.EscalationRaised"] + facts["sla.EscalationEnded"], key=lambda found: found[0].position)
    for row, data in moves:
        if row.type == "sla.EscalationEnded":
            level[row.subject] = 0
        else:
            verdict.expect(data["level"] > level[row.subject], "a rung was climbed twice", row.subject, data["level"])
            level[row.subject] = data["level"]
    verdict.compared["escalations"] += len(facts["sla.EscalationRaised"])


def _messages(facts: Mapping[str, list[tuple[Row, Data]]], verdict: Verdict) -> None:
    """Whoever is meant was told: the contact of an offer, the people of a rung, somebody of every breach."""
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, data in facts["notify.MessagePosted"]:
        told[data["cause"], data["template"]].add(data["to"])
    contacts = {data["department"]: data["person"] for _, data in facts["directory.ContactNamed"]}
    owed: list[tuple[Row, str, set[str]]] = [
        *((row, "handoff-offered", {contacts[data["receiver"]]}) for row, data in facts["tasks.HandoffOffered"]),
        *(
            (row, "escalation-raised", set(data["asked"]))
            for row, data in facts["sla.EscalationRaised"]
            if data["asked"]
        ),
        *((row, "sla-breached", set()) for row, _ in facts["sla.SlaBreached"]),
    ]
    for row, template, people in owed:
        found = told[str(row.id), template]
        verdict.expect(bool(found) and people <= found, "a message is missing", template, row.id, people - found)
    verdict.compared["messages"] += len(facts["notify.MessagePosted"])


def _deliveries(facts: Mapping[str, list[tuple[Row, Data]]], came: Mapping[str, int], verdict: Verdict) -> None:
    """What goes out by the channels that people chose was planned; what was planned was tried, and every attempt has an
    outcome; what is said to have arrived came, as often; and nothing came that is not on record as arrived or unknown.
    """
    chosen = [(row.position, data["person"], data["channel"]) for row, data in facts["notify.ChannelChosen"]]
    sent_by = {(data["message"], data["channel"]) for _, data in facts["notify.DeliveryPlanned"]}
    for row, data in facts["notify.MessagePosted"]:
        for position, person, channel in chosen:
            if person == data["to"] and position < row.position:
                goes = (data["message"], channel) in sent_by
                verdict.expect(goes, "an effect is missing", "delivery of", data["message"], channel)
    planned = {data["delivery"] for _, data in facts["notify.DeliveryPlanned"]}
    tried, arrived, failed, unknown = (
        {(data["delivery"], data["attempt"]) for _, data in facts[f"notify.Delivery{what}"]}
        for what in ("Attempted", "Arrived", "Failed", "Unknown")
    )
    for delivery in planned - {delivery for delivery, _ in tried}:
        verdict.expect(False, "an effect is missing", "attempt at", delivery)
    for attempt in tried - arrived - failed - unknown:
        verdict.expect(False, "an effect is missing", "outcome of", *attempt)
    least = Counter(delivery for delivery, _ in arrived)
    most = Counter(delivery for delivery, _ in arrived | unknown)
    for delivery in most.keys() | came.keys():
        times = came.get(delivery, 0)
        verdict.expect(times >= least[delivery], "said to have arrived, and never came", delivery, times)
        verdict.expect(times <= most[delivery], "came oftener than is on record", delivery, times, most[delivery])
    verdict.compared["deliveries"] += len(planned)
    verdict.compared["deliveries that came"] += sum(came.values())
    verdict.compared["deliveries failed at first"] += len(failed)
    verdict.compared["deliveries unknown"] += len(facts["notify.DeliveryUnknown"])
