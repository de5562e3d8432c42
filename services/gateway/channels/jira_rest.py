"""Jira's REST interface: what a page of a search's answer says of the issues in it, and of those that it lacks.

Read as leniently as the webhooks are, but for two things: what decides which of two words is newer, an issue's
`updated`; and what makes an issue gone, which only the whole answer of the host that was asked about can say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from libs.service.cures import Cure
from libs.service.errors import ABSENT, Fault, WrongShape
from services.gateway.channels.jira import TRACKER, fields_of, host_of, named, work_item_id
from services.gateway.commands import ReconcileWorkItem

ISSUES_MAX = 100
_ISSUES = Cure(
    f"send a page of at most {ISSUES_MAX} issues: ask Jira with maxResults={ISSUES_MAX}",
    f"每页最多 {ISSUES_MAX} 个议题：请以 maxResults={ISSUES_MAX} 查询 Jira",
)
_UPDATED = Cure(
    "send when the issue last changed: ask Jira with fields=summary,status,assignee,updated",
    "请发送议题的最后更改时间：以 fields=summary,status,assignee,updated 查询 Jira",
)
_HOST = Cure(
    "send the host whose issues were asked for by `asked`, such as jira.example.com",
    "请填写 `asked` 中议题所在的主机，例如 jira.example.com",
)
_IN_PART = Cure(
    "says that the answer has more than this page, so what the page lacks of `asked` may well be there; ask Jira for "
    "these ids alone, in one page",
    "表明结果不止这一页，`asked` 中未出现的议题可能仍然存在；请只按这些 id 查询 Jira，并放在同一页",
)


class Asked(NamedTuple):
    """Where and when an answer was read. `ids`: issues of `host` that it must show, unless they are gone there."""

    origin: str
    seen_at: datetime
    host: str = ""
    ids: Sequence[str] = ()


def read(answer: Mapping[str, Any], asked: Asked, tenant: str) -> list[ReconcileWorkItem]:
    """What the page says of each issue; raises WrongShape with all that is wrong with it."""
    host = _as_webhooks_name_it(asked.host)
    faults = [Fault("body.host", *_HOST, asked.host or ABSENT)] if asked.ids and not host else []
    issues = answer.get("issues", ABSENT)
    if not isinstance(issues, list) or len(issues) > ISSUES_MAX:
        found = f"{len(issues)} issues" if isinstance(issues, list) else issues
        raise WrongShape([*faults, Fault("body.answer.issues", *_ISSUES, found)])
    asked = asked._replace(host=host)
    said: list[ReconcileWorkItem] = []
    for index, issue in enumerate(issues):
        try:
            said.append(_shown(issue, f"body.answer.issues.{index}", asked, tenant))
        except WrongShape as wrong:
            faults += wrong.faults
    if faults:
        raise WrongShape(faults)
    return [*said, *_lacking(answer, {each.item for each in said}, asked, tenant)]


def _shown(issue: Any, where: str, asked: Asked, tenant: str) -> ReconcileWorkItem:
    found = fields_of(issue)
    faults = [Fault(f"{where}.fields.updated", *_UPDATED)] if found.updated_at is None else []
    try:
        item, host = named(issue, where)
    except WrongShape as wrong:
        raise WrongShape([*wrong.faults, *faults]) from wrong
    if asked.ids and asked.host and host != asked.host:
        faults.append(Fault(f"{where}.self", *_elsewhere(asked.host), issue["self"]))
    if faults:
        raise WrongShape(faults)
    return ReconcileWorkItem(
        work_item=work_item_id(tenant, host, item),
        tracker=TRACKER,
        host=host,
        item=item,
        origin=asked.origin,
        seen_at=asked.seen_at,
        **found._asdict(),
    )


def _lacking(
    answer: Mapping[str, Any], shown: Collection[str], asked: Asked, tenant: str
) -> Iterator[ReconcileWorkItem]:
    """The issues that are gone, which only an answer that stands on this page as a whole can say."""
    for item in dict.fromkeys(asked.ids):
        if item in shown:
            continue
        if faults := _in_part(answer):
            raise WrongShape(faults)
        yield ReconcileWorkItem(
            work_item=work_item_id(tenant, asked.host, item),
            tracker=TRACKER,
            host=asked.host,
            item=item,
            origin=asked.origin,
            seen_at=asked.seen_at,
            gone=True,
        )


def _in_part(answer: Mapping[str, Any]) -> list[Fault]:
    """What in the answer says that there is more of it: a server counts, the cloud gives a token for the next page."""
    whole = {"startAt": 0, "total": len(answer["issues"]), "isLast": True, "nextPageToken": ""}
    return [
        Fault(f"body.answer.{name}", *_IN_PART, answer[name])
        for name, value in whole.items()
        if answer.get(name) not in (None, value)
    ]


def _elsewhere(host: str) -> Cure:
    return Cure(
        f"names another host than {host}, whose issues `asked` is about; read the answer at the address that the "
        "webhooks name, or correct `host`",
        f"不在 `asked` 所指的主机 {host} 上；请用 webhook 中的地址查询 Jira，或更正 `host`",
    )


def _as_webhooks_name_it(host: str) -> str:
    """The host of an address, or one that came alone; empty for what is neither."""
    return host_of(host if "//" in host else f"//{host}") or ""
