"""Jira's webhooks: the signature over the raw body, and what of the body matters here.

Lenient where Jira is: cloud and server differ, events that are not an issue's own may name none. Strict where a work
item would be mistaken: an issue has an id and an address, which names the host.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from libs.events.entries import entity_id
from libs.service.cures import OBJECT, Cure
from libs.service.errors import ABSENT, Fault, NotJson, Unsigned, WrongShape
from services.gateway.commands import CHANGES_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX, YEARS, ReportWorkItem, Saying

TRACKER = "jira"
ALGORITHM = "sha256="
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN_HOST = "unknown"
OF_AN_ISSUE = "jira:issue_"
DELETED = f"{OF_AN_ISSUE}deleted"
CHANGE_DIGITS_MAX = 18
_EVENT = Cure("send the event's name, such as jira:issue_updated", "请发送事件名称，例如 jira:issue_updated")
_ISSUE = Cure(
    f"is missing; an event {OF_AN_ISSUE}… is about one: send the issue, only other events may come without",
    f"缺少此项；{OF_AN_ISSUE}… 事件须附议题，请发送该议题，仅其他事件可不附",
)
_ID = Cure("send the issue's id, such as 10040", "请发送议题的 id，例如 10040")
_ADDRESS = Cure(
    "send the issue's address with its host, such as https://jira.example.com/rest/api/2/issue/10040",
    "请发送带主机名的议题地址，例如 https://jira.example.com/rest/api/2/issue/10040",
)


class Fields(NamedTuple):
    """What an issue says of itself; `said` names those of the first four that it has a word on, even an empty one."""

    key: str | None
    summary: str | None
    status: str | None
    assignee: str | None
    said: tuple[Saying, ...]
    updated_at: datetime | None


def require_signature(raw: bytes, header: str | None, secret: str) -> None:
    """Raise Unsigned unless `header` is this body's HMAC under the shared secret (compared in constant time)."""
    expected = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    found = (header or "").strip()
    if not found.startswith(ALGORITHM):
        raise Unsigned("sign the raw body: X-Hub-Signature: sha256=<hex of HMAC-SHA256 with the webhook secret>")
    if not hmac.compare_digest(found.removeprefix(ALGORITHM).lower().encode(), expected.encode()):
        raise Unsigned("X-Hub-Signature does not fit this body and the webhook secret; check the secret")


def digest_of(raw: bytes) -> str:
    """The body's hash, by which a delivery is known."""
    return hashlib.sha256(raw).hexdigest()


def read(raw: bytes, tenant: str) -> ReportWorkItem:
    """What a webhook's body reports; raises NotJson or WrongShape."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(f"the body is not JSON in UTF-8: {error}") from error
    if not isinstance(body, dict):
        raise WrongShape([Fault("body", *OBJECT, body)])
    event = _name(body.get("webhookEvent"))
    if event is None:
        raise WrongShape([Fault("webhookEvent", *_EVENT, body.get("webhookEvent", ABSENT))])
    if event.startswith(OF_AN_ISSUE) and body.get("issue") is None:
        raise WrongShape([Fault("issue", *_ISSUE)])
    item, host = _issue(body)
    digest = digest_of(raw)
    found = fields_of(body.get("issue"))
    return ReportWorkItem(
        delivery=entity_id(tenant, "delivery", digest),
        work_item=work_item_id(tenant, host, item or digest),
        tracker=TRACKER,
        host=host,
        event=_name(body.get("issue_event_type_name")) or event,
        digest=digest,
        item=item,
        key=found.key,
        summary=found.summary,
        status=found.status,
        assignee=found.assignee,
        changed=_changed(body),
        tracker_at=_instant(body.get("timestamp")),
        updated_at=found.updated_at,
        change=_number(_at(body, "changelog", "id")),
        said=found.said,
        gone=event == DELETED,
    )


def fields_of(issue: Any) -> Fields:
    """What an issue says of itself, the same in a webhook's body and in an answer of the REST interface."""
    found = _at(issue, "fields")
    named = found.keys() if isinstance(found, dict) else ()
    key, status = _name(_at(issue, "key")), _name(_at(found, "status", "name"))
    # An issue always has a key and a status; but a summary may be empty, and nobody may be assigned.
    has: dict[Saying, bool] = {
        "key": key is not None,
        "summary": "summary" in named,
        "status": status is not None,
        "assignee": "assignee" in named,
    }
    return Fields(
        key=key,
        summary=_text(_at(found, "summary"), TITLE_CHARS_MAX),
        status=status,
        assignee=_assignee(_at(found, "assignee")),
        said=tuple(name for name, is_said in has.items() if is_said),
        updated_at=_written(_at(found, "updated")),
    )


def _issue(body: dict[str, Any]) -> tuple[str | None, str]:
    """(the issue's id, the host that knows it by this id)."""
    if body.get("issue") is None:
        addresses = (value.get("self") for value in body.values() if isinstance(value, dict))
        return None, next((host for address in addresses if (host := host_of(address))), UNKNOWN_HOST)
    return named(body["issue"], "issue")


def named(issue: Any, where: str) -> tuple[str, str]:
    """(an issue's id, the host that knows it by this id); raises WrongShape, naming the fields under `where`."""
    item, host = _at(issue, "id"), host_of(_at(issue, "self"))
    known = _name(str(item)) if isinstance(item, str | int) and not isinstance(item, bool) else None
    faults = []
    if known is None:
        faults.append(Fault(f"{where}.id", *_ID, _came(item)))
    if host is None:
        faults.append(Fault(f"{where}.self", *_ADDRESS, _came(_at(issue, "self"))))
    if known is None or host is None:
        raise WrongShape(faults)
    return known, host


def _came(value: Any) -> Any:
    """Jira leaves out and sends null alike."""
    return ABSENT if value is None else value


def work_item_id(tenant: str, host: str, item: str) -> UUID:
    return entity_id(tenant, "work-item", f"{host}/{item}")


def host_of(address: Any) -> str | None:
    """Host and port of an address: two trackers on one machine are two."""
    if not isinstance(address, str):
        return None
    try:
        return _name(urlsplit(address).netloc.rpartition("@")[2].lower())
    except ValueError:
        return None  # not an address


def _assignee(person: Any) -> str | None:
    """Jira's own pseudonym of a person, else the name: cloud has accountId, server has key or name."""
    if not isinstance(person, dict):
        return None
    return next((found for name in ("accountId", "key", "name") if (found := _name(person.get(name)))), None)


def _changed(body: dict[str, Any]) -> tuple[str, ...]:
    items = _at(body, "changelog", "items")
    if not isinstance(items, list):
        return ()
    fields = (_name(item.get("field")) for item in items[:CHANGES_MAX] if isinstance(item, dict))
    return tuple(field for field in fields if field is not None)


def _instant(milliseconds: Any) -> datetime | None:
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return None
    try:
        at = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None  # a clock that no tracker has
    return at if at.year in YEARS else None


def _written(text: Any) -> datetime | None:
    """An instant as Jira writes it: 2019-02-15T19:01:52.971-0800."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None and at.year in YEARS else None
    except (ValueError, OverflowError):
        return None  # no instant that any tracker has


def _number(value: Any) -> int | None:
    """The number of a changelog entry, which Jira writes as a text."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= CHANGE_DIGITS_MAX else None


def _at(value: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _name(value: Any) -> str | None:
    return _text(value, NAME_CHARS_MAX)


def _text(value: Any, chars_max: int) -> str | None:
    """Text cut to its bound, without the character that no database holds; None when nothing is left."""
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "")[:chars_max] or None
