"""Holds journals, topics, views and the audit against one another and against what clients were told.

It knows tables, records and the promises of the services, not the kernel's code. Every violation has a name; `check`
finds none where nothing was lost, doubled or put out of order.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.faults.effects import effects
from tests.faults.evidence import Evidence, Record, Row

EXAMPLES_MAX = 5


@dataclass(frozen=True)
class Shown:
    """A view with one row per subject of a fact of this type, and per `key`, fields that tell rows of a subject apart.

    `fields`: columns that are fields of the last such fact, or its subject, which is called `case_id`. `last`: columns
    that take a field of the last later fact of another type, if there is one.
    """

    type: str
    fields: tuple[str, ...]
    last: tuple[tuple[str, str, str], ...] = ()
    key: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.fields, *(column for column, _, _ in self.last))))


HOLDER = ("holder", "tasks.HandoffAccepted", "receiver")
ASKED = ("case_id", "source", "reference", "template", "title")
PEOPLE = Shown(
    "directory.PersonJoined",
    ("person", "name", "department", "role", "reports_to"),
    (("reports_to", "directory.ReportingLineCorrected", "reports_to"),),
    key=("person",),
)
SHOWN_VIEWS = {
    ("tasks", "cases"): Shown("tasks.CaseOpened", (*ASKED, "template_version", "priority", "holder"), (HOLDER,)),
    ("tasks", "handoffs"): Shown(
        "tasks.HandoffOffered", ("case_id", "number", "sender", "receiver", "note"), key=("number",)
    ),
    ("gateway", "requests"): Shown("gateway.RequestReceived", (*ASKED, "category", "priority")),
    ("sla", "clocks"): Shown(
        "sla.ClockStarted", ("case_id", "clock", "step", "policy", "policy_version", "template"), key=("clock",)
    ),
    ("sla", "ladders"): Shown("sla.LadderPublished", ("ladder", "version", "starts"), key=("version",)),
    ("notify", "messages"): Shown(
        "notify.MessagePosted", ("case_id", "message", "to", "template", "because", "cause"), key=("message",)
    ),
    ("notify", "texts"): Shown("notify.TextPublished", ("template", "version", "en", "zh"), key=("version",)),
    ("goals", "goals"): Shown("goals.GoalSet", ("goal", "name_en", "name_zh", "bonus_rule")),
    ("directory", "people"): PEOPLE,
    ("sla", "people"): PEOPLE,
    ("audit", "cases"): Shown("tasks.CaseOpened", (*ASKED, "category", "holder"), (HOLDER,)),
}


@dataclass
class Verdict:
    """`compared`: how much of what; `violations`: how often what was found, with the first few of each."""

    compared: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def expect(self, holds: bool, violation: str, *about: object) -> None:
        if not holds:
            self.violations[violation] += 1
            if len(self.examples[violation]) < EXAMPLES_MAX:
                self.examples[violation].append(" ".join(map(str, about)))

    def same(self, one: Iterable[Hashable], other: Iterable[Hashable], lost: str, doubled: str) -> None:
        """The same, each as often: what is missing in `one` is lost, what is too much there is doubled or false."""
        seen, wanted = Counter(one), Counter(other)
        for what in wanted - seen:
            self.expect(False, lost, what)
        for what in seen - wanted:
            self.expect(False, doubled, what)

    def __str__(self) -> str:
        found = [f"{number} × {name}: {'; '.join(self.examples[name])}" for name, number in self.violations.items()]
        return "\n".join([f"compared {dict(self.compared)}", *(found or ["no violation"])])


def check(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    for name, rows in evidence.journals.items():
        verdict.compared["entries"] += len(rows)
        _order(name, rows, verdict)
        _appends(name, rows, verdict)
    _causes(evidence, verdict)
    for owner, records in evidence.topics.items():
        verdict.compared["records"] += len(records)
        _topic(owner, records, _decided(evidence, owner), verdict)
    for name in evidence.journals:
        _heard(name, evidence, verdict)
    _told(evidence, verdict)
    _views(evidence, verdict)
    for name, parked in evidence.parked.items():
        verdict.expect(not parked, "something is parked", name, *parked)
    effects(evidence, verdict)
    return verdict


def _decided(evidence: Evidence, owner: str) -> list[Row]:
    return [row for row in evidence.journals.get(owner, ()) if row.decided]


def _order(name: str, rows: list[Row], verdict: Verdict) -> None:
    sequence, before = 0, None
    versions: Counter[UUID] = Counter()
    for position, row in enumerate(rows, 1):
        sequence += row.decided
        verdict.expect(row.position == position, "position has a gap", name, row.position, "where", position)
        verdict.expect(row.sequence == sequence, "sequence has a gap", name, row.position, row.sequence)
        verdict.expect(before is None or row.noted_at > before, "noted_at does not grow", name, row.position)
        before = row.noted_at
        if row.decided:
            versions[row.stream] += 1
            verdict.expect(row.version == versions[row.stream], "version has a gap", name, row.position, row.stream)
            verdict.expect(row.recorded_at == row.noted_at, "recorded elsewhere than noted", name, row.position)
            verdict.expect(row.owner == name, "decided in another's name", name, row.position, row.type)
        else:
            verdict.expect(row.noted_at > row.recorded_at, "noted before it was recorded", name, row.position)
    ids = Counter(row.id for row in rows)
    verdict.same(ids.elements(), ids, "-", "an id is there twice")


def _appends(name: str, rows: list[Row], verdict: Verdict) -> None:
    """The facts of one command stand side by side, on one stream."""
    for command, facts in _by(lambda row: row.command_id, (row for row in rows if row.decided)).items():
        positions, first = [row.position for row in facts], facts[0]
        whole = positions == list(range(first.position, first.position + len(facts)))
        whole = whole and {row.stream for row in facts} == {first.stream}
        verdict.expect(whole, "an append was torn apart or done twice", name, command, positions)


def _causes(evidence: Evidence, verdict: Verdict) -> None:
    """Every cause is on record, and was noted before its effect: in the same journal, and by its owner. But a record
    that was parked came of one that was not taken yet, and may be from a clock ahead.
    """
    by_id = {row.id: row for rows in evidence.journals.values() for row in rows if row.decided}
    for name, rows in evidence.journals.items():
        here = {row.id: row for row in rows}
        for row in rows:
            if row.causation_id is None:
                continue
            cause, known = by_id.get(row.causation_id), here.get(row.causation_id)
            verdict.expect(cause is not None, "effect without its cause", name, row.position, row.type)
            if row.type == f"{row.owner}.RecordParked":
                continue
            later = not row.decided or (known is not None and known.noted_at < row.noted_at)
            verdict.expect(later, "noted before its cause", name, row.position, row.type)
            later = cause is None or cause.recorded_at < row.recorded_at
            verdict.expect(later, "recorded before its cause", name, row.position, row.type)


def _topic(owner: str, records: list[Record], decided: list[Row], verdict: Verdict) -> None:
    """The topic is the journal's decided entries: each once, in order by partition and key, chained."""
    last: Counter[int] = Counter()
    partitions: dict[bytes, int] = {}
    for record in records:
        place = (owner, record.partition, record.offset)
        verdict.expect(record.sequence > last[record.partition], "records are out of order", *place)
        verdict.expect(record.previous == last[record.partition], "the chain of records is broken", *place)
        last[record.partition] = max(last[record.partition], record.sequence)
        one = partitions.setdefault(record.key, record.partition) == record.partition
        verdict.expect(one, "a key is in two partitions", *place)
    verdict.same(
        ((r.sequence, r.id, r.type, r.stream, r.version, r.key, r.value) for r in records),
        (
            (r.sequence, str(r.id), r.type, str(r.stream), r.version, f"{r.tenant}:{r.subject}".encode(), r.data)
            for r in decided
        ),
        "decided and not published",
        "published twice, or never decided",
    )


def _heard(name: str, evidence: Evidence, verdict: Verdict) -> None:
    """What a service subscribed to is what the owners decided: each once, the same bytes, in order by subject."""
    wanted = set(evidence.subscriptions.get(name, ()))
    heard = [row for row in evidence.journals[name] if not row.decided]
    said: list[Row] = []
    for owner in evidence.journals.keys() - {name}:
        said += [row for row in _decided(evidence, owner) if row.type in wanted or f"{owner}.*" in wanted]
    verdict.compared["heard"] += len(heard)

    def content(row: Row) -> Hashable:
        facts = (row.id, row.type, row.stream, row.version, row.tenant, row.subject, row.actor, row.command_id)
        return (name, *facts, row.causation_id, row.occurred_at, row.recorded_at, row.data)

    lost, doubled = "published and not heard", "heard twice, or never said"
    verdict.same(map(content, heard), map(content, said), lost, doubled)
    said_at = {row.id: row.sequence for row in said}
    last: Counter[tuple[str, UUID]] = Counter()
    for row in heard:
        sequence, line = said_at.get(row.id, 0), (row.owner, row.subject)
        verdict.expect(sequence > last[line], "heard out of order", name, row.position, row.type)
        last[line] = sequence


def _told(evidence: Evidence, verdict: Verdict) -> None:
    """What was acknowledged is there, once, as it was told; and people decided nothing that they were not told
    of (what an operator releases is not told to the load).
    """
    commands = {name: _by(lambda row: row.command_id, _decided(evidence, name)) for name in evidence.journals}
    entry_told = {name: _entry_told(evidence, name) for name in evidence.journals}
    claimed: dict[tuple[str, str, str, str], set[tuple[str, UUID]]] = defaultdict(set)
    for line in evidence.told:
        verdict.compared[line["kind"]] += 1
        if line["kind"] != "accepted" or not (line["facts"] or line["known"]):
            continue
        service, about = line["service"], (line["service"], line["key"], "position", line["position"])
        row = entry_told[service](line)
        facts = [] if row is None or not row.decided else commands[service][row.command_id]
        if row is None or not facts or row != facts[-1] or row.actor != line["actor"]:
            verdict.expect(False, "acknowledged, and lost", *about)
            continue
        verdict.expect(line["stream"] in (None, str(row.stream)), "another stream was told", *about)
        verdict.expect(line["version"] in (None, row.version), "another version was told", *about)
        types = [fact.type for fact in facts]
        verdict.expect(line["facts"] in ([], ["?"], types), "other facts were told", *about, types)
        claimed[service, line["actor"], line["path"], line["key"]].add((service, row.command_id))
    for key, taken in claimed.items():
        verdict.expect(len(taken) == 1, "one key was accepted twice", *key)
    keys_of: dict[tuple[str, UUID], int] = Counter(command for taken in claimed.values() for command in taken)
    for name, found in commands.items():
        for command, facts in found.items():
            by_person = "/" not in facts[0].actor
            keys = keys_of[name, command]
            verdict.expect(keys <= 1, "two keys were told of one command", name, facts[0].position)
            there = by_person <= bool(keys) or facts[0].type == f"{name}.ParkedRecordReleased"
            verdict.expect(there, "decided, and nobody was told", name, facts[0].position, facts[0].type)


def _entry_told(evidence: Evidence, name: str) -> Callable[[dict[str, Any]], Row | None]:
    """Finds what a client was told of: by its position or, where these were given out anew, its place in its stream."""
    rows = evidence.journals[name]
    if name in evidence.recovered:
        places = {(str(row.stream), row.version): row for row in rows if row.decided}
        return lambda line: places.get((line["stream"], line["version"]))
    return lambda line: rows[line["position"] - 1] if 0 < line["position"] <= len(rows) else None


def _views(evidence: Evidence, verdict: Verdict) -> None:
    for (service, view), rows in evidence.views.items():
        verdict.compared["view rows"] += len(rows)
        wanted = shown(evidence, SHOWN_VIEWS[service, view])
        verdict.same(rows, wanted, f"view {service}.{view} lacks a row", f"view {service}.{view} has a row too many")
    texts = {str(row.id): row.data.decode() for row in evidence.journals.get("audit", ())}
    verdict.compared["ledger"] += len(evidence.ledger)
    verdict.same(evidence.ledger.items(), texts.items(), "the ledger lacks a fact", "the ledger has a fact too many")


def shown(evidence: Evidence, view: Shown) -> list[tuple[str, ...]]:
    """The rows that a view must have by what was decided, each value as text."""
    later = {type_: (column, field_) for column, type_, field_ in view.last}
    rows: dict[Hashable, dict[str, Any]] = {}
    for row in _decided(evidence, view.type.partition(".")[0]):
        if row.type != view.type and row.type not in later:
            continue
        said = {**json.loads(row.data), "case_id": row.subject}
        about = (row.subject, *(said[name] for name in view.key))
        if row.type == view.type:
            rows[about] = {name: said.get(name) for name in view.columns}
        elif about in rows:
            column, field_ = later[row.type]
            rows[about][column] = said[field_]
    return [tuple("" if value is None else str(value) for value in found.values()) for found in rows.values()]


def _by(key: Callable[[Row], Any], rows: Iterable[Row]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups
