"""One call for a batch of heard records: entries, offsets, parked records and what was decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg

from libs.events.appends import Append, Heard, HeardOutcome, Offset, check_size
from libs.events.errors import Undecodable
from libs.events.line import Line
from libs.events.parked import parked_json
from libs.events.writer import appended

HEARD_MAX = 1_000
"""Heard records of one call; as many decided appends."""
AHEAD_OF_CLOCK = "BT002"

_HEAR = """
select outcome, last_position, last_version, last_noted_at from journal.hear(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27, $28, $29)
"""


class Listened(NamedTuple):
    """What one call writes: all of it or nothing. `term`: the listener's leadership, checked with its offsets."""

    heard: Sequence[Heard]
    offsets: Sequence[Offset]
    parked: Sequence[Any]
    decided: Sequence[Append]
    term: int | None


async def hear(line: Line, batch: Listened) -> list[HeardOutcome]:
    """Write a batch; see Journal.hear."""
    if len(batch.heard) > HEARD_MAX or len(batch.decided) > HEARD_MAX:
        raise ValueError(
            f"{len(batch.heard)} heard records and {len(batch.decided)} appends in one call: at most {HEARD_MAX} each"
        )
    for record in batch.heard:
        check_size(record.type, record.data)
    try:
        rows = await line.call(_HEAR, *_appends(batch), *_facts(batch), *_listening(batch))
    except asyncpg.PostgresError as error:
        if error.sqlstate == AHEAD_OF_CLOCK:
            raise Undecodable("recordedat", str(error), "park the record; set the clock of its owner right") from error
        raise
    split = len(batch.heard)
    outcomes = [_outcome(row) for row in rows[:split]]
    if not any(outcome.outcome == "altered" for outcome in outcomes):
        for append, row in zip(batch.decided, rows[split:], strict=True):
            appended(append, row)  # raises for what kept the call from being written
    return outcomes


def _outcome(row: asyncpg.Record) -> HeardOutcome:
    match row["outcome"]:
        case b"r":
            return HeardOutcome("altered", None)
        case b"k":
            return HeardOutcome("duplicate", row["last_position"])
        case _:
            return HeardOutcome("noted", row["last_position"])


def _appends(batch: Listened) -> tuple[list[Any], ...]:
    """One element per record, then one per decided append: the a_* arrays of journal.note."""
    heard, decided = batch.heard, batch.decided
    both: tuple[Heard | Append, ...] = (*heard, *decided)
    return (
        [each.stream for each in both],
        [*(h.version for h in heard), *(a.expected for a in decided)],
        [*(1 for _ in heard), *(len(a.facts) for a in decided)],
        [*(False for _ in heard), *(True for _ in decided)],
        [each.digest for each in both],
        [each.tenant for each in both],
        [each.subject for each in both],
        [each.actor for each in both],
        [each.command_id for each in both],
        [each.causation_id for each in both],
        [each.correlation_id for each in both],
        [each.traceparent for each in both],
        [each.basis for each in both],
        [*(h.epoch for h in heard), *(None for _ in decided)],
        [each.occurred_at for each in both],
        [*(h.recorded_at for h in heard), *(None for _ in decided)],
        [*(h.backfilled for h in heard), *(False for _ in decided)],
    )


def _facts(batch: Listened) -> tuple[list[Any], ...]:
    """One element per fact: the e_* arrays of journal.note."""
    facts = [(h.id, h.type, h.schema_version, h.data) for h in batch.heard]
    facts += [fact for append in batch.decided for fact in append.facts]
    return tuple([fact[i] for fact in facts] for i in range(4))


def _listening(batch: Listened) -> tuple[Any, ...]:
    """The arguments of journal.note_listening."""
    offsets = batch.offsets
    return (
        [offset.topic for offset in offsets],
        [offset.topic_id for offset in offsets],
        [offset.partition for offset in offsets],
        [offset.next_offset for offset in offsets],
        [offset.epoch for offset in offsets],
        [offset.sequence for offset in offsets],
        parked_json(batch.parked),
        batch.term,
    )
