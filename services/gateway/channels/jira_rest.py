"""Jira's REST interface: what a page of a search's answer says of the issues in it, and of those that it lacks.

Read as leniently as the webhooks are, but for what decides which of two words is newer: an issue's `updated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from libs.service.cures import Cure
from libs.service.errors import ABSENT, Fault, WrongShape
from services.gateway.channels.jira import TRACKER, fields_of, named, work_item_id
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
_HOST = Cure("send the host whose issues were asked for by `asked`", "请填写 `asked` 中议题所在的主机")


class Asked(NamedTuple):
    """Where and when an answer was read. `ids`: issues of `host` that it must show, unless they are gone there."""

    origin: str
    seen_at: datetime
    host: str | None = None
    ids: Sequence[str] = ()


def read(answer: Mapping[str, Any], asked: Asked, tenant: str) -> list[ReconcileWorkItem]:
    """What the page says of each issue; raises WrongShape with all that is wrong with it."""
    faults = [Fault("body.host", *_HOST)] if asked.ids and asked.host is None else []
    issues = answer.get("issues", ABSENT)
    if not isinstance(issues, list) or len(issues) > ISSUES_MAX:
        found = f"{len(issues)} issues" if isinstance(issues, list) else issues
        raise WrongShape([*faults, Fault("body.answer.issues", *_ISSUES, found)])
    said: list[ReconcileWorkItem] = []
    for index, issue in enumerate(issues):
        try:
            said.append(_shown(issue, f"body.answer.issues.{index}", asked, tenant))
        except WrongShape as wrong:
            faults += wrong.faults
    if faults:
        raise WrongShape(faults)
    return [*said, *_lacking(said, asked, tenant)]


def _shown(issue: Any, where: str, asked: Asked, tenant: str) -> ReconcileWorkItem:
    item, host = named(issue, where)
    found = fields_of(issue)
    if found.updated_at is None:
        raise WrongShape([Fault(f"{where}.fields.updated", *_UPDATED)])
    return ReconcileWorkItem(
        work_item=work_item_id(tenant, host, item),
        tracker=TRACKER,
        host=host,
        item=item,
        origin=asked.origin,
        seen_at=asked.seen_at,
        **found._asdict(),
    )


def _lacking(said: Sequence[ReconcileWorkItem], asked: Asked, tenant: str) -> Iterator[ReconcileWorkItem]:
    shown = {each.item for each in said if each.host == asked.host}
    for item in dict.fromkeys(asked.ids):
        if asked.host is not None and item not in shown:
            yield ReconcileWorkItem(
                work_item=work_item_id(tenant, asked.host, item),
                tracker=TRACKER,
                host=asked.host,
                item=item,
                origin=asked.origin,
                seen_at=asked.seen_at,
                gone=True,
            )
