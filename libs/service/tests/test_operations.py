"""What operators are shown."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest

from libs.events.parked import Parked, Problem, State
from libs.service.operations import as_it_came


def parked(value: bytes) -> Parked:
    return Parked(
        id=UUID(int=1),
        kind=Problem.UNREADABLE,
        state=State.PARKED,
        topic="baton.inbound",
        topic_id="t1",
        partition=0,
        record_offset=7,
        key="STORY1",
        reason="nobody can read it",
        value=value,
    )


def test_a_parked_record_is_shown_as_the_json_that_it_is() -> None:
    assert as_it_came(parked(b'{"reference": "STORY1"}')).data == {"reference": "STORY1"}


@pytest.mark.parametrize("value", [b"{", b'{"a": "\xff"}', b"[" * 2_000 + b"]" * 2_000])
def test_a_parked_record_that_nobody_can_read_is_shown_all_the_same(value: bytes) -> None:
    assert base64.b64decode(as_it_came(parked(value)).data_base64 or "") == value
