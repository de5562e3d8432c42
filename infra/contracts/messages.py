"""Messages of the AsyncAPI document, each with its golden sample as it would lie on the topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from infra.contracts import headers, inbound, schemas
from infra.contracts.spoken import Json, sample
from libs.events import wire
from libs.events.contract import Contract, Kind
from libs.events.entries import Entry, derived_id, entity_id, stream_id

COMMAND = UUID("019a4232-f600-7c11-9d0b-3a5f6f2f9e01")
AT = datetime(2026, 11, 2, 1, 40, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BINDING_VERSION = "0.5.0"
KEY: Json = {
    "type": "string",
    "description": "`<tenant>:<subject>`; the partition is CRC-32 of it modulo the partition count. So all that an"
    " owner says about one subject is in order.",
    "pattern": "^[a-z0-9][a-z0-9-]{0,39}:[0-9a-f-]{36}$",
    "examples": [f"main:{entity_id('main', 'case', 'web-shop/WS-4')}"],
}
TRAIT: Json = {
    "contentType": "application/json",
    "headers": headers.own(),
    "correlationId": {
        "location": "$message.header#/ce_correlationid",
        "description": "The whole conversation: everything that followed from one first command.",
    },
    "bindings": {"kafka": {"key": KEY, "bindingVersion": BINDING_VERSION}},
}


def schema_id(type_: str, version: int) -> str:
    return f"{type_}.v{version}"


def fact_message(contract: Contract, type_: str, kind: Kind, version: int) -> Json:
    """The message of one version of one fact."""
    shape = schemas.schema(type_, kind, version)
    said = {"const": type_}, {"const": f"/baton/{contract.owner}"}, {"const": str(version)}
    return {
        "name": type_,
        "title": f"{type_} v{version}",
        **_meaning(shape),
        "traits": [{"$ref": "#/components/messageTraits/fact"}],
        "headers": {
            "type": "object",
            "properties": dict(zip(("ce_type", "ce_source", "ce_schemaversion"), said, strict=True)),
        },
        "payload": {"$ref": f"#/components/schemas/{schema_id(type_, version)}"},
        "examples": [fact_example(type_, version)],
    }


def fact_example(type_: str, version: int) -> Json:
    """The golden sample, with the headers that the publisher would write."""
    payload = sample(type_, version)
    entry = _entry(type_, version, payload)
    sent = wire.outgoing(entry, previous=38, epoch=1)
    return {
        "name": "golden sample",
        "headers": {name: value.decode() for name, value in sent.headers},
        "payload": payload,
    }


def _entry(type_: str, version: int, payload: Json) -> Entry:
    owner = type_.partition(".")[0]
    subject = entity_id("main", "case", "web-shop/WS-4")
    return Entry(
        position=57,
        sequence=41,
        id=derived_id(COMMAND, "0"),
        type=type_,
        schema_version=version,
        stream=stream_id("main", owner, "case", subject),
        version=3,
        tenant="main",
        subject=subject,
        actor="svc-1",
        command_id=COMMAND,
        causation_id=derived_id(COMMAND, "cause"),
        correlation_id=derived_id(COMMAND, "conversation"),
        traceparent=TRACEPARENT,
        basis=56,
        epoch=1,
        occurred_at=AT,
        recorded_at=AT,
        noted_at=AT,
        backfilled=False,
        data=msgspec.json.encode(payload),
    )


def head_message() -> Json:
    shape = schemas.head()
    return {
        "name": "baton.Head",
        "title": "Head of an owner",
        "contentType": "application/json",
        **_meaning(shape),
        "payload": {"$ref": "#/components/schemas/baton.Head"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The owner.", "examples": ["tasks"]},
                "bindingVersion": BINDING_VERSION,
            }
        },
        "examples": [
            {
                "name": "head of tasks",
                "payload": {
                    "owner": "tasks",
                    "epoch": 1,
                    "at": "2026-11-02T01:40:00Z",
                    "sequences": {"0": 38, "4": 41},
                },
            }
        ],
    }


def inbound_message(type_: str) -> Json:
    """An event of another system in binary mode."""
    return {
        "name": type_,
        "title": type_,
        "contentType": "application/json",
        **_meaning(inbound.schema(type_)),
        "headers": _saying(headers.inbound(), ce_type=type_),
        "payload": {"$ref": f"#/components/schemas/{type_}"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": "Yours to choose; records of one key are taken in order. Without one: no order.",
                    "examples": ["WS-4"],
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
        "examples": [
            {
                "name": "binary mode",
                "headers": {
                    "ce_specversion": "1.0",
                    "ce_id": "e-4",
                    "ce_source": "web-shop",
                    "ce_type": type_,
                    "content-type": "application/json",
                },
                "payload": inbound.SAMPLES[type_],
            }
        ],
    }


def _saying(shape: Json, **consts: str) -> Json:
    properties = {
        name: {**part, "const": consts[name]} if name in consts else part for name, part in shape["properties"].items()
    }
    return {**shape, "properties": properties}


def _meaning(shape: Json) -> dict[str, Any]:
    """Summary and description: the first sentence, and all of it."""
    text: str = shape.get("description", "")
    if not text:
        return {}
    flat = " ".join(text.split())
    first = flat.partition(". ")[0].rstrip(".") + "."
    return {"summary": first} | ({"description": text} if flat != first else {})
