"""The door for other systems: whose a record is, before anybody takes or refuses it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.events import wire
from libs.events.desk import Draft
from libs.events.errors import Refusal
from libs.events.inbound import TOPIC, Handing
from libs.events.judging import Raw, raw_of, row
from libs.events.parked import State

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
NAMELESS = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"erp"), ("ce_type", b"t"))


def record(*headers: tuple[str, bytes]) -> Raw:
    return Raw(TOPIC, "t1", 0, 17, "key", (*NAMELESS, *headers), b"{}")


async def refuse(event: wire.ForeignEvent) -> None:
    raise Refusal("no", f"not for {event.extensions['tenant']}", "不行")


@pytest.mark.parametrize(
    ("headers", "tenant"),
    [((), "main"), ((("ce_tenant", b""),), "main"), ((("ce_tenant", b"north"),), "north")],
)
async def test_a_refused_record_is_told_to_the_tenant_that_it_was_to_be_taken_for(
    headers: tuple[tuple[str, bytes], ...], tenant: str
) -> None:
    door = Handing(refuse, TOPIC)
    raw = record(*headers)
    refused = await door.take(door.judge(raw, NOW, None), Draft())
    parked = row(refused, State.PARKED)
    assert (parked.tenant, parked.reason) == (tenant, f"no: not for {tenant}")
    assert raw_of(parked) == raw, "it is kept as it came"
