"""The AsyncAPI 3.0 document: servers, topics, what is said on them, and what each header means."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.contracts import inbound, schemas
from infra.contracts.messages import (
    BINDING_VERSION,
    TRAIT,
    fact_message,
    head_message,
    inbound_message,
    schema_id,
)
from infra.contracts.spoken import Json, contracts, meaning_of, versions
from infra.local.ports import DEFAULT_BASE, HOST, OFFSETS
from libs.events.heads import TOPIC as HEADS

ROOT = Path(__file__).parents[2]
ASYNCAPI = "3.0.0"
INBOUND = "baton.inbound"
GUIDE = "docs/consuming.md"
INTRODUCTION = f"""\
Baton puts every handoff between departments on the record. Each service is the only owner of one kind of fact, and says
what it decided on a topic of its own. What is on a topic is a fact for good: never changed, never deleted.

Every record is a CloudEvent 1.0 in Kafka's binary mode: the value is the fact as JSON, attributes are `ce_*` headers.

* **Order.** The key is `<tenant>:<subject>`: everything that one owner says about one subject lies in one partition, in
  order. Between owners there is no order but that of cause and effect (`ce_causationid`).
* **Duplicates.** A record may come twice. The same `ce_id` is the same fact: take it once.
* **Gaps.** `ce_previous` is the owner's sequence before this one in the partition. If you have not seen that one,
  something is missing.
* **How far.** On `{HEADS}` each owner announces the last sequence of each partition, and an instant up to which that
  is everything.
* **Change.** A version of a fact only ever gains fields with a default. Anything more is a new `ce_schemaversion` or a
  new fact. Ignore fields, headers and types that you do not know.
* **Personal data** is marked `x-personal`.

How to consume it, with examples in Python and Java: `{GUIDE}` in Baton's repository. One JSON Schema for each fact
and version lies beside this document, in `schemas/`.
"""


def document() -> Json:
    """The whole document, as `contracts/asyncapi.yaml` has it."""
    topics = yaml.safe_load((ROOT / "infra" / "kafka" / "topics.yaml").read_text("utf-8"))
    return {
        "asyncapi": ASYNCAPI,
        "id": "urn:baton",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": _channels(topics),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "messageTraits": {"fact": TRAIT},
            "schemas": _schemas(),
        },
    }


def _info() -> Json:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        "title": "Baton's events",
        "version": project["version"],
        "description": INTRODUCTION,
        "license": {"name": project["license"], "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "tags": [{"name": contract.owner, "description": _first_sentence(contract.owner)} for contract in contracts()],
    }


def _servers() -> Json:
    return {
        "local": {
            "host": "{host}:{port}",
            "protocol": "kafka",
            "title": "The platform of a checkout",
            "description": "Kafka of `make up` (`baton status` names the port) and of the compose file. Without"
            " encryption and without accounts: it listens on the loopback address only.",
            "variables": {
                "host": {"default": HOST},
                "port": {
                    "default": str(DEFAULT_BASE + OFFSETS["kafka"]),
                    "description": "Each checkout takes its own.",
                },
            },
        }
    }


def _channels(topics: Json) -> Json:
    owners = topics["owners"]
    shared = {topic["name"]: topic for topic in topics["shared"]}
    found: Json = {}
    for contract in contracts():
        found[contract.owner] = {
            "address": contract.topic,
            "title": f"What {contract.owner} says",
            "description": meaning_of(contract.owner),
            "messages": {each: _message(each) for each in _said_by(contract.owner)},
            "tags": [{"name": contract.owner}],
            "bindings": _topic(contract.topic, owners),
        }
    found["heads"] = {
        "address": HEADS,
        "title": "How far each owner is",
        "summary": "One announcement after each batch and at least every half second; compacted: the newest of each"
        " owner stays.",
        "messages": {"baton.Head": _message("baton.Head")},
        "bindings": _topic(HEADS, shared[HEADS]),
    }
    found["inbound"] = {
        "address": INBOUND,
        "title": "The door for other systems",
        "summary": "CloudEvents of others; what cannot be taken is parked with its reason, never lost.",
        "description": "Binary mode is shown. Structured mode is read too: `content-type: application/cloudevents+json`"
        " with the attributes and `data` as members of one JSON object. A source and id that came before: a duplicate.",
        "messages": {each: _message(each) for each in inbound.MODELS},
        "bindings": _topic(INBOUND, shared[INBOUND]),
    }
    return found


def _topic(name: str, declared: Json) -> Json:
    settings = declared["config"]
    configuration: Json = {"cleanup.policy": [settings["cleanup.policy"]]}
    for name_ in ("retention.ms", "retention.bytes"):
        if name_ in settings:
            configuration[name_] = int(settings[name_])
    return {
        "kafka": {
            "topic": name,
            "partitions": declared["partitions"],
            "topicConfiguration": configuration,
            "bindingVersion": BINDING_VERSION,
        }
    }


def _operations() -> Json:
    found: Json = {}
    for contract in contracts():
        found[f"{contract.owner}.say"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{contract.owner}"},
            "title": f"{contract.owner} says",
            "summary": f"{contract.owner} publishes what it decided, after it is in its journal.",
            "tags": [{"name": contract.owner}],
            "messages": [_of(contract.owner, each) for each in _said_by(contract.owner)],
        }
    found["heads.announce"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/heads"},
        "title": "Every owner announces how far it is",
        "summary": "Read it to know that you have everything up to an instant.",
        "messages": [_of("heads", "baton.Head")],
    }
    found["inbound.take"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/inbound"},
        "title": "gateway takes in what others say",
        "summary": "Send it here, or to POST /events over HTTP.",
        "messages": [_of("inbound", each) for each in inbound.MODELS],
    }
    return found


def _messages() -> Json:
    owners = {contract.owner: contract for contract in contracts()}
    found = {
        schema_id(type_, version): fact_message(owners[type_.partition(".")[0]], type_, kind, version)
        for type_, kind, version in versions()
    }
    return found | {"baton.Head": head_message()} | {type_: inbound_message(type_) for type_ in inbound.MODELS}


def _schemas() -> Json:
    found: Json = {}
    for type_, kind, version in versions():
        found.update(_shared(schema_id(type_, version), schemas.schema(type_, kind, version)))
    found.update(_shared("baton.Head", schemas.head()))
    for type_ in inbound.MODELS:
        found.update(_shared(type_, inbound.schema(type_)))
    return found


def _shared(name: str, schema: Json) -> Iterator[tuple[str, Json]]:
    """The schema and what lies in it, as components that the document's parts refer to."""
    places = {f"#/$defs/{inner}": f"#/components/schemas/{name}.{inner}" for inner in schema.get("$defs", {})}
    yield name, _referring({key: part for key, part in schema.items() if not key.startswith("$")}, places)
    for inner, part in schema.get("$defs", {}).items():
        yield f"{name}.{inner}", _referring(part, places)


def _referring(part: Any, places: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {
            key: places.get(value, value) if key == "$ref" else _referring(value, places) for key, value in part.items()
        }
    return [_referring(each, places) for each in part] if isinstance(part, list) else part


def _said_by(owner: str) -> list[str]:
    return [schema_id(type_, version) for type_, _, version in versions() if type_.partition(".")[0] == owner]


def _message(name: str) -> Json:
    return {"$ref": f"#/components/messages/{name}"}


def _of(channel: str, message: str) -> Json:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}


def _first_sentence(owner: str) -> str:
    """What the owner says, without the words that it says it."""
    first = " ".join(meaning_of(owner).split()).partition(". ")[0].rstrip(".")
    return first.partition(": ")[2].capitalize() + "."
