"""A tracker to be lossy with: it changes its issues, sends a body of each change as Jira does, and answers a search."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

HOST = "jira.example"
DROPPED, DOUBLED = 0.05, 0.10
BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
STATES = ("To Do", "Doing", "Done")
PEOPLE = ("ann", "bo", None)
Shown = dict[tuple[str, str], tuple[str | None, ...]]


def lossy(sent: Sequence[bytes], chance: random.Random, *, dropped: float, doubled: float) -> list[bytes]:
    """What arrives of what was sent, and in which order."""
    kept = [raw for raw in sent if chance.random() >= dropped]
    kept += [raw for raw in kept if chance.random() < doubled]
    chance.shuffle(kept)
    return kept


class Tracker:
    """`whole_seconds`: a server that writes `updated` without fractions, so that several changes share it."""

    def __init__(self, chance: random.Random, *, whole_seconds: bool = False) -> None:
        self._chance, self._whole_seconds = chance, whole_seconds
        self._now, self._changes = BEGAN, 0
        self.issues: dict[str, dict[str, Any]] = {}
        self.ids: list[str] = []
        self.sent: list[bytes] = []

    @property
    def shown(self) -> Shown:
        return shown(self.answer())

    def answer(self) -> dict[str, Any]:
        """A search's answer, one page of it."""
        found = deepcopy(list(self.issues.values()))
        return {"startAt": 0, "maxResults": 100, "total": len(found), "issues": found}

    def change(self) -> None:
        """One change, by chance."""
        acts = ["create"] if not self.issues else ["create", "move", "move", "assign", "rename", "comment", "delete"]
        act, item = self._chance.choice(acts), self._chance.choice([*self.issues, ""])
        if act == "create" or not item:
            self.create()
        elif act == "move":
            self.move(item, self._chance.choice(STATES))
        elif act == "assign":
            self.assign(item, self._chance.choice(PEOPLE))
        elif act == "rename":
            self._update(item, "summary", f"summary {self._changes}")
        elif act == "comment":
            self._comment(item)
        elif len(self.ids) > 2:
            self.delete(item)

    def create(self) -> None:
        item = str(len(self.ids) + 1)
        self.ids.append(item)
        self.issues[item] = {
            "id": item,
            "key": f"T-{item}",
            "self": f"https://{HOST}/rest/api/2/issue/{item}",
            "fields": {"summary": f"issue {item}", "status": {"name": STATES[0]}, "assignee": None},
        }
        self._touch(item, "jira:issue_created")

    def move(self, item: str, state: str) -> None:
        self._update(item, "status", {"name": state})

    def assign(self, item: str, person: str | None) -> None:
        self._update(item, "assignee", person and {"name": person})

    def delete(self, item: str) -> None:
        self._pass()
        self._send(item, {"webhookEvent": "jira:issue_deleted"})
        del self.issues[item]

    def _comment(self, item: str) -> None:
        """As the cloud does: the body has no `updated`, though the issue has a new one. Servers send an update."""
        self._touch(item)
        if self._whole_seconds:
            self._send(item, {"webhookEvent": "jira:issue_updated", "issue_event_type_name": "issue_commented"})
            return
        body = deepcopy(self.issues[item])
        del body["fields"]["updated"]
        self._send(item, {"webhookEvent": "comment_created", "issue": body})

    def _update(self, item: str, field: str, value: Any) -> None:
        self.issues[item]["fields"][field] = value
        self._touch(item, "jira:issue_updated")

    def _touch(self, item: str, event: str = "") -> None:
        self._pass()
        precision = "seconds" if self._whole_seconds else "milliseconds"
        self.issues[item]["fields"]["updated"] = self._now.isoformat(timespec=precision)
        if event:
            self._changes += 1
            self._send(item, {"webhookEvent": event, "changelog": {"id": str(self._changes), "items": []}})

    def _pass(self) -> None:
        self._now += timedelta(milliseconds=self._chance.choice([1, 20, 400, 5_000]))

    def _send(self, item: str, body: dict[str, Any]) -> None:
        sent_at = self._now + timedelta(milliseconds=self._chance.choice([0, 1, 9]))
        timestamp = round(sent_at.timestamp() * 1000)
        self.sent.append(json.dumps({"timestamp": timestamp, "issue": self.issues[item], **body}).encode())


def answer_of(raws: Sequence[bytes]) -> dict[str, Any]:
    """What a search would have answered after these bodies: of each issue the newest one, and those deleted not."""
    newest: dict[tuple[str, str], tuple[datetime, int, dict[str, Any]]] = {}
    gone: set[tuple[str, str]] = set()
    for raw in raws:
        body = json.loads(raw)
        issue = body.get("issue")
        if issue is None:
            continue
        name = urlsplit(issue["self"]).netloc, issue["id"]
        sent_at = datetime.fromtimestamp(body["timestamp"] / 1000, UTC)
        text = issue["fields"].get("updated")
        updated = datetime.fromisoformat(text) if text else sent_at
        issue["fields"]["updated"] = updated.isoformat()
        if body["webhookEvent"] == "jira:issue_deleted":
            gone.add(name)
        if name not in newest or newest[name][:2] < (updated, body["timestamp"]):
            newest[name] = (updated, body["timestamp"], issue)
    return {"issues": [issue for name, (_, _, issue) in newest.items() if name not in gone]}


def shown(answer: dict[str, Any]) -> Shown:
    found: Shown = {}
    for issue in answer["issues"]:
        fields = issue["fields"]
        person = fields["assignee"] or {}
        assignee = person.get("accountId") or person.get("key") or person.get("name")
        summary, status = fields["summary"] or None, fields["status"]["name"]
        found[urlsplit(issue["self"]).netloc, issue["id"]] = (issue["key"], summary, status, assignee)
    return found


def shown_by_bodies(raws: Sequence[bytes]) -> Shown:
    return shown(answer_of(raws))
