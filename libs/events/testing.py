"""Testing without I/O: given / when / then for deciders, and a whole service in memory.

given(CASE, CaseOpened(...)).when(REJECT, RejectHandoff(...), by="prod-1", at=T).then(HandoffRejected(...))

tasks = MemoryService(SERVICE)
tasks.hear(RequestReceived(...), subject=CASE_ID, at=T)
tasks.ask(AcceptHandoff(...), by="prod-1", at=T2)
assert tasks.row(CASES, CASE_ID).holder == "production"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from libs.events.contract import Opaque
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.effects import Delivery, Effect, NotSent
from libs.events.entries import Entry, Fact, derived_id, stream_id
from libs.events.errors import Refusal
from libs.events.folding import Held, Key, Replaced, apply, as_key, lines_by_fact, touches
from libs.events.reactions import Reaction
from libs.events.service import Service
from libs.events.timers import Timer
from libs.events.views import LOOK_ROWS_MAX, View

TICK = timedelta(microseconds=1)
ROUNDS_MAX = 10_000


class MemoryLook:
    """Views in memory, for one tenant."""

    def __init__(self, tables: dict[View[Any], dict[Key, Held]], tenant: str) -> None:
        self._tables, self._tenant = tables, tenant

    def row(self, view: View[Any], key: Any) -> Any:
        return self._tables.get(view, {}).get((self._tenant, *as_key(view, key)), Held(None, 0)).row

    def rows(self, view: View[Any], **equal: Any) -> tuple[Any, ...]:
        found = sorted(
            (key, held.row)
            for key, held in self._tables.get(view, {}).items()
            if key[0] == self._tenant
            and held.row is not None
            and all(getattr(held.row, column) == value for column, value in equal.items())
        )
        if len(found) > LOOK_ROWS_MAX:
            raise ValueError(f"view {view.name}: more than {LOOK_ROWS_MAX} rows for {equal}")
        return tuple(row for _, row in found)


def look_of(*rows: tuple[View[Any], Any], tenant: str = "main") -> MemoryLook:
    """A look at these (view, row) pairs, for a decider's test."""
    tables: dict[View[Any], dict[Key, Held]] = {}
    for view, row in rows:
        key = (tenant, *(getattr(row, column) for column in view.key))
        tables.setdefault(view, {})[key] = Held(row, 1)
    return MemoryLook(tables, tenant)


@dataclass(frozen=True, slots=True)
class Given:
    """A stream's facts so far."""

    decider: Decider[Any]
    facts: tuple[Fact, ...]

    def when(
        self,
        handle: Handle[Any, Any],
        command: Command,
        *,
        by: str,
        at: datetime,
        look: MemoryLook | None = None,
        tenant: str = "main",
    ) -> Outcome:
        state = self.decider.initial
        for fact in self.facts:
            state = self.decider.evolve(state, fact)
        asked = Asked(tenant, by, at, look or look_of(tenant=tenant))
        try:
            return Outcome(tuple(handle.decide(state, command, asked)), None)
        except Refusal as refusal:
            return Outcome((), refusal)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decider answered."""

    facts: tuple[Fact, ...]
    refusal: Refusal | None

    def then(self, *expected: Fact) -> None:
        """Exactly these facts (none: nothing happened)."""
        if self.refusal is not None:
            raise AssertionError(f"refused: {self.refusal}") from self.refusal
        assert self.facts == expected, f"\ndecided {self.facts}\nexpected {expected}"

    def refused(self, rule: str) -> Refusal:
        """Refused by this rule; the refusal, for a look at its texts."""
        assert self.refusal is not None, f"expected a refusal by {rule}, decided {self.facts}"
        assert self.refusal.rule == rule, f"refused by {self.refusal.rule}, expected {rule}"
        return self.refusal


def given(decider: Decider[Any], *facts: Fact) -> Given:
    return Given(decider, facts)


@dataclass
class MemoryService:
    """A whole service without I/O: journal, views with their past, reactions to the end, timers and effects on demand.

    A reaction that is refused raises here, unless `parks` is set: then it is kept in `parked`, as a real service does.
    `sent`: what effects were given to send.
    """

    service: Service
    parks: bool = False
    entries: list[Entry] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    parked: list[tuple[Reaction, Entry, Refusal]] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    past: dict[View[Any], list[Replaced]] = field(default_factory=dict)
    _tables: dict[View[Any], dict[Key, Held]] = field(default_factory=dict)
    _commands: int = 0
    _reacted: int = 0

    def __post_init__(self) -> None:
        self._language = self.service.language

    def ask(self, command: Command, *, by: str, at: datetime, tenant: str = "main") -> tuple[Fact, ...]:
        """Handle a command, then every reaction that follows; returns what the command itself decided."""
        self._commands += 1
        facts = self._handle(command, by, at, tenant, UUID(int=self._commands), None)
        self._react()
        return facts

    def hear(self, fact: Fact, *, subject: UUID, at: datetime, tenant: str = "main", by: str = "somebody") -> None:
        """Another owner's fact arrives; then every reaction that follows."""
        types = self._language.types_of((type(fact),))
        type_ = sorted(types)[0] if types else f"unknown.{type(fact).__name__}"
        owner = type_.partition(".")[0]
        stream = stream_id(tenant, owner, "heard", subject)
        version = 1 + sum(entry.stream == stream for entry in self.entries)
        self._note(fact, type_, stream, version, tenant, subject, by, UUID(int=0), None, at, decided=False)
        self._react()

    def fire(self, up_to: datetime) -> int:
        """Fire every timer that falls due until `up_to`, each at its due instant, in order; how many fired."""
        for fired in range(ROUNDS_MAX):
            due = [
                (row.due_at, timer.name, key, timer, row)
                for timer in self.service.timers
                for key, (row, _) in self._tables.get(timer.view, {}).items()
                if row is not None and row.due_at is not None and row.due_at <= up_to
            ]
            if not due:
                return fired
            due_at, name, key, timer, row = min(due, key=lambda found: found[:2])
            self._fire(timer, name, key, row, due_at)
        raise AssertionError(f"timers are still firing after {ROUNDS_MAX} rounds")

    def effects(self, up_to: datetime) -> list[Delivery]:
        """What would be sent by then, in the order in which it falls due. Nothing is sent."""
        found = [
            Delivery(effect, key[0], key[1:], row, since)
            for effect in self.service.effects
            for key, (row, since) in self._tables.get(effect.view, {}).items()
            if row is not None and row.due_at is not None and row.due_at <= up_to
        ]
        return sorted(found, key=lambda each: (each.row.due_at, each.effect.name, each.key))

    def send(self, delivery: Delivery, came: str | NotSent | None, *, at: datetime) -> None:
        """Act out one attempt: what the other side said, or NotSent, or None where nobody can say what came of it."""
        effect, by = delivery.effect, f"{self.service.name}/{delivery.effect.name}"
        deadline, look = at + timedelta(seconds=effect.deadline_s), MemoryLook(self._tables, delivery.tenant)
        started = self.ask(effect.start(delivery.row, deadline), by=by, at=at, tenant=delivery.tenant)
        assert started, f"no attempt was decided: {delivery.row}"
        wanted = delivery.as_wanted(look)
        if wanted is None:
            outcome = effect.failed(delivery.row, NotSent("it is no longer wanted", final=True))
        else:
            self.sent.append(wanted.content)
            outcome = _outcome(effect, wanted.row, came)
        self.ask(outcome, by=by, at=at, tenant=delivery.tenant)

    def row(self, view: View[Any], key: Any, tenant: str = "main") -> Any:
        return MemoryLook(self._tables, tenant).row(view, key)

    def rows(self, view: View[Any], tenant: str = "main", **equal: Any) -> tuple[Any, ...]:
        return MemoryLook(self._tables, tenant).rows(view, **equal)

    def decided(self, *kinds: type[Fact]) -> list[Fact]:
        """Own facts so far, of these classes (none named: all)."""
        own = (f for f, e in zip(self.facts, self.entries, strict=True) if e.sequence is not None)
        return [fact for fact in own if not kinds or isinstance(fact, kinds)]

    def _fire(self, timer: Timer, name: str, key: Key, row: Any, due_at: datetime) -> None:
        self._commands += 1
        command, actor = timer.command(row), f"{self.service.name}/{name}"
        made = self.entries[self._tables[timer.view][key].since - 1]
        self._handle(command, actor, due_at, key[0], UUID(int=self._commands), made)
        self._react()
        left = self._tables[timer.view][key].row
        assert left is None or left.due_at != due_at, f"timer {name} fired and its row is still due: {left}"

    def _handle(
        self, command: Command, actor: str, at: datetime, tenant: str, command_id: UUID, cause: Entry | None
    ) -> tuple[Fact, ...]:
        handle = next(h for h in self.service.commands if h.command is type(command))
        stream = stream_id(tenant, self.service.name, handle.decider.category, handle.key(command))
        state, version = handle.decider.initial, 0
        for entry, fact in zip(self.entries, self.facts, strict=True):
            if entry.stream == stream:
                state, version = handle.decider.evolve(state, fact), entry.version
        facts = tuple(handle.decide(state, command, Asked(tenant, actor, at, MemoryLook(self._tables, tenant))))
        subject = (handle.subject or handle.key)(command)
        for offset, fact in enumerate(facts, start=1):
            type_ = self.service.contract.type_of(type(fact))
            self._note(
                fact, type_, stream, version + offset, tenant, subject, actor, command_id, cause, at, decided=True
            )
        return facts

    def _note(
        self,
        fact: Fact,
        type_: str,
        stream: UUID,
        version: int,
        tenant: str,
        subject: UUID,
        actor: str,
        command_id: UUID,
        cause: Entry | None,
        at: datetime,
        *,
        decided: bool,
    ) -> None:
        position = len(self.entries) + 1
        noted = max(at, self.entries[-1].noted_at + TICK) if self.entries else at
        kind = self.service.contract.kinds.get(type_)
        entry = Entry(
            position=position,
            sequence=sum(e.sequence is not None for e in self.entries) + 1 if decided else None,
            id=derived_id(command_id, str(position)),
            type=type_,
            schema_version=kind.version if kind else 1,
            stream=stream,
            version=version,
            tenant=tenant,
            subject=subject,
            actor=actor,
            command_id=command_id,
            causation_id=cause.id if cause else None,
            correlation_id=cause.correlation_id if cause else subject,
            traceparent="",
            basis=position - 1,
            epoch=1,
            occurred_at=at,
            recorded_at=noted,
            noted_at=noted,
            backfilled=False,
            data=encode_sample(fact),
        )
        self.entries.append(entry)
        self.facts.append(fact)
        for view in self.service.views:
            work = list(touches(view, lines_by_fact(view), entry, fact))
            table = self._tables.setdefault(view, {})
            for touch in work:
                table.setdefault(touch.key, Held(None, 0))
            self.past.setdefault(view, []).extend(apply(table, work))

    def _react(self) -> None:
        while self._reacted < len(self.entries):
            entry, fact = self.entries[self._reacted], self.facts[self._reacted]
            self._reacted += 1
            for reaction in self.service.reactions:
                if type(fact) in reaction.on or Fact in reaction.on:
                    self._run(reaction, fact, entry)

    def _run(self, reaction: Reaction, fact: Fact, entry: Entry) -> None:
        commands: Iterable[Command] = reaction.react(fact, entry, MemoryLook(self._tables, entry.tenant))
        for number, command in enumerate(commands):
            command_id = derived_id(entry.id, reaction.name, str(number))
            try:
                self._handle(
                    command, f"{self.service.name}/{reaction.name}", entry.occurred_at, entry.tenant, command_id, entry
                )
            except Refusal as refusal:
                if not self.parks:
                    raise
                self.parked.append((reaction, entry, refusal))


def _outcome(effect: Effect, row: Any, came: str | NotSent | None) -> Command:
    if isinstance(came, NotSent):
        return effect.failed(row, came)
    return effect.unknown(row, "nobody can say") if came is None else effect.succeeded(row, came)


def encode_sample(fact: Fact) -> bytes:
    """A fact's JSON, as the journal keeps it."""
    return msgspec.json.encode(fact) if not isinstance(fact, Opaque) else b"{}"


def instant(text: str) -> datetime:
    """An instant in UTC from ISO text with a zone, for tests: `instant("2026-11-02T09:40+08:00")`."""
    return datetime.fromisoformat(text).astimezone(UTC)
