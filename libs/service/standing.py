"""Where one service stands: every position that must agree before it can be said to be at rest."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
from pydantic import BaseModel

from libs.events.clock import Reading
from libs.events.errors import Diverged
from libs.service.machinery import Machinery

_PUBLISHED = "select sequence, partitions::text as partitions from journal.published"
# Heard entries repeat the last sequence, so that the newest row tells both.
_END = "select position, sequence from journal.entries order by position desc limit 1"
_HEARD = "select topic, partition, sequence from journal.offsets order by topic, partition"
_DIVERGED = "select diverged from journal.mark"
_PARKED = "select count(*) from journal.parked where state in ('parked', 'waiting')"
TOPIC_PREFIX = "baton."


class ClockAt(BaseModel):
    """The domain clock. `held_at` null: it runs. Timers fire up to `fire_until`."""

    now: datetime
    held_at: datetime | None
    fire_until: datetime


class Timers(BaseModel):
    """`waiting`: due and not fired yet. `stuck`: fired and due as before, set aside."""

    waiting: int
    next_due: datetime | None
    stuck: list[str]


class Effects(BaseModel):
    """Deliveries into the world. `waiting`: due and no attempt begun. `under_way`: attempts without an outcome so far.
    `next_due`: after those. `stuck`: set aside.
    """

    waiting: int = 0
    under_way: int = 0
    next_due: datetime | None = None
    stuck: list[str] = []


class Positions(BaseModel):
    """`announced`, `heard`: last sequence by partition (and owner). At rest, everything decided is published, what
    others announced is heard, everything noted is folded and reacted to, nothing is due or being sent, and nothing
    moves.
    """

    service: str
    clock: ClockAt
    position: int
    sequence: int
    queued: int
    published: int
    announced: dict[str, int]
    folded: int
    reacted: int
    heard: dict[str, dict[str, int]]
    inbound_lag: int
    timers: Timers
    effects: Effects
    parked: int


def clock_at(reading: Reading) -> ClockAt:
    return ClockAt(now=reading.now, held_at=reading.held_at, fire_until=reading.fire_until)


async def positions(machinery: Machinery) -> Positions:
    """Read in the order of the flow, what comes later first: so nothing on its way can be missed in between."""
    timers = Timers(
        waiting=await machinery.timekeeper.waiting(),
        next_due=await machinery.timekeeper.next_due(),
        stuck=list(machinery.timekeeper.stuck.values()),
    )
    effects = await _effects(machinery)
    reacted, folded = await machinery.reactor.position(), await machinery.projector.position()
    published, announced = await _published(machinery)
    heard, parked = await _heard(machinery), await _parked(machinery)
    position, sequence = await _end(machinery)
    inbound_lag = await machinery.inbound.behind() if machinery.inbound else 0
    return Positions(
        service=machinery.service.name,
        clock=clock_at(await machinery.clock.read()),
        position=position,
        sequence=sequence,
        queued=machinery.journal.queued,
        published=published,
        announced=announced,
        folded=folded,
        reacted=reacted,
        heard=heard,
        inbound_lag=inbound_lag,
        timers=timers,
        effects=effects,
        parked=parked,
    )


async def lags(machinery: Machinery) -> dict[str, float]:
    """By how much each part is behind, as the database has it: in entries or records; in seconds, how long the oldest
    timer that is due waits already, be it for its sources, and the oldest delivery. In number: deliveries that wait
    for another attempt (`send_retrying`), and those that wait for a person (`send_unknown`).

    Three questions at a time: a process that is catching up keeps its connections busy, so that one after another each
    would wait for one, and all at once would take most of them away.
    """
    behind, sending, waiting = await asyncio.gather(_behind(machinery), _sending(machinery), _waiting(machinery))
    return {**behind, **waiting, **sending}


async def _behind(machinery: Machinery) -> dict[str, float]:
    published, _ = await _published(machinery)
    position, sequence = await _end(machinery)
    return {
        "publish": max(sequence - published, 0),
        "fold": max(position - await machinery.projector.position(), 0),
        "react": max(position - await machinery.reactor.position(), 0),
    }


async def _waiting(machinery: Machinery) -> dict[str, float]:
    return {
        "timer_overdue": _overdue_s(machinery, await machinery.timekeeper.next_due()),
        "parked": await _parked(machinery),
    }


async def _sending(machinery: Machinery) -> dict[str, float]:
    courier = machinery.courier
    if courier is None:
        return {"send_overdue": 0, "send_retrying": 0, "send_unknown": 0}
    return {
        "send_overdue": _overdue_s(machinery, await courier.oldest_due()),
        "send_retrying": await courier.retrying(),
        "send_unknown": await courier.unknown(),
    }


def lags_in_memory(machinery: Machinery) -> dict[str, float]:
    """Those that need no database; `timer_lateness`: by how many seconds the last timer was late.

    `listen` and `inbound` are measured by the process that leads, with the topics before it. Any other one, also while
    nobody can lead, does not know them and must not say 0.
    """
    known: dict[str, float] = {}
    listener = machinery.listener if machinery.service.hears else None
    for part, receiver in (("listen", listener), ("inbound", machinery.inbound)):
        if receiver is None:
            known[part] = 0
        elif (state := receiver.state()).leading:
            known[part] = sum(state.lag.values())
    return {**known, "timer_lateness": machinery.timekeeper.lateness_s, "queued": machinery.journal.queued}


async def diverged(machinery: Machinery) -> str | None:
    """Why this journal takes nothing, if so: whichever process found it."""
    found: str | None = await machinery.pool.fetchval(_DIVERGED)
    return found


async def _effects(machinery: Machinery) -> Effects:
    courier = machinery.courier
    if courier is None:
        return Effects()
    return Effects(
        waiting=await courier.waiting(),
        under_way=await courier.under_way(),
        next_due=await courier.next_due(),
        stuck=list(courier.stuck.values()),
    )


async def _end(machinery: Machinery) -> tuple[int, int]:
    row = await machinery.pool.fetchrow(_END)
    return (row["position"], row["sequence"]) if row else (0, 0)


async def _published(machinery: Machinery) -> tuple[int, dict[str, int]]:
    row = await machinery.pool.fetchrow(_PUBLISHED)
    if row is None:
        raise Diverged("journal.published has lost its row; see docs/operating.md")
    partitions = msgspec.json.decode(row["partitions"], type=dict[str, tuple[int, int]])
    return row["sequence"], {partition: last for partition, (last, _) in partitions.items()}


async def _heard(machinery: Machinery) -> dict[str, dict[str, int]]:
    owners = {contract.topic: contract.owner for contract in machinery.service.hears}
    heard: dict[str, dict[str, int]] = {owner: {} for owner in owners.values()}
    for row in await machinery.pool.fetch(_HEARD):
        if row["topic"] in owners:
            heard[owners[row["topic"]]][str(row["partition"])] = row["sequence"]
    return heard


async def _parked(machinery: Machinery) -> int:
    found: int = await machinery.pool.fetchval(_PARKED)
    return found


def _overdue_s(machinery: Machinery, due: datetime | None) -> float:
    return 0.0 if due is None else max(0.0, (machinery.clock.now() - due).total_seconds())


def trouble(machinery: Machinery) -> tuple[dict[str, str], dict[str, str]]:
    """(what does not work now, what works but wants a person's attention), each with its reason."""
    down: dict[str, str] = {}
    attention: dict[str, str] = {}
    publisher = machinery.publisher.state()
    receivers = {"listener": machinery.listener.state()}
    if machinery.inbound:
        receivers["inbound"] = machinery.inbound.state()
    problems = {"journal": machinery.journal.broken, "publisher": publisher.problem} | {
        name: state.problem for name, state in receivers.items()
    }
    down |= {name: problem for name, problem in problems.items() if problem}
    if publisher.lost:
        attention["publisher"] = publisher.lost
    for name, state in receivers.items():
        down |= {f"{name} {topic}/{partition}": why for (topic, partition), why in state.stopped.items()}
        attention |= {f"{name} {topic}/{partition}": why for (topic, partition), why in state.gaps.items()}
    attention |= machinery.projector.unreadable
    for stuck in machinery.timekeeper.stuck.values():
        attention[f"timekeeper {stuck}"] = "it is set aside"
    for stuck in machinery.courier.stuck.values() if machinery.courier else ():
        attention[f"courier {stuck}"] = "it is set aside"
    return down, attention
