"""Contracts: what was said once is readable for ever, and a change that would break a reader is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.contracts.spoken import GOLDEN, contracts, kinds, sample_file, schema_file
from libs.events.compatibility import breaks, schema_of
from libs.events.contract import Contract, Kind, Language
from libs.events.entries import Fact
from libs.events.errors import Undecodable

KINDS = dict(kinds())


def test_every_version_of_every_fact_has_a_golden_sample_and_schema() -> None:
    missing = [
        file.name
        for type_, kind in KINDS.items()
        for version in range(1, kind.version + 1)
        for file in (sample_file(type_, version), schema_file(type_, version))
        if not file.exists()
    ]
    assert not missing, f"run `make contracts` and commit: {missing}"


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.schema.json")), ids=lambda file: file.stem)
def test_a_golden_sample_decodes_and_its_version_is_compatible(file: Path) -> None:
    name = re.fullmatch(r"(.+)\.v(\d+)\.schema", file.stem)
    assert name is not None
    type_, version = name[1], int(name[2])
    assert type_ in KINDS, f"{type_} was published and cannot vanish: keep its kind, stop deciding it"
    kind = KINDS[type_]
    language = Language(contracts())
    fact = language.decode(type_, version, sample_file(type_, version).read_bytes())
    assert type(fact) is kind.fact
    if version == kind.version:
        stored = json.loads(file.read_text("utf-8"))
        assert breaks(stored, schema_of(kind)) == []


def test_what_is_written_is_read_back_the_same() -> None:
    language = Language(contracts())
    for contract in contracts():
        for type_, kind in contract.kinds.items():
            fact = language.decode(type_, kind.version, sample_file(type_, kind.version).read_bytes())
            assert language.decode(*contract.encode(fact)) == fact


class Before(Fact, frozen=True):
    case: str
    minutes: int


class WithDefault(Fact, frozen=True):
    case: str
    minutes: int
    note: str = ""


class Needing(Fact, frozen=True):
    case: str
    minutes: int
    note: str


class Without(Fact, frozen=True):
    case: str


class Retyped(Fact, frozen=True):
    case: str
    minutes: float


@pytest.mark.parametrize(
    ("after", "named"),
    [(Needing, "note: is required now"), (Without, "minutes: was removed"), (Retyped, "minutes.: was")],
)
def test_a_change_that_breaks_readers_is_refused_and_names_the_field(after: type[Fact], named: str) -> None:
    (found,) = breaks(schema_of(Kind("X", 1, Before)), schema_of(Kind("X", 1, after)))
    assert named in found
    assert "upcaster" in found


def holding(fact: type[Fact]) -> list[dict[str, Any]]:
    """Schemas of facts that hold such a one: perhaps, in a list, in a tuple's second place."""
    inner = {"$ref": "#/$defs/Inner"}
    whole = schema_of(Kind("X", 1, fact))
    (defined,) = whole["$defs"].values()
    fields: list[dict[str, Any]] = [
        {"anyOf": [{"type": "null"}, inner]},
        {"type": "array", "items": inner},
        {"type": "array", "prefixItems": [{"type": "string"}, inner]},
    ]
    return [{"type": "object", "properties": {"field": field}, "$defs": {"Inner": defined}} for field in fields]


@pytest.mark.parametrize("after", [Needing, Without, Retyped])
def test_a_change_that_breaks_readers_is_found_wherever_it_is_nested(after: type[Fact]) -> None:
    for one, other in zip(holding(Before), holding(after), strict=True):
        (found,) = breaks(one, other)
        assert found.startswith("field.")
    for one, other in zip(holding(Before), holding(WithDefault), strict=True):
        assert breaks(one, other) == []


def test_an_optional_field_with_a_default_may_come() -> None:
    assert breaks(schema_of(Kind("X", 1, Before)), schema_of(Kind("X", 1, WithDefault))) == []


def test_an_older_version_is_brought_up_by_its_upcasters() -> None:
    kind = Kind("X", 3, WithDefault, {1: lambda raw: {**raw, "minutes": raw["hours"] * 60}, 2: lambda raw: raw})
    language = Language((Contract("x", (kind,)),))
    assert language.decode("x.X", 1, b'{"case":"c","hours":2}') == WithDefault("c", 120)


@pytest.mark.parametrize(
    ("type_", "version", "data", "named"),
    [
        ("x.Y", 1, b"{}", "type='x.Y'"),
        ("x.X", 2, b"{}", "schemaversion=2"),
        ("x.X", 0, b"{}", "schemaversion=0"),
        ("x.X", 1, b"{", "data of x.X v1"),
        ("x.X", 1, b'{"case":1,"minutes":2}', "data of x.X v1"),
        ("x.X", 1, b'{"case":"\xff","minutes":2}', "data of x.X v1"),
    ],
)
def test_what_cannot_be_read_is_undecodable_with_its_reason(type_: str, version: int, data: bytes, named: str) -> None:
    language = Language((Contract("x", (Kind("X", 1, Before),)),))
    with pytest.raises(Undecodable, match=re.escape(named)):
        language.decode(type_, version, data)


def test_readers_ignore_fields_that_they_do_not_know() -> None:
    language = Language((Contract("x", (Kind("X", 1, Before),)),))
    assert language.decode("x.X", 1, b'{"case":"c","minutes":1,"new":[1]}') == Before("c", 1)
    assert msgspec.json.encode(Before("c", 1)) == b'{"case":"c","minutes":1}'
