"""55 webhook bodies that Jira sent, cloud and server, byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from demo.sources.cloudevent import DATA

FOLDER = DATA / "jira"


class Body(NamedTuple):
    """One delivery: the file's name stands in for the identifier that Jira sends in a header."""

    name: str
    raw: bytes


def bodies(folder: Path = FOLDER) -> list[Body]:
    """In the order of their own timestamps; some share one, so the name decides among these."""
    found = [Body(path.stem, path.read_bytes()) for path in folder.glob("webhook-*.json")]
    return sorted(found, key=lambda body: (json.loads(body.raw)["timestamp"], body.name))


class Verdicts(NamedTuple):
    """What posting every body twice must give: each taken once, and the issues named by host and id."""

    accepted: int
    duplicate: int
    work_items: int


def issues(folder: Path = FOLDER) -> set[tuple[str, str]]:
    """The issues that the bodies name, by host and id."""
    named = [json.loads(body.raw).get("issue") for body in bodies(folder)]
    return {(urlsplit(issue["self"]).netloc, str(issue["id"])) for issue in named if issue}


def verdicts(folder: Path = FOLDER) -> Verdicts:
    found = len(bodies(folder))
    return Verdicts(accepted=found, duplicate=found, work_items=len(issues(folder)))


def signature(raw: bytes, secret: str) -> str:
    """The X-Hub-Signature header that a Jira with this secret would send."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
