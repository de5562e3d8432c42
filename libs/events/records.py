"""Taking records from a consumer of Kafka's, also where one of them cannot be parsed.

aiokafka raises over such a record (the name of a header is no UTF-8, say) without telling where it is, and what it had
parsed together with it is lost. So what stands before it is taken one by one, and then it is named.
"""

from __future__ import annotations

from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException

from libs.events.errors import Unavailable

UNPARSED_WITHIN_MS = 2_000
Batches: TypeAlias = dict[TopicPartition, list[ConsumerRecord]]
_UNPARSED = (UnicodeDecodeError, CorruptRecordException)


class Records:
    """What a consumer gives from the offsets that it is told, up to `at_once_max` at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, at_once_max: int) -> None:
        self._consumer, self._at_once_max = consumer, at_once_max
        self._next: dict[TopicPartition, int] = {}
        self._one_by_one = 0

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read from there next."""
        self._next[tp] = offset
        self._consumer.seek(tp, offset)

    async def take(self, *partitions: TopicPartition, timeout_ms: int) -> Batches:
        """The next ones, of these partitions (none: of all), each in order; empty when none came in time.

        Raises Unavailable, naming offset and cure, when the next one cannot be parsed.
        """
        at_once = 1 if self._one_by_one else self._at_once_max
        try:
            batches: Batches = await self._consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=at_once)
        except _UNPARSED as error:
            if self._one_by_one:
                raise Unavailable(await self._unparsed()) from error
            self._one_by_one = self._at_once_max
            for tp, offset in self._next.items():
                self._consumer.seek(tp, offset)
            return await self.take(*partitions, timeout_ms=timeout_ms)
        for tp, records in batches.items():
            self._next[tp] = records[-1].offset + 1
        self._one_by_one = max(0, self._one_by_one - sum(map(len, batches.values())))
        return batches

    async def _unparsed(self) -> str:
        """Which record it is: of all partitions that hold more, one gives nothing."""
        for tp in self._consumer.assignment():
            offset = await self._consumer.position(tp)
            if offset < (self._consumer.highwater(tp) or 0):
                try:
                    await self._consumer.getmany(tp, timeout_ms=UNPARSED_WITHIN_MS, max_records=1)
                except _UNPARSED as error:
                    return (
                        f"offset {offset} of {tp.topic}/{tp.partition} cannot be parsed ({error!r}), and nothing behind"
                        " it is read: it has to be deleted, see docs/operating.md, Records that cannot be parsed"
                    )
        return "a record could not be parsed, and can be now"
