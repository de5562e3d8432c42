"""What each record header means: the attributes of our CloudEvents, and of those that others send us."""

from __future__ import annotations

from typing import Any

from services.gateway.channels.cloudevents import ATTRIBUTE_CHARS_MAX

Json = dict[str, Any]


def _text(meaning: str, **more: Any) -> Json:
    return {"type": "string", "description": meaning, **more}


def _number(meaning: str) -> Json:
    return _text(meaning, pattern="^[0-9]{1,18}$")


TRACEPARENT = _text("W3C trace context of the request or record behind this fact.")
OWN: Json = {
    "ce_specversion": _text("CloudEvents 1.0.", const="1.0"),
    "ce_id": _text("The fact's id. The same id is the same fact, however often it comes: drop it.", format="uuid"),
    "ce_type": _text("The fact's literal name, `<owner>.<Name>`."),
    "ce_source": _text("Who says it: `/baton/<owner>`."),
    "ce_time": _text("When it occurred in the world, in UTC. An import's facts occurred long ago.", format="date-time"),
    "ce_subject": _text("What it is about: the case, where there is one. Second part of the key.", format="uuid"),
    "ce_schemaversion": _number("Version of the type's schema. Within a version fields are only added, with defaults."),
    "ce_tenant": _text("Whose fact it is. First part of the key.", pattern="^[a-z0-9][a-z0-9-]{0,39}$"),
    "ce_stream": _text("The aggregate that decided it; a stream never spans tenants or owners.", format="uuid"),
    "ce_streamversion": _number("Its place in that stream, from 1, without gaps."),
    "ce_actor": _text("Who did it: a staff code, or `service/reaction` for what happens by itself."),
    "ce_commandid": _text("The command that it answers; one command may be answered by several facts.", format="uuid"),
    "ce_causationid": _text(
        "The fact from which it follows. Absent where a person or the world began it.", format="uuid"
    ),
    "ce_correlationid": _text(
        "The whole conversation: everything that followed from one first command.", format="uuid"
    ),
    "ce_basis": _number(
        "Position of its owner's journal up to which the decider had read. Absent where it read nothing."
    ),
    "ce_recordedat": _text("When its owner recorded it, in UTC; never goes back within an owner.", format="date-time"),
    "ce_sequence": _number("Its owner's running number over all partitions, from 1, without gaps."),
    "ce_previous": _number(
        "Sequence of the owner's record before it in this partition; 0 for the first. If you have not seen that one,"
        " records are missing."
    ),
    "ce_epoch": _number("Epoch of its owner's journal, from 1. A higher one begins where a journal was replaced."),
    "content-type": _text("Of the value.", const="application/json"),
    "traceparent": TRACEPARENT,
}
"""Of every record on an owner's topic."""

OPTIONAL = ("ce_causationid", "ce_basis", "traceparent")
NUMBERS = ("ce_schemaversion", "ce_streamversion", "ce_basis", "ce_sequence", "ce_previous", "ce_epoch")
"""Decimal digits on the wire, as every attribute is text there."""


def own() -> Json:
    """The schema of our records' headers."""
    return {"type": "object", "required": [name for name in OWN if name not in OPTIONAL], "properties": OWN}


def _sent(meaning: str, **more: Any) -> Json:
    return _text(meaning, minLength=1, maxLength=ATTRIBUTE_CHARS_MAX, **more)


INBOUND: Json = {
    "ce_specversion": _text("CloudEvents 1.0.", const="1.0"),
    "ce_id": _sent("Yours, unique within your source. The same source and id again is a duplicate."),
    "ce_source": _sent("Who you are; part of the identity of every case that you report."),
    "ce_type": _sent("What it says, with its version."),
    "ce_time": _text("When it happened, with a zone. Left out: now.", format="date-time"),
    "ce_timeline": _sent("Your source again, for an import whose clocks run on your events' time."),
    "ce_tenant": _text("For whom. Left out: `main`.", pattern="^[a-z0-9][a-z0-9-]{0,39}$"),
    "content-type": _text("Of the value.", const="application/json"),
    "traceparent": _text("W3C trace context: what follows in Baton belongs to your trace."),
}
"""Of a record on baton.inbound in binary mode. Other headers are passed over."""
INBOUND_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type", "content-type")


def inbound() -> Json:
    return {"type": "object", "required": list(INBOUND_REQUIRED), "properties": INBOUND}
