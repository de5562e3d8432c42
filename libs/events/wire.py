"""The wire: entries as CloudEvents 1.0 in Kafka records, and back.

We write binary mode (attributes as `ce_*` headers, the fact as JSON value) and read binary and structured mode, ours
and anybody's. Beyond the specification's attributes our records carry, as extensions: schemaversion, tenant, stream,
streamversion, actor, commandid, causationid, correlationid, basis, recordedat, sequence, epoch, and previous (the
sequence of the owner's record before it in the same partition, 0 for the first). `traceparent` is a header of its own.

The partition of a record is CRC-32 of its key, `<tenant>:<subject>`, modulo the topic's partition count: a fixed rule
of ours, so that every client and every version of it agrees.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec
from asyncpg.pgproto.pgproto import UUID as FastUUID

from libs.events.appends import Heard
from libs.events.entries import TENANT_CURE, Entry, is_tenant
from libs.events.errors import ILLEGIBLE, Undecodable
from libs.events.instants import instant_of
from libs.events.tracing import legible

VALUE_BYTES_MAX = 1024 * 1024
HEADER_BYTES_MAX = 8 * 1024
HEADERS_MAX = 64
SHOWN_CHARS_MAX = 80
NAMES_KNOWN_MAX = 256
"""Of so many header names, the attribute need not be found again."""
JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
SOURCE_PREFIX = "/baton/"

_JSON = msgspec.json.Encoder()
_CONTENT_TYPE = ("content-type", JSON.encode())

Headers = tuple[tuple[str, bytes], ...]


class Outgoing(NamedTuple):
    """A record as it goes to Kafka."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The attributes of a CloudEvent by their names (extensions and `traceparent` among them), and its data."""

    attributes: Mapping[str, str]
    data: bytes

    def text(self, name: str) -> str:
        value = self.attributes.get(name)
        if not value:
            raise Undecodable(f"ce_{name}", value, "the attribute is missing; have its sender set it")
        return value

    def number(self, name: str) -> int:
        value = self.text(name)
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            raise Undecodable(f"ce_{name}", shown(value), "a whole number from 0 to 10^18 is expected")
        return int(value)

    def uuid(self, name: str) -> UUID:
        value = self.text(name)
        try:
            return _uuid(value)
        except ValueError as error:
            raise Undecodable(f"ce_{name}", shown(value), "a UUID is expected") from error

    def instant(self, name: str) -> datetime:
        return parse_instant(f"ce_{name}", self.text(name))


class Link(NamedTuple):
    """The place of a record in its owner's chain of sequences in one partition."""

    sequence: int
    previous: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ForeignEvent:
    """A CloudEvent of another system: what the specification promises, and its extensions."""

    id: str
    source: str
    type: str
    time: datetime | None
    subject: str | None
    content_type: str
    extensions: Mapping[str, str]
    data: bytes
    traceparent: str = ""


def record_key(tenant: str, subject: UUID) -> bytes:
    return f"{tenant}:{subject}".encode()


def partition_of(key: bytes, partitions: int) -> int:
    return zlib.crc32(key) % partitions


def outgoing(entry: Entry, *, previous: int, epoch: int) -> Outgoing:
    """A decided entry as a record. `epoch`: the one in which it is sent."""
    if entry.sequence is None:
        raise ValueError(f"entry {entry.position} was heard, not decided: only its owner publishes it")
    headers = [  # spelled out: made anew for every record, a dict of names and a loop over it cost twice as much
        ("ce_specversion", b"1.0"),
        ("ce_id", str(entry.id).encode()),
        ("ce_type", entry.type.encode()),
        ("ce_source", f"{SOURCE_PREFIX}{entry.owner}".encode()),
        ("ce_time", instant_text(entry.occurred_at).encode()),
        ("ce_subject", str(entry.subject).encode()),
        ("ce_schemaversion", b"%d" % entry.schema_version),
        ("ce_tenant", entry.tenant.encode()),
        ("ce_stream", str(entry.stream).encode()),
        ("ce_streamversion", b"%d" % entry.version),
        ("ce_actor", entry.actor.encode()),
        ("ce_commandid", str(entry.command_id).encode()),
        ("ce_correlationid", str(entry.correlation_id).encode()),
        ("ce_recordedat", instant_text(entry.recorded_at).encode()),
        ("ce_sequence", b"%d" % entry.sequence),
        ("ce_previous", b"%d" % previous),
        ("ce_epoch", b"%d" % epoch),
    ]
    if entry.causation_id is not None:
        headers.append(("ce_causationid", str(entry.causation_id).encode()))
    if entry.basis is not None:
        headers.append(("ce_basis", b"%d" % entry.basis))
    headers.append(_CONTENT_TYPE)
    if entry.traceparent:
        headers.append(("traceparent", entry.traceparent.encode()))
    return Outgoing(record_key(entry.tenant, entry.subject), entry.data, headers)


def envelope(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Envelope:
    """The CloudEvent in a record, whichever mode it came in; raises Undecodable naming the header that is wrong.

    A traceparent that is broken, or comes twice, is left out: what happened does not wait for the tale of how.
    """
    attributes: dict[str, str] = {}
    content_type: str | None = None
    parents: list[str] = []
    for number, (name, raw) in enumerate(headers):
        if number >= HEADERS_MAX:
            raise Undecodable("headers", f"more than {HEADERS_MAX}", "have its sender send fewer")
        if (attribute := _attribute(name)) is not None:
            if attribute in attributes:
                raise Undecodable(shown(name), "twice", "a header may come once only")
            attributes[attribute] = _header_text(name, raw)
        elif (lower := name.lower()) == "traceparent":
            parents.append((raw or b"").decode("ascii", "replace"))
        elif lower == "content-type":
            if content_type is not None:
                raise Undecodable(shown(name), "twice", "a header may come once only")
            content_type = _header_text(name, raw)
    data = value or b""
    if len(data) > VALUE_BYTES_MAX:
        raise Undecodable("value", f"{len(data)} bytes", f"at most {VALUE_BYTES_MAX} are taken")
    kind = (content_type or "").lower()
    if kind.startswith(STRUCTURED):
        attributes, data = _structured(data)
    elif kind.startswith("application/cloudevents"):
        raise Undecodable("content-type", shown(content_type), f"send binary mode, or {STRUCTURED}")
    elif content_type:
        attributes["datacontenttype"] = content_type
    extension = attributes.pop("traceparent", "")
    said = parents or [extension]
    if traceparent := legible(said[0]) if len(said) == 1 else "":
        attributes["traceparent"] = traceparent
    found = Envelope(attributes, data)
    if found.text("specversion") != "1.0":
        raise Undecodable("ce_specversion", shown(found.text("specversion")), "CloudEvents 1.0 is spoken here")
    return found


def owner_of(event: Envelope) -> str:
    """The service in whose name the record speaks: source and type must agree."""
    source, type_ = event.text("source"), event.text("type")
    if not source.startswith(SOURCE_PREFIX):
        raise Undecodable("ce_source", shown(source), f"{SOURCE_PREFIX}<owner> is expected")
    owner = source.removeprefix(SOURCE_PREFIX)
    if type_.partition(".")[0] != owner:
        raise Undecodable("ce_type", shown(type_), f"{owner} only says facts of its own, {owner}.…")
    return owner


def link(event: Envelope) -> Link:
    found = Link(event.number("sequence"), event.number("previous"), event.number("epoch"))
    if found.previous >= found.sequence:
        raise Undecodable("ce_previous", found.previous, f"must be lower than the sequence {found.sequence}")
    return found


def heard(event: Envelope, *, backfilled: bool) -> Heard:
    """The record as an entry to note; its data is not looked at here."""
    optional = event.attributes
    content_type = optional.get("datacontenttype", JSON)
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise Undecodable("content-type", shown(content_type), f"{JSON} is expected")
    return Heard(
        id=event.uuid("id"),
        type=event.text("type"),
        schema_version=_small(event, "schemaversion", 2**15 - 1),
        stream=event.uuid("stream"),
        version=_small(event, "streamversion", 2**31 - 1),
        tenant=tenant_of(event.text("tenant")),
        subject=event.uuid("subject"),
        actor=event.text("actor"),
        command_id=event.uuid("commandid"),
        causation_id=event.uuid("causationid") if optional.get("causationid") else None,
        correlation_id=event.uuid("correlationid"),
        traceparent=optional.get("traceparent", ""),
        basis=event.number("basis") if optional.get("basis") else None,
        epoch=_small(event, "epoch", 2**31 - 1),
        occurred_at=event.instant("time"),
        recorded_at=event.instant("recordedat"),
        backfilled=backfilled,
        data=event.data,
    )


def tenant_of(name: str) -> str:
    """The name, if a tenant may be called so."""
    if not is_tenant(name):
        raise Undecodable("ce_tenant", shown(name), TENANT_CURE)
    return name


_SPECIFIED = frozenset(
    ("id", "source", "type", "specversion", "time", "subject", "datacontenttype", "dataschema", "traceparent")
)


def foreign(event: Envelope) -> ForeignEvent:
    """A record of another system."""
    attributes = event.attributes
    return ForeignEvent(
        id=event.text("id"),
        source=event.text("source"),
        type=event.text("type"),
        time=event.instant("time") if attributes.get("time") else None,
        subject=attributes.get("subject"),
        content_type=attributes.get("datacontenttype", JSON),
        extensions={name: value for name, value in attributes.items() if name not in _SPECIFIED},
        data=event.data,
        traceparent=attributes.get("traceparent", ""),
    )


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with six digits. msgspec takes a seventh of the time, but leaves out six zeros."""
    utc = instant.astimezone(UTC)
    if utc.microsecond:
        return _JSON.encode(utc)[1:-1].decode()
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_instant(field: str, text: str) -> datetime:
    """An RFC 3339 instant, in UTC; raises Undecodable without a zone or a time of day."""
    try:
        return instant_of(text)
    except (ValueError, OverflowError) as error:
        raise Undecodable(field, shown(text), "an instant like 2024-05-06T07:08:09Z is expected") from error


def shown(value: object) -> str:
    """A value as it may stand in a message: bounded."""
    text = str(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


def _uuid(text: str) -> UUID:
    """As uuid.UUID reads it; asyncpg's own kind, a UUID too, is read ten times faster, in the usual form."""
    try:
        return FastUUID(text)
    except ValueError:
        return UUID(text)


def _small(event: Envelope, name: str, highest: int) -> int:
    number = event.number(name)
    if not 1 <= number <= highest:
        raise Undecodable(f"ce_{name}", number, f"a whole number from 1 to {highest} is expected")
    return number


@lru_cache(NAMES_KNOWN_MAX)
def _attribute(name: str) -> str | None:
    """The attribute of a header, whichever letters it is written in; None for a header that is none."""
    lower = name.lower()
    return lower[3:] if lower.startswith("ce_") else None


def _header_text(name: str, raw: bytes | None) -> str:
    if not raw:
        return ""
    if len(raw) > HEADER_BYTES_MAX:
        raise Undecodable(shown(name), f"{len(raw)} bytes", f"at most {HEADER_BYTES_MAX} are taken")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(shown(name), raw[:SHOWN_CHARS_MAX].hex(), "the header is not UTF-8") from error
    if "\x00" in text:
        raise Undecodable(shown(name), raw[:SHOWN_CHARS_MAX].hex(), "the header holds a zero byte")
    return text


def _structured(value: bytes) -> tuple[dict[str, str], bytes]:
    """Attributes and data of a CloudEvent in structured mode; JSON data stays byte for byte as it came."""
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        attributes: dict[str, str] = {}
        for name, raw in members.items():
            if name in ("data", "data_base64"):
                continue
            plain = msgspec.json.decode(raw, type=str | int | bool | None)
            if plain is not None:
                text = str(plain).lower() if isinstance(plain, bool) else str(plain)
                attributes[name.lower()] = _header_text(name, text.encode())
        if "data_base64" in members:
            return attributes, base64.b64decode(msgspec.json.decode(members["data_base64"], type=str), validate=True)
        return attributes, bytes(members["data"]) if "data" in members else b""
    except ILLEGIBLE as error:
        raise Undecodable("value", shown(error), f"{STRUCTURED} needs a CloudEvent in JSON") from error
