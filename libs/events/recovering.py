"""Recovering: what a journal that was restored from a backup lacks is taken back from the topics.

Its own facts come from its own topic, as they were: ids, sequences, versions, instants. What others said meanwhile is
heard again, and comes in between, each record just after the instant at which its owner recorded it: so that nothing
stands before its cause, and views and reactions meet facts in the order of their instants. What was recorded after the
last own fact, or cannot simply be taken, is left to the listener. All of it is written in one transaction, which also
opens a new epoch and takes the journal's mark away.

Facts that had not been published are lost with the disk: nobody else ever heard them, and their sequences are given out
again. Reactions and timers decide again what they had decided there; a client that has an answer to such a command must
send it again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
from aiokafka import TopicPartition

from libs.events import courier, heads, listener, projector, publisher, reactor, timekeeper, wire
from libs.events.appends import UNKNOWN_DIGEST, Heard, Offset
from libs.events.broker import Described, describe, describe_those_there, partitions_of, read_on
from libs.events.errors import BatonError, Undecodable
from libs.events.fetching import raw_of
from libs.events.journal import Journal
from libs.events.judging import Place, judged
from libs.events.leading import LOCK_CLASS, SETTINGS
from libs.events.listener import Hearing
from libs.events.published import compared_from, load
from libs.events.service import Service

STAGED_AT_ONCE_MAX = 1_000
CONNECT_WITHIN_S = 10.0
OUT_OF_ORDER = "BT005"  # SQLSTATE of journal.restore
_ROLES = [role.ROLE for role in (publisher, listener, projector, reactor, timekeeper, courier)]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BUSY = "select role from unnest($2::text[]) role where not pg_try_advisory_lock($1, hashtext(role))"
_STAGE = """
create temporary table restored as select * from journal.entries with no data;
alter table restored add column number bigint generated always as identity;
create index on restored (id);
"""
_COLUMNS = ["decided", "sequence", "digest", *Heard.__struct_fields__]
_FORKED = """
select r.sequence, r.id, e.id as own from restored r join journal.entries e on e.decided and e.sequence = r.sequence
where r.decided and e.id <> r.id order by 1 limit 1
"""
_TWICE = """
select sequence from restored where decided group by sequence having count(distinct id) > 1 order by sequence limit 1
"""
# Of what the journal lacks: the last sequence and its instant, and the first that the topic does not have either.
_LACKING = """
select max(r.sequence) as last, max(r.recorded_at) as until, (
  select s from generate_series(j.stands + 1, max(r.sequence)) s
  where not exists (select from restored m where m.decided and m.sequence = s) order by s limit 1) as missing
from restored r, (
  select coalesce((select sequence from journal.entries order by position desc limit 1), 0) as stands) j
where r.decided and r.sequence > j.stands group by j.stands
"""
_OFFSETS = "select topic, partition, topic_id, next_offset, epoch, sequence from journal.offsets where topic = any($1)"
_SET_ASIDE = "select distinct topic, key from journal.parked where state in ('parked', 'waiting')"
_RESTORE = "select own, heard, epoch from journal.restore($1, $2, $3::text::jsonb, $4, $5, $6, $7, $8, $9, $10)"
_OFFSET_COLUMNS = ("topic", "topic_id", "partition", "next_offset", "epoch", "sequence")

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class NotRecoverable(BatonError):
    """What a journal lacks cannot be taken back from the topics; it says why, and what to do instead."""


class Recovered(msgspec.Struct, frozen=True):
    """How many facts were taken back: the service's own, and what it had heard. `epoch`: the one that begins."""

    service: str
    own: int
    heard: int
    epoch: int


async def recover(service: Service, *, dsn: str, owner_dsn: str, kafka: str) -> Recovered:
    """Complete the journal of a service that is stopped. `dsn` logs in as the service, `owner_dsn` as the journal's
    owner.

    Raises NotRecoverable, with nothing written, when a process of the service runs, nothing is lacking, the journal
    went on by itself after it was restored, or its topic does not hold all that is lacking.
    """
    # No limit of time but for connecting and for locks: it takes as long as there is to read.
    settings = {**SETTINGS, "application_name": "baton-recover", "jit": "off"}
    owner = await asyncpg.connect(owner_dsn, timeout=CONNECT_WITHIN_S, server_settings=settings)
    try:
        # Held from here on: who starts meanwhile stands by.
        if busy := [row["role"] for row in await owner.fetch(_BUSY, LOCK_CLASS, _ROLES)]:
            raise NotRecoverable(f"{service.name} still runs ({', '.join(busy)}): `baton stop {service.name}` first")
        await owner.execute(_STAGE)
        topic = service.contract.topic
        described = (await describe(kafka, (topic, heads.TOPIC)))[topic]
        places = await _stage_own(service, owner, kafka, described)
        last, until = await _lacking(service, owner)
        announced = await _announced(service, kafka)
        async with _opened(dsn, service) as journal:
            now = max(await journal.reached(), announced, until)
            offsets = await _stage_heard(Hearing(service, journal), owner, kafka, until, now)
        arrays = ([getattr(offset, name) for offset in offsets] for name in _OFFSET_COLUMNS)
        published = msgspec.json.encode(places).decode()
        (done,) = await owner.fetch(_RESTORE, last, described.id, published, announced, *arrays, timeout=None)
        return Recovered(service.name, *done)
    except asyncpg.PostgresError as error:
        if error.sqlstate != OUT_OF_ORDER:
            raise
        raise NotRecoverable(f"the journal of {service.name} cannot be completed: {error}") from error
    finally:
        owner.terminate()


@asynccontextmanager
async def _opened(dsn: str, service: Service) -> AsyncGenerator[Journal]:
    journal = await Journal.open(dsn, service=service.name)
    try:
        yield journal
    finally:
        await journal.close()


async def _stage_own(service: Service, owner: Database, kafka: str, described: Described) -> dict[int, tuple[int, int]]:
    """Stage what the own topic holds from the last acknowledged record on. Returns, per partition, the last sequence
    and the offset after it.
    """
    topic, stored = service.contract.topic, await load(owner, described)
    places = {p: (sequence, stored.offsets.get(p, 0)) for p, sequence in stored.sequences.items()}
    staging = _Staging(owner)
    async with aclosing(read_on(kafka, compared_from(topic, described, stored))) as records:
        async for record in records:
            try:
                event = wire.envelope(record.headers, record.value)
                if wire.owner_of(event) != service.name:
                    continue
                link, fact = wire.link(event), wire.heard(event, backfilled=False)
            except Undecodable:  # listeners park it with its reason; it is not one of ours
                continue
            last, after = places.get(record.partition, (0, 0))
            places[record.partition] = max(last, link.sequence), max(after, record.offset + 1)
            await staging.add(fact, sequence=link.sequence)
    await staging.flush()
    return places


async def _lacking(service: Service, owner: Database) -> tuple[int, datetime]:
    """The last sequence that the journal lacks, and when it was recorded; all up to it is there."""
    if forked := await owner.fetchrow(_FORKED):
        raise NotRecoverable(
            f"sequence {forked['sequence']} is {forked['own']} in the journal of {service.name} and {forked['id']} in"
            " its topic: the journal went on by itself after it was restored. Restore the backup once more and recover"
            f" it before {service.name} is started"
        )
    if twice := await owner.fetchval(_TWICE):
        raise NotRecoverable(
            f"{service.contract.topic} has two facts of sequence {twice}; which is its owner's cannot be told from"
            " here: ask for help with both copies at hand"
        )
    lacking = await owner.fetchrow(_LACKING)
    if lacking is None:
        raise NotRecoverable(f"{service.contract.topic} holds nothing that the journal of {service.name} lacks")
    if lacking["missing"] is not None:
        raise NotRecoverable(
            f"{service.contract.topic} ends at sequence {lacking['last']} and lacks {lacking['missing']}, as the"
            " journal does: restore a newer backup of the database, or one of Kafka that has it"
        )
    return lacking["last"], lacking["until"]


async def _announced(service: Service, kafka: str) -> datetime:
    """The last instant up to which the service has promised that it had said everything."""
    latest = _LONG_AGO
    async with aclosing(read_on(kafka, {TopicPartition(heads.TOPIC, heads.PARTITION): 0})) as records:
        async for record in records:
            try:
                head = heads.decode(record.value)
            except Undecodable:  # listeners say so; it is no promise of ours
                continue
            latest = max(latest, head.at) if head.owner == service.name else latest
    return latest


async def _stage_heard(hearing: Hearing, owner: Database, kafka: str, until: datetime, now: datetime) -> list[Offset]:
    """Stage what the service would have heard of what was recorded up to `until`; returns how far each partition was
    read. It is left at the first record that cannot simply be taken, and then the listener goes on from there.
    """
    await hearing.prepare(owner)
    described, _ = await describe_those_there(kafka, hearing.topics)
    stored = [Offset(**row) for row in await owner.fetch(_OFFSETS, list(described))]
    anew = {offset.topic for offset in stored if offset.topic_id != described[offset.topic].id}
    known = {(o.topic, o.partition): Place(o.next_offset, o.sequence, o.epoch) for o in stored}
    partitions = [tp for topic, one in described.items() if topic not in anew for tp in partitions_of(topic, one)]
    places = {(tp.topic, tp.partition): known.get((tp.topic, tp.partition), Place()) for tp in partitions}
    aside = {(row["topic"], row["key"]) for row in await owner.fetch(_SET_ASIDE)}
    left: set[tuple[str, int]] = set()
    staging = _Staging(owner)
    starts = {TopicPartition(*place): at.next_offset for place, at in places.items()}
    async with aclosing(read_on(kafka, starts)) as records:
        async for record in records:
            raw = raw_of(record, described[record.topic].id)
            if raw.place in left:
                continue
            place = places[raw.place]
            verdict = judged(hearing, raw, now, place)
            link, heard = verdict.link, verdict.heard
            beyond = heard is not None and heard.recorded_at > until
            if link is None or verdict.held or verdict.problem or beyond or (raw.topic, raw.key) in aside:
                left.add(raw.place)
                continue
            if heard is not None and not verdict.passed:
                await staging.add(heard)
            places[raw.place] = Place(raw.offset + 1, max(place.sequence, link.sequence), max(place.epoch, link.epoch))
    await staging.flush()
    return [
        Offset(topic, described[topic].id, partition, at.next_offset, at.epoch, at.sequence)
        for (topic, partition), at in places.items()
    ]


class _Staging:
    """Fills the table of what is to be restored. Of an own fact it is not known what its command said."""

    def __init__(self, owner: Database) -> None:
        self._owner, self._rows = owner, list[tuple[Any, ...]]()

    async def add(self, fact: Heard, *, sequence: int | None = None) -> None:
        own = sequence is not None
        self._rows.append((own, sequence, UNKNOWN_DIGEST if own else fact.digest, *msgspec.structs.astuple(fact)))
        if len(self._rows) >= STAGED_AT_ONCE_MAX:
            await self.flush()

    async def flush(self) -> None:
        await self._owner.copy_records_to_table("restored", columns=_COLUMNS, records=self._rows)
        self._rows = []
