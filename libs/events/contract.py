"""Contracts: the facts that an owner lets out, by literal type name and schema version.

A contract changes by one of three steps, the first that fits: an optional field with a default; a new version with an
upcaster from the one before; a new fact. Writers encode only the newest version, readers decode them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from libs.events.entries import Fact
from libs.events.errors import ILLEGIBLE, Undecodable
from libs.events.parked import ParkedRecordDropped, ParkedRecordReleased, RecordParked

Json = dict[str, Any]
Upcaster = Callable[[Json], Json]
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Kind:
    """One fact of a contract: its literal name, its newest schema version, its class, and the way up from older ones.

    `upcasters[n]` takes the JSON object of version n to version n + 1. `personal` names the fields with personal data.
    """

    name: str
    version: int
    fact: type[Fact]
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    personal: tuple[str, ...] = ()


PARKING_KINDS = (
    Kind("RecordParked", 1, RecordParked, personal=("reason",)),
    Kind("ParkedRecordReleased", 1, ParkedRecordReleased),
    Kind("ParkedRecordDropped", 1, ParkedRecordDropped),
)


class Opaque(Fact, frozen=True):
    """A fact that no contract here names, kept as it came by a service that hears everything."""


class Contract:
    """Everything that `owner` says, and how it is written. Every owner may also say what it parked (PARKING_KINDS)."""

    def __init__(self, owner: str, kinds: Iterable[Kind]) -> None:
        self.owner = owner
        self.topic = f"baton.{owner}"
        self.kinds: dict[str, Kind] = {f"{owner}.{kind.name}": kind for kind in (*kinds, *PARKING_KINDS)}
        self._types: dict[type[Fact], str] = {kind.fact: type_ for type_, kind in self.kinds.items()}

    def type_of(self, fact: type[Fact]) -> str:
        """The literal type name of a fact class of this owner, such as `tasks.HandoffOffered`."""
        return self._types[fact]

    def encode(self, fact: Fact) -> tuple[str, int, bytes]:
        """(type, newest schema version, JSON bytes) of a fact."""
        type_ = self._types[type(fact)]
        return type_, self.kinds[type_].version, _encode(fact)


class Language:
    """All contracts that one service speaks or hears: the way from bytes to facts."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._kinds = {t: kind for contract in contracts for t, kind in contract.kinds.items()}
        self._decoders = {t: msgspec.json.Decoder(kind.fact) for t, kind in self._kinds.items()}

    def types_of(self, facts: Iterable[type[Fact]]) -> frozenset[str]:
        """The type names under which these fact classes travel (one class may have several owners)."""
        wanted = frozenset(facts)
        return frozenset(t for t, kind in self._kinds.items() if kind.fact in wanted)

    def knows(self, type_: str) -> bool:
        return type_ in self._kinds

    def decode(self, type_: str, version: int, data: bytes) -> Fact:
        """The fact in these bytes; raises Undecodable for an unknown type or version, broken JSON or a wrong shape."""
        kind = self._kinds.get(type_)
        if kind is None:
            raise Undecodable("type", type_, "no contract here has this fact; update the contracts or skip the type")
        try:
            if version == kind.version:
                return self._decoders[type_].decode(data)
            return _upcast(kind, version, data)
        except ILLEGIBLE as error:
            raise Undecodable(f"data of {type_} v{version}", str(error), "mend it or have it sent again") from error


def _upcast(kind: Kind, version: int, data: bytes) -> Fact:
    if not 1 <= version < kind.version:
        raise Undecodable(
            "schemaversion", version, f"{kind.name} is known in versions 1 to {kind.version}; update the reader"
        )
    raw: Json = msgspec.json.decode(data, type=dict)
    for step in range(version, kind.version):
        raw = kind.upcasters[step](raw)
    return msgspec.convert(raw, kind.fact)
