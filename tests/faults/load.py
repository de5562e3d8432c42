"""Load: people work on cases at the public doors, and every answer that they get is written down.

Cold streams: cases, each played from its opening to its end, some raced by two people at once, some left unanswered so
that limits are broken. Hot streams: what operations publishes, over and over, to the services that cases do not ask.
An unknown outcome (a cut connection, a 5xx) is asked again with the same key until the answer is known. One line of
JSON per answer: `accepted` (a 2xx, maybe again for the same key), `refused` (a 4xx: nothing may have come of it).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

from infra.local import Platform
from libs.service.issuer import token
from tests.faults.lines import Answer, Lines, Lost

WORKERS = 8
PER_SECOND = 24.0
ASK_SECONDS_MAX = 20.0
OUTCOME_SECONDS_MAX = 180.0
"""By then an asked command has its answer, or the run has failed."""
ROW_SECONDS_MAX = 60.0
LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNAUTHORIZED)
"""Asked again: it is away, or its clock has jumped to where our token is not valid yet, or no more."""
ACKS_SECONDS_MAX = 240.0
AGAIN_SECONDS = 0.2
STALL_SECONDS_MIN = 1.0
"""Without an acknowledged command for so long, the load has stalled."""
HOT = 0.4
"""Of what is begun: a case takes several commands, so that about one of ten goes to a hot stream."""
HOT_TEXTS = ("task-assigned", "solution-given", "case-closed")
"""Templates of messages; the words of any other are refused."""
MOVED, SUPERIORS = "sales-1", ("ceo", "cfo", "vp-ops", "svc-lead", "prod-dir", "purch-dir", "pd-dir", "sales-dir")
"""Whose superior changes: nobody's case, contact or escalation depends on it."""
GOAL = {"goal": "load", "start": "2025-01-01T00:00:00Z", "end": "2028-01-01T00:00:00Z", "bonus_rule": "gated"}
LADDER = {"ladder": "load", "starts": "breach"}
"""No KPI and no limit names them."""
REJECTIONS_MAX = 3
CONTACTS = {"production": "prod-1", "purchasing": "purch-1", "product": "pd-1"}
ROUTES = {"quality": "production", "material": "purchasing", "specification": "product"}
AGENT, SUPERIOR, OPERATOR, SHOP = "svc-1", "vp-ops", "ops-1", "web-shop"
ROLES = {OPERATOR: "ops", SHOP: "integration"}
Json = dict[str, Any]


class NoAnswer(Exception):
    """A command whose outcome stayed unknown for OUTCOME_SECONDS_MAX: which one, and what was seen last."""


@dataclass(frozen=True)
class Ask:
    """One command by one person; sent again with the same key it is the same command."""

    service: str
    path: str
    person: str
    body: Json
    key: str

    @property
    def headers(self) -> str:
        if self.path == "/events":  # its key is the event's id
            return "Content-Type: application/cloudevents+json\r\n"
        return f"Content-Type: application/json\r\nIdempotency-Key: {self.key}\r\n"


@dataclass
class Clients:
    """Asks, and writes every answer to `log`. `answers_s`: how long each took, retries included; `stalls_s`: how long
    nothing was acknowledged, where that was long. `seen_s`: how long what was told to one service took to be seen at
    another.

    `faults`: answers that say that something is wrong inside (500), where "try again soon" (503) is meant.
    `twice`: what got no answer at the first retry either, and what was seen then.
    """

    platform: Platform
    log: Path
    counts: Counter[str] = field(default_factory=Counter)
    answers_s: list[float] = field(default_factory=list)
    stalls_s: list[float] = field(default_factory=list)
    seen_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Clients:
        self._bearers: dict[str, str] = {}
        self._told = asyncio.Event()
        self._acked_at = time.monotonic()
        self._file = self.log.open("a", buffering=1)
        self._lines = {name: Lines(at.url, ASK_SECONDS_MAX) for name, at in self.platform.services.items()}
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for lines in self._lines.values():
            lines.close()
        self._file.close()

    @property
    def acks(self) -> int:
        return self.counts["accepted"]

    async def ask(self, ask: Ask) -> Json | None:
        """The answer, None when it was refused."""
        started, tries, seen = time.monotonic(), 0, ""
        while time.monotonic() - started < OUTCOME_SECONDS_MAX:
            tries += 1
            try:
                answer = await self._send(
                    "POST", ask.service, ask.path, ask.person, ask.headers, json.dumps(ask.body).encode()
                )
            except Lost as error:
                seen = repr(error)
                self.counts["connection lost"] += 1
            else:
                if answer.status < 500 and answer.status != HTTPStatus.UNAUTHORIZED:
                    return self._noted(ask, answer, tries, time.monotonic() - started)
                seen = answer.body.decode()
                self.counts[f"answered {answer.status}"] += 1
                if answer.status not in LATER:
                    self.faults.append(f"{ask.service}{ask.path} {answer.status} {seen}")
            if tries == 2:
                self.twice.append(f"{ask.service}{ask.path}: {seen}")
            await asyncio.sleep(AGAIN_SECONDS)
        raise NoAnswer(f"{ask} has no answer after {tries} tries: {seen}")

    def _noted(self, ask: Ask, answer: Answer, tries: int, seconds: float) -> Json | None:
        told: Json = json.loads(answer.body)
        kind = "accepted" if answer.is_success else "refused"
        self.counts[kind] += 1
        self.counts["after a retry"] += tries > 1
        self.answers_s.append(seconds)
        if answer.is_success:
            self._acked()
        self._told.set()
        self._file.write(json.dumps(told_of(ask.service, ask.path, ask.person, ask.key, answer, tries)) + "\n")
        return told if answer.is_success else None

    def _acked(self) -> None:
        before, self._acked_at = self._acked_at, time.monotonic()
        if self._acked_at - before >= STALL_SECONDS_MIN:
            self.stalls_s.append(self._acked_at - before)

    async def wait_acks(self, acks: int) -> None:
        """Until so many commands were acknowledged; raises TimeoutError after ACKS_SECONDS_MAX."""
        async with asyncio.timeout(ACKS_SECONDS_MAX):
            while self.acks < acks:
                self._told.clear()
                await self._told.wait()

    async def wait_row(self, service: str, path: str, person: str) -> bool:
        """Until this row can be read; whether it was in time. What came from a clock ahead waits for hours, and whether
        something was lost is for the checker to say.
        """
        began = time.monotonic()
        while time.monotonic() < began + ROW_SECONDS_MAX:
            try:
                if (await self._send("GET", service, path, person)).is_success:
                    self.seen_s.append(time.monotonic() - began)
                    return True
            except Lost:
                self.counts["connection lost"] += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.counts["not seen in time"] += 1
        return False

    async def _send(
        self, method: str, service: str, path: str, person: str, headers: str = "", body: bytes = b""
    ) -> Answer:
        if person not in self._bearers:
            roles = (ROLES.get(person, "frontend"),)
            self._bearers[person] = token(self.platform.secrets.keys, person=person, roles=roles)
        bearer = f"Authorization: Bearer {self._bearers[person]}\r\n"
        return await self._lines[service].send(method, path, bearer + headers, body)


def told_of(service: str, path: str, person: str, key: str, answer: Answer, tries: int = 1) -> Json:
    """What somebody was told of his command, for the checker."""
    told: Json = json.loads(answer.body)
    kind = "accepted" if answer.is_success else "refused"
    line = {"kind": kind, "status": answer.status, "service": service, "actor": person}
    if answer.is_success:
        told.setdefault("facts", ["?"] if told.get("result") == "accepted" else [])
        told.setdefault("known", told.get("result") == "duplicate")
        line |= {name: told.get(name) for name in ("position", "stream", "version", "facts", "known")}
    else:
        line["rule"] = told.get("rule") or told.get("type")
    return line | {"key": key, "path": path, "tries": tries}


class Worker:
    """One seeded source of work."""

    def __init__(self, clients: Clients, seed: str, per_second: float) -> None:
        self._clients, self._seed, self._per_second = clients, seed, per_second
        self._random = random.Random(seed)
        self._asked = 0

    async def run(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            if self._random.random() < HOT:
                await self._publish()
            else:
                await self._play_case(enough)

    async def _publish(self) -> None:
        """A hot stream: everybody publishes the same words, goal, ladder, reporting line."""
        key = self._key()
        words, superior = self._random.choice(HOT_TEXTS), self._random.choice(SUPERIORS)
        service, path, body = self._random.choice(
            (
                ("notify", "/v1/texts", {"template": words, "en": key, "zh": key}),
                ("directory", f"/v1/people/{MOVED}/reporting-line", {"reports_to": superior}),
                ("goals", "/v1/goals", {**GOAL, "name_en": key, "name_zh": key}),
                ("sla", "/v1/ladders", {**LADDER, "rungs": [{"name": key, "asks": "decision-board"}]}),
            )
        )
        answer = await self._ask(Ask(service, path, OPERATOR, body, key))
        assert answer is not None, f"refused, so that nothing is hot: {body}"

    async def _play_case(self, enough: asyncio.Event) -> None:
        category = self._random.choice(list(ROUTES))
        case = await self._open(category)
        if case is None:
            return
        form = {"customer": "C-1", "order": "SO-1", "product": "front", "defect": self._seed}
        await self._act(case, "form", AGENT, {"form": form})
        if self._random.random() < 0.2:
            return  # nobody answers: the limit is broken, the ladder is climbed
        holder = await self._hand_over(case, ROUTES[category], enough)
        if holder is None:
            return
        await self._act(case, "solution", CONTACTS[holder], {"solution": "new fronts"})
        await self._act(case, "customer-told", AGENT)
        await self._act(case, "call-back", AGENT, {"satisfied": True})

    async def _open(self, category: str) -> UUID | None:
        """By an agent, or from outside: then the case appears by itself."""
        key = self._key()
        new = {"reference": key, "template": "complaint", "category": category, "title": "load"}
        if self._random.random() < 0.5:
            answer = await self._ask(Ask("tasks", "/v1/cases", AGENT, {"source": "phone", **new}, key))
            return UUID(answer["case_id"]) if answer else None
        event = {"specversion": "1.0", "id": key, "source": SHOP, "type": "baton.request.received.v1", "data": new}
        answer = await self._ask(Ask("gateway", "/events", SHOP, event, key))
        if answer is None:
            return None
        case = UUID(answer["subject"])
        return case if await self._clients.wait_row("tasks", f"/v1/cases/{case}", AGENT) else None

    async def _hand_over(self, case: UUID, receiver: str, enough: asyncio.Event) -> str | None:
        """Who has it in the end: it is rejected, raced, ruled and accepted, as chance has it."""
        for number in range(1, REJECTIONS_MAX + 1):
            if enough.is_set():
                return None
            others = [name for name in CONTACTS if name != receiver]
            following = self._random.choice(others)
            who, chance = CONTACTS[receiver], self._random.random()
            rejection = {"reason": "not ours", "next_department": following}
            if chance < 0.15:  # both at once: one of them comes too late
                accepted, _ = await asyncio.gather(
                    self._act(case, f"handoffs/{number}/acceptance", who),
                    self._act(case, f"handoffs/{number}/rejection", who, rejection),
                )
                if accepted:
                    return receiver
            elif chance < 0.5:
                await self._act(case, f"handoffs/{number}/acceptance", who)
                return receiver
            else:
                await self._act(case, f"handoffs/{number}/rejection", who, rejection)
            receiver = following
        ruling = {"responsible": receiver, "consulted": [], "reason": "it is yours"}
        await self._act(case, "rulings", SUPERIOR, ruling)
        await self._act(case, f"handoffs/{REJECTIONS_MAX + 1}/acceptance", CONTACTS[receiver])
        return receiver

    async def _act(self, case: UUID, act: str, person: str, body: Json | None = None) -> Json | None:
        return await self._ask(Ask("tasks", f"/v1/cases/{case}/{act}", person, body or {}, self._key()))

    async def _ask(self, ask: Ask) -> Json | None:
        """Ask, at the worker's pace; some twice with the same key, at once or afterwards."""
        await asyncio.sleep(self._random.expovariate(self._per_second))
        chance = self._random.random()
        if chance < 0.05:
            answer, _ = await asyncio.gather(self._clients.ask(ask), self._clients.ask(ask))
            return answer
        answer = await self._clients.ask(ask)
        if chance < 0.15:
            await self._clients.ask(ask)
        return answer

    def _key(self) -> str:
        self._asked += 1
        return f"{self._seed}-{self._asked}"


async def work(
    clients: Clients, seed: str, enough: asyncio.Event, *, workers: int = WORKERS, per_second: float = PER_SECOND
) -> None:
    """Load until `enough` is set and everything asked has its answer. Raises NoAnswer."""
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(Worker(clients, f"{seed}-{number}", per_second / workers).run(enough))


@asynccontextmanager
async def loaded(clients: Clients, seed: str, per_second: float = PER_SECOND) -> AsyncIterator[None]:
    """Load while the block runs; at its end everything asked has its answer."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(clients, seed, enough, per_second=per_second))
        try:
            yield
        finally:
            enough.set()
