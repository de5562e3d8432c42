"""CloudEvents 1.0 as they come in: structured, binary and batched over HTTP; over Kafka the kernel has read the mode.

Only JSON data is taken. What cannot be read raises NotJson, UnsupportedMedia, WrongShape (all faults named).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from libs.events.instants import instant_of
from libs.events.wire import ForeignEvent
from libs.service.cures import INSTANT, OBJECT, Cure
from libs.service.errors import ABSENT, Fault, NotJson, UnsupportedMedia, WrongShape
from services.gateway.commands import YEARS

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
JSON = "application/json"
BATCH_EVENTS_MAX = 100
ATTRIBUTE_CHARS_MAX = 200
HTTP_PREFIX, KAFKA_PREFIX = "ce-", "ce_"
REQUIRED = ("specversion", "id", "source", "type")
EXTENSIONS = ("timeline", "tenant")
READ = (*REQUIRED, "time", *EXTENSIONS, "datacontenttype")
NAMES_LOOKED_AT_MAX = 64
NEARNESS = 0.8
"""How alike (difflib's ratio) an extension is to one of ours when it is taken for that one misspelt."""
CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})

_BATCH = Cure("must be a JSON array of CloudEvents", "必须是由 CloudEvents 组成的 JSON 数组")
_FEWER = Cure(f"send at most {BATCH_EVENTS_MAX} events in one batch", f"每批最多 {BATCH_EVENTS_MAX} 个事件")
_VERSION = Cure("send 1.0: only CloudEvents 1.0 are read here", "请发送 1.0：此处只读取 CloudEvents 1.0")
_JSON = Cure(f"send {JSON}", f"请发送 {JSON}")
_ATTRIBUTE = Cure("is missing; every CloudEvent has it", "缺少此项，每个 CloudEvent 都须有")
_PRINTABLE = Cure(
    f"must be printable text of 1 to {ATTRIBUTE_CHARS_MAX} characters",
    f"必须是 1 至 {ATTRIBUTE_CHARS_MAX} 个可打印字符的文本",
)
_ONCE = Cure("came before in this request; send the header once", "此请求头重复出现，请只发送一次")
_ENCODED = Cure("must be text in UTF-8, percent-encoded", "必须是 UTF-8 文本的百分号编码")
_BASE64 = Cure("must be base64 of a JSON object", "必须是 JSON 对象的 base64 编码")
_ESCAPED = re.compile(r"\\(.)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')

Mode = Literal["structured", "binary", "batched"]


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """A CloudEvent with JSON data. `timeline` and `tenant` are extensions: see docs/integrating.md.

    `time` is in UTC; None when the sender gave none. `where`: what stood before the names of its attributes.
    """

    id: str
    source: str
    type: str
    data: dict[str, Any]
    time: datetime | None = None
    timeline: str = ""
    tenant: str | None = None
    where: str = field(default="", compare=False)

    def named(self, attribute: str) -> str:
        """An attribute by the one name that faults have for it: body.time, body.7.time, ce-time, ce_time."""
        return f"{self.where}{attribute}"


def mode_of(content_type: str | None) -> Mode:
    """How the events lie in a message of this content type; raises UnsupportedMedia."""
    media, _, parameters = (content_type or "").partition(";")
    media = media.strip().lower()
    if _charset(parameters) in CHARSETS:
        if media == STRUCTURED:
            return "structured"
        if media == BATCHED:
            return "batched"
        if _is_json(media):
            return "binary"
    raise UnsupportedMedia(content_type or "", (STRUCTURED, BATCHED, f"{JSON} with ce-* headers"))


def read_structured(body: bytes) -> InboundEvent:
    """One event whose attributes and data are members of one JSON object."""
    return _of_object(_json(body), "body")


def read_batch(body: bytes) -> list[InboundEvent | WrongShape]:
    """The events of a batch in their order; an element that is no event is returned as what is wrong with it."""
    elements = _json(body)
    if not isinstance(elements, list):
        raise WrongShape([Fault("body", *_BATCH, elements)])
    if len(elements) > BATCH_EVENTS_MAX:
        raise WrongShape([Fault("body", *_FEWER, f"{len(elements)} events")])
    return [_or_fault(element, f"body.{index}") for index, element in enumerate(elements)]


def read_binary_http(headers: Mapping[str, str], body: bytes) -> InboundEvent:
    """One event whose attributes are ce-* headers (percent-encoded) and whose body is the data."""
    return _of_attributes(_headed(headers), _json(body), HTTP_PREFIX)


def read_foreign(event: ForeignEvent) -> InboundEvent:
    """One event of a Kafka record, whose mode and attributes the kernel has read."""
    mode_of(event.content_type)
    found = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type, **event.extensions}
    if event.time is not None:
        found["time"] = event.time.isoformat()
    return _of_attributes(found, _json(event.data), KAFKA_PREFIX)


def _headed(headers: Mapping[str, str]) -> dict[str, str]:
    """The attributes in ce-* headers. As the binding has it, double quotes are undone before the percent-encoding."""
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for header, value in headers.items():
        name = header.lower()
        if not name.startswith(HTTP_PREFIX):
            continue
        attribute = name.removeprefix(HTTP_PREFIX)
        if attribute in found:
            faults.append(Fault(name, *_ONCE, value))
        quoted = _QUOTED.fullmatch(value)
        try:
            found[attribute] = unquote(_ESCAPED.sub(r"\1", quoted[1]) if quoted else value, errors="strict")
        except UnicodeDecodeError:
            faults.append(Fault(name, *_ENCODED, value))
    if faults:
        raise WrongShape(faults)
    return found


def _or_fault(element: Any, where: str) -> InboundEvent | WrongShape:
    try:
        return _of_object(element, where)
    except WrongShape as fault:
        return fault


def _of_object(value: Any, where: str) -> InboundEvent:
    if not isinstance(value, dict):
        raise WrongShape([Fault(where, *OBJECT, value)])
    data = value.get("data", ABSENT)
    if "data_base64" in value:
        data = _of_base64(value["data_base64"], f"{where}.data_base64")
    return _of_attributes(value, data, f"{where}.")


def _of_attributes(found: Mapping[str, Any], data: Any, prefix: str) -> InboundEvent:
    texts, faults = _texts(found, prefix)
    if "specversion" in texts and texts["specversion"] != "1.0":
        faults.append(Fault(f"{prefix}specversion", *_VERSION, texts["specversion"]))
    faults += _misspelt(found, prefix)
    time, unreadable = _time(texts.get("time"), prefix)
    faults += unreadable
    if not _is_json(texts.get("datacontenttype", JSON).partition(";")[0].strip().lower()):
        faults.append(Fault(f"{prefix}datacontenttype", *_JSON, texts["datacontenttype"]))
    if not isinstance(data, dict):
        faults.append(Fault("data", *OBJECT, data))
    if faults:
        raise WrongShape(faults)
    return InboundEvent(
        id=texts["id"],
        source=texts["source"],
        type=texts["type"],
        data=data,
        time=time,
        timeline=texts.get("timeline", ""),
        tenant=texts.get("tenant"),
        where=prefix,
    )


def _texts(found: Mapping[str, Any], prefix: str) -> tuple[dict[str, str], list[Fault]]:
    """The attributes that are read here, as text, and what is wrong with them."""
    texts: dict[str, str] = {}
    faults: list[Fault] = []
    for name in READ:
        value = found.get(name)
        if value is None:
            if name in REQUIRED:
                faults.append(Fault(f"{prefix}{name}", *_ATTRIBUTE))
        elif not isinstance(value, str) or not value or len(value) > ATTRIBUTE_CHARS_MAX or not value.isprintable():
            faults.append(Fault(f"{prefix}{name}", *_PRINTABLE, value))
        else:
            texts[name] = value
    return texts, faults


def _misspelt(found: Mapping[str, Any], prefix: str) -> list[Fault]:
    """Extensions of others are none of our business; one of ours that is misspelt must not be lost without a word."""
    faults = []
    for name in islice(found, NAMES_LOOKED_AT_MAX):
        near = [] if name in READ else get_close_matches(name.lower(), EXTENSIONS, n=1, cutoff=NEARNESS)
        if near:
            cure = Cure(
                f"is not read here; did you mean {near[0]}? If not, leave it out",
                f"此处不读取；是否指 {near[0]}？若不是，请删除",
            )
            faults.append(Fault(f"{prefix}{name}", *cure, found[name]))
    return faults


def _time(text: str | None, prefix: str) -> tuple[datetime | None, list[Fault]]:
    if text is None:
        return None, []
    try:
        at = instant_of(text)
        if at.year in YEARS:
            return at, []
    except (ValueError, OverflowError):
        pass  # answered below, with the cure
    return None, [Fault(f"{prefix}time", *INSTANT, text)]


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(f"the body is not JSON in UTF-8: {error}") from error


def _of_base64(value: Any, field: str) -> Any:
    try:
        return _json(base64.b64decode(value, validate=True))
    except (TypeError, ValueError, binascii.Error, NotJson) as error:
        raise WrongShape([Fault(field, *_BASE64, value)]) from error


def _is_json(media: str) -> bool:
    return media == JSON or (media.startswith("application/") and media.endswith("+json"))


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""
