"""Parking: what people do with records and reactions that could not be taken. Listed, mended and retried, or dropped.

The rows stand in journal.parked. `retry` and `drop` only write down what was asked, with who asks; whichever process
listens does it between two batches, so that the order of a key is kept, and answers in the row. Every parking, release
and drop is a fact of the service (libs/events/parked.py).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import msgspec
from msgspec.structs import replace

from libs.events.appends import ANY, DATA_BYTES_MAX, Append
from libs.events.contract import Contract
from libs.events.entries import NAMESPACE, Entry, Fact, derived_id, is_tenant, stream_id
from libs.events.errors import NotFound, Refusal, Unavailable
from libs.events.journal import Journal
from libs.events.parked import (
    Headers,
    Parked,
    ParkedRecordDropped,
    ParkedRecordReleased,
    Problem,
    RecordParked,
    State,
    headers_from,
    shortened,
)
from libs.events.tables import Session

PAGE_ROWS_MAX = 200
ROWS_MAX = PAGE_ROWS_MAX + 1
"""Whoever shows a page asks for one row more: whether another page follows."""
ANSWER_WITHIN_S = 10.0
ANSWER_POLL_S = 0.05
UNKNOWN_TENANT = "unknown"

_COLUMNS = ", ".join(name for name in Parked.__struct_fields__ if name != "headers")
_SELECT = f"select {_COLUMNS}, headers::text as headers from journal.parked"
_LIST = """
select id, number, kind, state, topic, partition, record_offset, key, reason, event_id, type, tenant, subject,
  parked_at, tries, ended_by, ended_at, act
from journal.parked
"""
_LISTED = f"{_LIST} where id = $1"
_PAGE = f"""
{_LIST}
where number > $1 and ($2 or state = 'parked' or (state = 'waiting' and $3)) order by number limit $4
"""
_ONE = "select kind, state, act from journal.parked where id = $1"
# What is asked of a reaction is done by who asks; if that process ended over it, it may be asked again.
_ASK = """
update journal.parked set act = $2, act_by = $3, act_at = clock_timestamp(), act_mended = $4
where id = $1 and state = 'parked' and (act is null or kind = 'reaction')
"""
_COUNT = (
    "select count(*) filter (where state = 'parked'), count(*) filter (where state = 'waiting') from journal.parked"
)

_CHINESE = {"retry": "重试", "drop": "放弃", State.RELEASED.value: "取回", State.DROPPED.value: "放弃"}

_NOT_MENDED = {
    Problem.REACTION: (
        "a reaction cannot be mended: it is decided anew on what is known by then; put right what its reason names, "
        "then retry it without data",
        "自动处理（reaction）不能用数据修正：重试时会按届时的情况重新判定；请先解决其原因中所述的问题，再不带数据重试",
    ),
    Problem.GAP: (
        "a gap cannot be mended: its records are missing; publish them again from the sequence that its reason names, "
        "or drop it",
        "缺口（gap）不能用数据修正：缺的是记录本身；请从其原因中所述的序号起重新发布，或放弃该缺口",
    ),
}
"""What has no data that somebody could correct, and what to do instead."""

RetryReaction = Callable[[str, int], Awaitable[None]]


class Listed(msgspec.Struct, frozen=True):
    """One parked record as people see it; `number` is the cursor. Its bytes come from `Parking.record`."""

    id: UUID
    number: int
    kind: str
    state: str
    topic: str
    partition: int
    record_offset: int
    key: str
    reason: str
    event_id: UUID | None
    type: str | None
    tenant: str
    subject: UUID | None
    parked_at: datetime
    tries: int
    ended_by: str | None
    ended_at: datetime | None
    act: str | None


class Parking:
    """`retry_reaction(name, position)` runs a parked reaction again; set it once the reactor is there."""

    def __init__(self, contract: Contract, journal: Journal, pool: asyncpg.Pool) -> None:
        self._contract, self._journal, self._pool = contract, journal, pool
        self.retry_reaction: RetryReaction | None = None
        self.wake = asyncio.Event()
        """Set when something was asked here; a listener in this process need not wait for its next look."""

    async def page(
        self, *, after: int = 0, limit: int = PAGE_ROWS_MAX, ended: bool = False, waiting: bool = True
    ) -> list[Listed]:
        """Parked records by age, those that wait behind them and, if asked for, those that have ended."""
        if not 1 <= limit <= ROWS_MAX:
            raise ValueError(f"limit={limit}: 1 to {ROWS_MAX} rows are read at once")
        async with self._pool.acquire() as database:
            return [Listed(**found) for found in await database.fetch(_PAGE, after, ended, waiting, limit)]

    async def record(self, parked: UUID) -> Parked:
        """One record with its headers and its bytes."""
        async with self._pool.acquire() as database:
            rows = await fetch_rows(database, "id = $1", parked)
        if not rows:
            raise _unknown(parked)
        return rows[0]

    async def counts(self) -> tuple[int, int]:
        """(parked, waiting)."""
        async with self._pool.acquire() as database:
            parked, waiting = await database.fetchrow(_COUNT) or (0, 0)
        return parked, waiting

    async def retry(self, parked: UUID, actor: str, mended: bytes | None = None) -> Listed:
        """Take the record after all, with other data if `mended`; the row then says whether that went well.

        Raises NotFound, Refusal (it has ended, waits behind another, somebody is at it, nothing of it can be mended),
        Unavailable (nobody listens).
        """
        if mended is not None and len(mended) > DATA_BYTES_MAX:
            raise Refusal(
                "mended-data-size",
                f"{len(mended)} bytes of data; at most {DATA_BYTES_MAX}",
                f"数据有 {len(mended)} 字节，最多 {DATA_BYTES_MAX}",
            )
        return await self._ask(parked, "retry", actor, mended)

    async def drop(self, parked: UUID, actor: str) -> Listed:
        """Give the record up; what waits behind it flows. Raises as `retry` does."""
        return await self._ask(parked, "drop", actor, None)

    async def park_reaction(self, name: str, entry: Entry, reason: str) -> UUID:
        """A reaction to this entry was refused or raised; doing it twice changes nothing. The id of what is parked."""
        row = Parked(
            id=uuid5(NAMESPACE, f"parked/reaction/{self._contract.owner}/{name}/{entry.id}"),
            kind=Problem.REACTION,
            state=State.PARKED,
            topic="",
            topic_id="",
            partition=0,
            record_offset=entry.position,
            key=name,
            reason=shortened(reason),
            value=entry.data,
            event_id=entry.id,
            type=entry.type,
            tenant=entry.tenant,
            subject=entry.subject,
        )
        said = Announcing(self._contract, name).parked(row, await self._journal.domain_now())
        await self._journal.hear((), (), (row,), (said,))
        return row.id

    async def _ask(self, parked: UUID, act: str, actor: str, mended: bytes | None) -> Listed:
        async with self._pool.acquire() as database:
            found = await database.fetchrow(_ONE, parked)
            if found is None:
                raise _unknown(parked)
            if mended is not None and found["kind"] in _NOT_MENDED:
                raise Refusal("parked-not-mended", *_NOT_MENDED[found["kind"]])
            if await database.execute(_ASK, parked, act, actor, mended) != "UPDATE 1":
                raise _not_now(parked, found["state"], found["act"])
        if found["kind"] == Problem.REACTION:
            await self._act_on_reaction(parked, act, actor)
        self.wake.set()
        return await self._answer(parked)

    async def _act_on_reaction(self, parked: UUID, act: str, actor: str) -> None:
        """Reactions have no order to keep: they are run again here."""
        row = await self.record(parked)
        after = replace(row, state=State.DROPPED, ended_by=actor)
        if act == "retry":
            try:
                if self.retry_reaction is None:
                    raise Unavailable("this process runs no reactions; ask one that does")
                await self.retry_reaction(row.key, row.record_offset)
                after = replace(after, state=State.RELEASED)
            except Exception as error:  # noqa: BLE001 whatever it is, it is the row's new reason
                after = replace(row, reason=shortened(f"{type(error).__name__}: {error}"))
        decided: tuple[Append, ...] = ()
        if after.state is not State.PARKED:
            now = await self._journal.domain_now()
            decided = (Announcing(self._contract, row.key).ended(after, now, actor),)
        await self._journal.hear((), (), (after,), decided)

    async def _answer(self, parked: UUID) -> Listed:
        """The row once what was asked has been done."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while True:
                    found = await self._pool.fetchrow(_LISTED, parked)
                    if found is not None and found["act"] is None:
                        return Listed(**found)
                    await asyncio.sleep(ANSWER_POLL_S)
        except TimeoutError as error:
            raise Unavailable(
                f"no listener has answered within {ANSWER_WITHIN_S} s; what was asked stands and will be done"
            ) from error


class Announcing:
    """The facts about parked records, as appends. `actor`: who parks, `<service>/<what>`."""

    def __init__(self, contract: Contract, what: str) -> None:
        self._contract = contract
        self.actor = f"{contract.owner}/{what}"

    def parked(self, row: Parked, now: datetime) -> Append:
        fact = RecordParked(
            parked=row.id,
            topic=row.topic,
            partition=row.partition,
            offset=row.record_offset,
            key=row.key,
            kind=row.kind.value,
            reason=row.reason,
            event=row.event_id,
            type=row.type,
        )
        return self._append(row, fact, self._command_id(row, "parked", row.kind.value), self.actor, now)

    def ended(self, row: Parked, now: datetime, by: str) -> Append:
        fact: Fact = ParkedRecordDropped(parked=row.id, event=row.event_id)
        if row.state is State.RELEASED:
            fact = ParkedRecordReleased(parked=row.id, mended=row.mended is not None, event=row.event_id)
        return self._append(row, fact, self.ended_id(row), by, now)

    def ended_id(self, row: Parked) -> UUID:
        """The command that ends a parked record; it ends once."""
        return self._command_id(row, "ended")

    def _command_id(self, row: Parked, *what: str) -> UUID:
        """Several services may park the same record, and each says so in its own name."""
        return derived_id(row.id, self._contract.owner, *what)

    def _append(self, row: Parked, fact: Fact, command_id: UUID, actor: str, now: datetime) -> Append:
        type_, version, data = self._contract.encode(fact)
        # What is parked may be anything, and a tenant that is none would be parked again by everybody who hears of it.
        tenant = row.tenant if is_tenant(row.tenant) else UNKNOWN_TENANT
        return Append(
            stream=stream_id(tenant, self._contract.owner, "parked", row.id),
            expected=ANY,
            facts=((derived_id(command_id, "0"), type_, version, data),),
            tenant=tenant,
            subject=row.subject or row.id,
            actor=actor,
            command_id=command_id,
            digest=hashlib.sha256(command_id.bytes).digest()[:16],
            causation_id=row.event_id,
            correlation_id=row.subject or row.id,
            traceparent="",
            basis=None,
            occurred_at=now,
        )


async def fetch_rows(database: Session, where: str, *arguments: Any) -> list[Parked]:
    """Rows of journal.parked; `where` is written in this package, never by a caller from outside."""
    return [_parked(found) for found in await database.fetch(f"{_SELECT} where {where}", *arguments)]


def _parked(found: asyncpg.Record) -> Parked:
    fields = dict(found)
    headers: Headers = headers_from(msgspec.json.decode(fields.pop("headers"), type=list[tuple[str, str]]))
    kind, state = Problem(fields.pop("kind")), State(fields.pop("state"))
    return Parked(**fields, kind=kind, state=state, headers=headers)


def _unknown(parked: UUID) -> NotFound:
    return NotFound(
        "unknown-parked-record",
        f"there is no parked record {parked}; see /v1/parked",
        f"没有搁置的记录 {parked}，请查看 /v1/parked",
    )


def _not_now(parked: UUID, state: str, act: str | None) -> Refusal:
    if act is not None:
        return Refusal(
            "parked-record-busy",
            f"somebody has asked to {act} the record {parked} already; look again in a moment",
            f"已有人要求{_CHINESE[act]}记录 {parked}，请稍后再看",
        )
    if state == State.WAITING:
        return Refusal(
            "parked-record-waits",
            f"the record {parked} waits behind an earlier one of its key; act on that one",
            f"记录 {parked} 排在同一键的较早记录之后，请先处理那一条",
        )
    return Refusal(
        "parked-record-ended",
        f"the record {parked} was {state} before; nothing is left to do about it",
        f"记录 {parked} 此前已{_CHINESE[state]}，无需再处理",
    )
