"""Folding: the live rows and their past tell every position's truth, however the journal was cut into batches."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from libs.events.entries import Fact
from libs.events.folding import Held, Key, Replaced, apply, as_key, lines_by_fact, touches
from libs.events.testing import MemoryService, instant
from libs.events.tests.errands import ERRANDS, SERVICE, ErrandDone, ErrandGiven, ErrandPassedOn

T = instant("2026-11-02T09:00+08:00")
FACTS = st.lists(
    st.tuples(
        st.integers(1, 4).map(lambda n: UUID(int=n)),
        st.one_of(
            st.builds(ErrandPassedOn, st.sampled_from(["ann", "bob"])),
            st.just(ErrandDone()),
            st.builds(ErrandGiven, st.just(UUID(int=9)), st.sampled_from(["ann", "bob"])),
        ),
    ),
    max_size=30,
)


@generated(facts=FACTS, cuts=st.lists(st.integers(0, 30), max_size=5))
def test_rows_as_of_any_position_equal_a_fold_of_everything_up_to_it(
    facts: list[tuple[UUID, Fact]], cuts: list[int]
) -> None:
    memory = MemoryService(SERVICE, parks=True)
    for subject, fact in facts:
        memory.hear(fact, subject=subject, at=T)
    live, past = _fold_in_batches(memory, sorted(cuts))
    for position in range(len(memory.entries) + 1):
        assert _as_of(live, past, position) == _fold_prefix(memory, position)


def _fold_in_batches(memory: MemoryService, cuts: list[int]) -> tuple[dict[Key, Held], list[Replaced]]:
    live: dict[Key, Held] = {}
    past: list[Replaced] = []
    lines = lines_by_fact(ERRANDS)
    for start, end in zip([0, *cuts], [*cuts, len(memory.entries)], strict=True):
        pairs = list(zip(memory.entries, memory.facts, strict=True))[start:end]
        work = [touch for entry, fact in pairs for touch in touches(ERRANDS, lines, entry, fact)]
        for touch in work:
            live.setdefault(touch.key, Held(None, 0))
        past += apply(live, work)
    return live, past


def _as_of(live: dict[Key, Held], past: list[Replaced], position: int) -> dict[Key, object]:
    rows = {key: held.row for key, held in live.items() if held.row is not None and held.since <= position}
    return rows | {p.key: p.row for p in past if p.since <= position < p.until}


def _fold_prefix(memory: MemoryService, position: int) -> dict[Key, object]:
    rows: dict[Key, object] = {}
    lines = lines_by_fact(ERRANDS)
    for entry, fact in list(zip(memory.entries, memory.facts, strict=True))[:position]:
        for key, fold, one, at in touches(ERRANDS, lines, entry, fact):
            rows[key] = fold(rows.get(key), one, at)
    return {key: row for key, row in rows.items() if row is not None}


def test_a_key_of_the_wrong_width_is_refused_with_the_columns_named() -> None:
    with pytest.raises(ValueError, match=r"does not have the columns \('errand',\)"):
        as_key(ERRANDS, (UUID(int=1), "too much"))


def test_an_equal_row_leaves_no_trace_in_the_past() -> None:
    memory = MemoryService(SERVICE)
    memory.hear(ErrandGiven(UUID(int=1), "ann"), subject=UUID(int=1), at=T)
    memory.hear(ErrandDone(), subject=UUID(int=1), at=T)
    before = len(memory.past[ERRANDS])
    memory.hear(ErrandDone(), subject=UUID(int=1), at=T)
    assert len(memory.past[ERRANDS]) == before
