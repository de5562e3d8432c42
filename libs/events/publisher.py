"""The publisher: sends the decided entries of one service to its topic, in order, and announces how far it is.

One process of the service does it at a time. It resumes from the last sequence that is stored as acknowledged, and
passes over what the end of the topic shows to have arrived without being stored. Before it sends anything it compares
the end of the topic with the journal: a topic that is ahead, or has another id at one of its sequences, tells that the
journal was restored from a backup; then it marks the journal, which takes nothing more, raises Diverged and sends
nothing. A later comparison that finds them agreed takes the mark away. After any other error producer and connection
are thrown away and it starts anew, for ever, with a bounded pause; `state` shows why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from libs.events import heads
from libs.events.ahead import Ahead
from libs.events.broker import Described, describe, told
from libs.events.contract import Contract
from libs.events.errors import Diverged, Unavailable
from libs.events.journal import Head, Journal
from libs.events.leading import Lead, connect, leading
from libs.events.published import Published, chain_before, compare, load, store
from libs.events.sending import SEND_WITHIN_S, Batch, Sending, producing

ROLE = "publisher"
BATCH_RECORDS_MAX = 1_000
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0
ASK_WITHIN_S = 30.0
ASK_POLL_S = 0.05
ASKED_EVERY_S = 0.5
MOVE_WITHIN_S = 30.0
"""While something is left to be published."""
BATCHES_MAX = 50
"""Sent one after the other before it is looked whether something else is asked for."""
DESCRIBE_EVERY_S = 5.0
_log = logging.getLogger(__name__)

_ASK_AGAIN = "update journal.published set resend_from = least(resend_from, $1)"
_ASKED = "select resend_from from journal.published"
_MARK = "select journal.note_divergence($1, $2)"
_DONE = "update journal.published set resend_from = null where resend_from = $1"

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class PublisherState:
    """`published` of `decided` sequences are in the topic; `partitions`: the last one of each. `lost`: the topic does
    not show everything that it acknowledged, and which sequence to publish from.
    """

    leading: bool
    published: int
    decided: int
    partitions: dict[int, int]
    problem: str | None
    lost: str | None
    restarts: int
    announced: heads.Head | None


class Publisher:
    def __init__(self, contract: Contract, journal: Journal, *, dsn: str, kafka: str) -> None:
        self._contract, self._journal, self._dsn, self._kafka = contract, journal, dsn, kafka
        self._kick, self._hurry = asyncio.Event(), asyncio.Event()
        self._moved = asyncio.Condition()
        self._asked = self._told = 0
        self._leading = False
        self._problem: str | None = None
        self._lost: str | None = None
        self._restarts = 0
        self._published = Published("", 0, {}, {})
        self._pages = Ahead(journal.read_decided, list, "sequence", BATCH_RECORDS_MAX)
        self._decided = 0
        self._announced: heads.Head | None = None
        self._described_at = float("-inf")
        self._looked = asyncio.Event()

    def state(self) -> PublisherState:
        return PublisherState(
            self._leading,
            self._published.sequence,
            max(self._decided, self._published.sequence),
            dict(self._published.sequences),
            self._problem,
            self._lost,
            self._restarts,
            self._announced,
        )

    def _stand_by(self) -> None:
        """Another process publishes: what was wrong here is no longer."""
        self._problem = self._lost = None
        self._looked.set()

    async def run(self) -> None:
        """Publish for ever, leading or standing by; raises only Diverged."""
        backoff_s = BACKOFF_S_MIN
        while True:
            began = time.monotonic()
            try:
                async with leading(self._dsn, ROLE, self._stand_by) as lead:
                    await self._lead(lead)
            except Diverged as error:
                self._problem = str(error)
                raise
            except Exception as error:  # noqa: BLE001 whatever it is, it is shown, and everything is made anew
                self._problem = told(error)
                self._restarts += 1
                _log.warning("publisher of %s starts anew: %s", self._contract.owner, self._problem)
            finally:
                self._leading = False
                await self._tell_moved()
            if time.monotonic() - began > BACKOFF_S_MAX:
                backoff_s = BACKOFF_S_MIN
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def looked(self, within_s: float) -> bool:
        """Whether journal and topic were compared, by this process or by the one that leads, before that time is over:
        who works only then does not add to a journal that was restored from a backup.
        """
        try:
            await asyncio.wait_for(self._looked.wait(), within_s)
        except TimeoutError:
            return False
        return True

    async def announce(self) -> None:
        """Publish what there is and announce the head at once (the clock moved). A standby leaves it to the leader, who
        announces within ANNOUNCE_EVERY_S; raises Unavailable when the leader, here, cannot.
        """
        if not self._leading:
            return
        self._asked += 1
        wanted = self._asked
        self._hurry.set()
        try:
            async with asyncio.timeout(ASK_WITHIN_S), self._moved:
                await self._moved.wait_for(lambda: self._told >= wanted or not self._leading)
        except TimeoutError as error:
            raise Unavailable(f"no head was announced within {ASK_WITHIN_S} s: {self._problem}") from error

    async def publish_from(self, sequence: int) -> None:
        """Send again what was decided from this sequence on; returns when it is done, by whichever process leads."""
        if sequence < 1:
            raise ValueError(f"sequence={sequence}: the first one is 1")
        database = await connect(self._dsn, "publish-from")
        try:
            await database.execute(_ASK_AGAIN, sequence)
            self._kick.set()
            async with asyncio.timeout(ASK_WITHIN_S):
                while True:
                    if await database.fetchval(_ASKED) is None:
                        return
                    await asyncio.sleep(ASK_POLL_S)
        except TimeoutError as error:
            raise Unavailable(f"not yet all sent again within {ASK_WITHIN_S} s; it goes on by itself") from error
        finally:
            database.terminate()

    async def _lead(self, lead: Lead) -> None:
        topic = self._contract.topic
        described = (await describe(self._kafka, (topic, heads.TOPIC)))[topic]
        database = await connect(self._dsn, ROLE)
        try:
            head, arrived = await self._compare(lead, database, described)
            async with producing(self._kafka) as producer:
                self._leading = True
                _log.info("publisher of %s leads from sequence %d", self._contract.owner, self._published.sequence)
                sending = Sending(topic, described, head.epoch, arrived, producer, database, lead)
                self._described_at = time.monotonic()
                await self._work(sending)
        finally:
            self._pages.stop()
            database.terminate()

    async def _compare(self, lead: Lead, database: Database, described: Described) -> tuple[Head, set[int]]:
        """The journal's head, and the sequences that arrived beyond what is stored as sent; what is found is marked."""
        try:
            self._published = await load(database, described)
            head = await self._journal.head()
            arrived, self._lost = await compare(
                self._kafka, self._journal, head, self._contract.topic, described, self._published
            )
        except Diverged as error:
            await database.execute(_MARK, str(error), lead.term)
            self._looked.set()
            raise
        await database.execute(_MARK, None, lead.term)
        self._looked.set()
        return head, arrived

    async def _work(self, sending: Sending) -> None:
        """Publish and announce side by side: what is decided does not wait until the head is announced."""
        announcing = asyncio.create_task(self._announce_on(sending), name=f"announcing {sending.topic}")
        announcing.add_done_callback(lambda _: self._kick.set())
        asks_at = 0.0
        try:
            while True:
                sending.lead.check()
                if announcing.done():
                    announcing.result()
                seen = self._journal.wake.count
                self._kick.clear()
                more = await self._publish(sending)
                if time.monotonic() >= asks_at:
                    again: int | None = await sending.database.fetchval(_ASKED)
                    if again is not None:
                        await self._send_again(sending, again)
                    asks_at = time.monotonic() + ASKED_EVERY_S
                if not more and not announcing.done():
                    await self._rest(ASKED_EVERY_S, seen, self._kick)
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)

    async def _publish(self, sending: Sending) -> bool:
        """What there is, while pages are full up to BATCHES_MAX of them; whether there is probably more.

        One batch is under way while the next one is made; that is sent once the former is stored as acknowledged.
        """
        sequence, chain = self._published.sequence, self._published.sequences
        under_way: asyncio.Task[None] | None = None
        try:
            for _ in range(BATCHES_MAX):
                sending.lead.check()
                entries = await self._pages.page(sequence)
                if entries:
                    batch = sending.prepare(entries, chain)
                    if under_way is not None:
                        await under_way
                    under_way = asyncio.create_task(self._send(sending, batch))
                    sequence, chain = batch.sequence, batch.chain
                if not self._pages.full:
                    break
            if under_way is not None:
                await under_way
            return self._pages.full
        finally:
            if under_way is not None:
                under_way.cancel()
                await asyncio.gather(under_way, return_exceptions=True)

    async def _send(self, sending: Sending, batch: Batch) -> None:
        after = await sending.send(batch, self._published)
        await store(sending.database, after, sending.lead)
        self._published = after
        self._decided = max(self._decided, after.sequence)
        await self._tell_moved()

    async def _tell_moved(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _announce_on(self, sending: Sending) -> None:
        """Announce head after head: each once everything up to it is published."""
        while True:
            sending.lead.check()
            seen, asked = self._journal.wake.count, self._asked
            self._hurry.clear()
            head = await self._journal.head()
            while self._published.sequence < head.sequence:
                await self._published_more(self._published.sequence)
            await self._announce(sending, head)
            await self._check_topic(sending)
            self._problem = None
            self._told = asked
            await self._tell_moved()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), heads.ANNOUNCE_EVERY_S_MIN)
            await self._rest(heads.ANNOUNCE_EVERY_S - heads.ANNOUNCE_EVERY_S_MIN, seen, self._hurry)

    async def _published_more(self, sequence: int) -> None:
        """Raises Unavailable when nothing after this sequence is published in time, though there is something."""
        try:
            async with asyncio.timeout(MOVE_WITHIN_S), self._moved:
                await self._moved.wait_for(lambda: self._published.sequence > sequence)
        except TimeoutError as error:
            raise Unavailable(f"nothing was published after sequence {sequence} within {MOVE_WITHIN_S} s") from error

    async def _rest(self, pause_s: float, seen: int, unless: asyncio.Event) -> None:
        """Until the journal grew, it is not to rest any longer, or the pause is over."""
        if unless.is_set():
            return
        waits = [
            asyncio.create_task(self._journal.wake.wait(pause_s, since=seen)),
            asyncio.create_task(unless.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _announce(self, sending: Sending, head: Head) -> None:
        announced = heads.Head(self._contract.owner, sending.epoch, head.instant, dict(self._published.sequences))
        async with asyncio.timeout(SEND_WITHIN_S):
            await sending.producer.send_and_wait(
                heads.TOPIC, heads.encode(announced), key=self._contract.owner.encode(), partition=heads.PARTITION
            )
        self._decided = max(head.sequence, self._decided)
        self._announced = announced

    async def _check_topic(self, sending: Sending) -> None:
        """A topic that was made anew takes what is sent to it without a word; what it lost is noticed all the same."""
        if time.monotonic() - self._described_at < DESCRIBE_EVERY_S:
            return
        described = (await describe(self._kafka, (sending.topic,)))[sending.topic]
        if described != sending.described:
            raise Unavailable(f"topic {sending.topic} was made anew; it is compared with the journal again")
        self._described_at = time.monotonic()

    async def _send_again(self, sending: Sending, sequence: int) -> None:
        """From `sequence` to what is published by now, with the same links; only the topic's end moves. What is decided
        meanwhile is published between two batches.
        """
        until = self._published.sequence
        _log.warning("%s publishes again from sequence %d to %d", self._contract.owner, sequence, until)
        before = await chain_before(self._journal, min(sequence, until + 1), sending.described.partitions)
        running = Published(self._published.topic_id, min(sequence, until + 1) - 1, before, {})
        while running.sequence < until:
            entries = await self._journal.read_decided(
                running.sequence, min(BATCH_RECORDS_MAX, until - running.sequence)
            )
            running = await sending.send(sending.prepare(entries, running.sequences), running)
            await self._publish(sending)
        # Where something new was published meanwhile, its record shows how far that partition is, not the last one.
        sequences = self._published.sequences
        moved = {place: end for place, end in running.offsets.items() if sequences[place] <= until}
        self._published = self._published._replace(offsets={**self._published.offsets, **moved})
        await store(sending.database, self._published, sending.lead)
        await sending.database.execute(_DONE, sequence)
        self._lost = None
