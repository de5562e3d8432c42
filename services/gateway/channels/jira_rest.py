"""Jira's REST interface: what a page of a search's answer says of the issues in it, and of those that it lacks.

Read as leniently as the webhooks are, but for what decides which of two words is newer: an issue's `updated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from libs.service.errors import Fault, WrongShape, shorten
from services.gateway.channels.jira import TRACKER, fields_of, named, work_item_id
from services.gateway.commands import ReconcileWorkItem

ISSUES_MAX = 100
ISSUES_CURE = f"send a page of at most {ISSUES_MAX} issues: ask Jira with maxResults={ISSUES_MAX}"
UPDATED_CURE = "names when the issue last changed: ask Jira with fields=summary,status,assignee,updated"


class Asked(NamedTuple):
    """Where and when an answer was read. `ids`: issues of `host` that it must show, unless they are gone there."""

    origin: str
    seen_at: datetime
    host: str | None = None
    ids: Sequence[str] = ()


def read(answer: Mapping[str, Any], asked: Asked, tenant: str) -> list[ReconcileWorkItem]:
    """What the page says of each issue; raises WrongShape with all that is wrong with it."""
    issues = answer.get("issues")
    if not isinstance(issues, list) or len(issues) > ISSUES_MAX:
        found = f"{len(issues)} issues" if isinstance(issues, list) else shorten(issues)
        raise WrongShape([Fault("body.answer.issues", found, ISSUES_CURE)])
    if asked.ids and asked.host is None:
        raise WrongShape([Fault("body.host", "", "names the host whose issues were asked for by `asked`")])
    said: list[ReconcileWorkItem] = []
    faults: list[Fault] = []
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
        raise WrongShape([Fault(f"{where}.fields.updated", "", UPDATED_CURE)])
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
