"""Ids and what a journal takes, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.events.appends import ANY, DATA_BYTES_MAX, FACTS_MAX, Append, Heard
from libs.events.entries import derived_id, entity_id, is_tenant, new_id, stream_id

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=20)
RECORD = Heard(
    id=UUID(int=1),
    type="bells.BellRung",
    schema_version=1,
    stream=UUID(int=2),
    version=1,
    tenant="main",
    subject=UUID(int=3),
    actor="prod-1",
    command_id=UUID(int=4),
    causation_id=None,
    correlation_id=UUID(int=5),
    traceparent="",
    basis=7,
    epoch=1,
    occurred_at=NOON,
    recorded_at=NOON,
    backfilled=False,
    data=b"{}",
)


@given(st.uuids(), NAMES, NAMES)
def test_the_same_cause_and_parts_give_the_same_id_and_others_another(cause: UUID, one: str, other: str) -> None:
    assert derived_id(cause, one) == derived_id(cause, one)
    assert (derived_id(cause, one) == derived_id(cause, other)) == (one == other)
    assert derived_id(cause, one, other) != derived_id(cause, one)


@given(st.uuids(), st.uuids(), NAMES)
def test_two_causes_never_share_a_derived_id(one: UUID, other: UUID, part: str) -> None:
    assert (derived_id(one, part) == derived_id(other, part)) == (one == other)


@given(st.uuids(), st.integers(0, FACTS_MAX - 1))
def test_a_derived_id_is_a_version_7_id_with_the_time_prefix_of_its_cause(cause: UUID, number: int) -> None:
    derived = derived_id(cause, str(number))
    assert derived.version == 7
    assert derived.variant == "specified in RFC 4122"
    assert derived.bytes[:6] == cause.bytes[:6]


def test_new_ids_are_ordered_by_time_and_all_different() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert [id_.bytes[:6] for id_ in ids] == sorted(id_.bytes[:6] for id_ in ids)
    assert len(set(ids)) == len(ids)


@given(NAMES, NAMES, st.uuids(), NAMES)
def test_two_tenants_never_share_a_stream_or_an_entity(one: str, other: str, key: UUID, name: str) -> None:
    assert (stream_id(one, "tasks", "case", key) == stream_id(other, "tasks", "case", key)) == (one == other)
    assert (entity_id(one, "case", name) == entity_id(other, "case", name)) == (one == other)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, True) for name in ("main", "north-2", "7", "x" * 40)),
        *((name, False) for name in ("main/case", "", "-a", "North", "a b", "a:b", "é", "a\n", "x" * 41, None, 7)),
    ],
)
def test_a_tenant_is_never_called_so_that_ids_are_ambiguous(name: object, fits: bool) -> None:
    assert is_tenant(name) == fits


OTHER_WORDS = {
    "type": "bells.BellMoved",
    "schema_version": 2,
    "stream": UUID(int=9),
    "version": 2,
    "tenant": "other",
    "subject": UUID(int=9),
    "actor": "prod-2",
    "command_id": UUID(int=9),
    "causation_id": UUID(int=9),
    "correlation_id": UUID(int=9),
    "occurred_at": NOON + timedelta(microseconds=1),
    "recorded_at": NOON + timedelta(microseconds=1),
    "data": b"{ }",
}


@pytest.mark.parametrize("field", OTHER_WORDS)
def test_a_record_that_says_anything_else_has_another_digest(field: str) -> None:
    altered: dict[str, Any] = {field: OTHER_WORDS[field]}
    assert replace(RECORD, **altered).digest != RECORD.digest


def test_a_record_heard_again_in_a_new_epoch_has_the_same_digest() -> None:
    again = replace(RECORD, epoch=2, backfilled=True, traceparent="00-1-1-01", basis=None)
    assert again.digest == RECORD.digest


def test_the_digest_of_a_record_stays_what_it_is_for_journals_that_hold_it() -> None:
    assert RECORD.digest.hex() == "c46928f42f133406bb2abea1d25dbd73"


def test_a_journal_refuses_an_append_without_facts_or_with_too_many() -> None:
    assert len(_append(facts=FACTS_MAX).facts) == FACTS_MAX
    for facts in (0, FACTS_MAX + 1):
        with pytest.raises(ValueError, match="1 to 100 facts"):
            _append(facts=facts)


def test_a_journal_refuses_a_fact_that_is_too_large_to_travel() -> None:
    assert _append(data=b"x" * DATA_BYTES_MAX).size == DATA_BYTES_MAX
    with pytest.raises(ValueError, match="refer to it"):
        _append(data=b"x" * (DATA_BYTES_MAX + 1))


def test_a_journal_refuses_a_version_below_any_and_a_digest_of_another_length() -> None:
    assert _append(expected=ANY).expected == ANY
    with pytest.raises(ValueError, match="expected=-2"):
        _append(expected=-2)
    with pytest.raises(ValueError, match="digest has 32 bytes"):
        _append(digest=bytes(32))


def _append(*, facts: int = 1, data: bytes = b"{}", expected: int = 0, digest: bytes = bytes(16)) -> Append:
    command = UUID(int=4)
    return Append(
        stream=UUID(int=2),
        expected=expected,
        facts=tuple((derived_id(command, str(i)), "probe.ErrandGiven", 1, data) for i in range(facts)),
        tenant="main",
        subject=UUID(int=3),
        actor="prod-1",
        command_id=command,
        digest=digest,
        causation_id=None,
        correlation_id=UUID(int=5),
        traceparent="",
        basis=None,
        occurred_at=NOON,
    )
