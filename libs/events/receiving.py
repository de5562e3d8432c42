"""Receiving: one leader at a time fetches, judges and writes, for ever.

What a receiver does with a record that its judge finds good is its `Taker`'s business: a listener hears it, the door
for other systems hands it on. All else is the same for both, see term.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from libs.events.broker import told, why_missing
from libs.events.contract import Contract
from libs.events.desk import Desk, Partition
from libs.events.fetching import fetching
from libs.events.journal import Journal
from libs.events.judging import Place
from libs.events.leading import Lead, connect, leading
from libs.events.parking import Announcing, Parking
from libs.events.term import Taker, Term

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """`lag`: records per partition; `stopped`: partitions that take nothing more, and why; `gaps`: partitions that wait
    for missing records; `pending`: parked and waiting records per topic.
    """

    leading: bool
    problem: str | None
    restarts: int
    lag: dict[Partition, int]
    stopped: dict[Partition, str]
    gaps: dict[Partition, str]
    pending: dict[str, int]


class Receiver:
    def __init__(
        self, contract: Contract, journal: Journal, taker: Taker, *, dsn: str, kafka: str, parking: Parking
    ) -> None:
        self._contract, self._journal, self._taker = contract, journal, taker
        self._dsn, self._kafka, self._parking = dsn, kafka, parking
        self._problem: str | None = None
        self._restarts = 0
        self._term: Term | None = None

    def state(self) -> ReceiverState:
        term = self._term
        if term is None:
            return ReceiverState(False, self._problem, self._restarts, {}, {}, {}, {})
        missing = term.fetching.missing
        return ReceiverState(
            True,
            self._problem or (f"{why_missing(missing)}; the others are read" if missing else None),
            self._restarts,
            dict(term.fetching.lag),
            {partition: why for partition, (why, _) in term.stopped.items()},
            {partition: gap.reason for partition, gap in term.gaps.items()},
            dict(term.desk.pending),
        )

    @property
    def term(self) -> int | None:
        """The term in which this process leads; None while another does."""
        return self._term.desk.lead.term if self._term else None

    def places(self) -> dict[Partition, Place]:
        """How far each partition was heard; empty while another process listens."""
        return dict(self._term.desk.places) if self._term else {}

    async def behind(self) -> int:
        """How many records are still to be taken, as of now; 0 while another process takes them."""
        term = self._term
        if term is None:
            return 0
        return await term.fetching.behind({place: at.next_offset for place, at in term.desk.places.items()})

    def _stand_by(self) -> None:
        """Another process listens: what was wrong here is no longer."""
        self._problem = None

    async def run(self) -> None:
        backoff_s = BACKOFF_S_MIN
        while True:
            began = time.monotonic()
            try:
                async with leading(self._dsn, self._taker.role, self._stand_by) as lead:
                    await self._lead(lead)
            except Exception as error:  # noqa: BLE001 whatever it is, it is shown, and everything is made anew
                self._problem = told(error)
                self._restarts += 1
                _log.warning("%s of %s starts anew: %s", self._taker.role, self._contract.owner, self._problem)
            finally:
                self._term = None
            if time.monotonic() - began > BACKOFF_S_MAX:
                backoff_s = BACKOFF_S_MIN
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def _lead(self, lead: Lead) -> None:
        taker = self._taker
        database = await connect(self._dsn, taker.role)
        try:
            await taker.prepare(database)
            desk = Desk(self._journal, database, lead, Announcing(self._contract, taker.role))
            stored = await desk.load(taker.topics)
            group = f"baton.{self._contract.owner}" + ("" if taker.role == "listener" else f".{taker.role}")
            async with fetching(self._kafka, group, (*taker.topics, *taker.tails)) as source:
                starts = await source.start(taker.topics, taker.tails, stored)
                desk.begin({topic: at.id for topic, at in source.described.items()}, starts)
                self._term = term = Term(taker, desk, source)
                await term.resume()
                _log.info("%s of %s leads", taker.role, self._contract.owner)
                while True:
                    await term.round(self._parking.wake)
                    self._problem = None
        finally:
            database.terminate()
