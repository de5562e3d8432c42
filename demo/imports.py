"""The shipped real input, sent through the gateway's doors, and our verdicts beside the source's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from demo.sources import boston, jira, northwind
from demo.sources.cloudevent import CloudEvent
from infra.local.doors import Doors
from infra.local.errors import PlatformError
from infra.local.progress import Progress
from infra.local.rest import wait_rest

BATCH_EVENTS = 100
OPERATOR = "ops-1"
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Our figures beside the source's, by name. `known`: how much of what it sends an earlier import had brought."""

    source: str
    ours: dict[str, int]
    theirs: dict[str, int]
    known: int

    @property
    def equal(self) -> bool:
        return self.ours == self.theirs


def send_events(doors: Doors, source: str, events: Sequence[CloudEvent], advance: Advance) -> dict[str, int]:
    """Post CloudEvents in batches, in order; how many were accepted and how many were duplicates."""
    visitor = doors.as_("integration", source)
    counts = {"accepted": 0, "duplicate": 0}
    for start in range(0, len(events), BATCH_EVENTS):
        batch = list(events[start : start + BATCH_EVENTS])
        headers = {"content-type": "application/cloudevents-batch+json"}
        answer = visitor.send("POST", "gateway", "/events", headers=headers, json=batch)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise PlatformError(f"gateway answered {answer.status_code} to a batch of {source}: {answer.text[:500]}")
        for result in answer.json()["results"]:
            counts[result["result"]] += 1
        advance(min(start + BATCH_EVENTS, len(events)), len(events))
    return counts


def send_jira(doors: Doors, secret: str, advance: Advance) -> dict[str, int]:
    """Post Jira's bodies once, signed as Jira would; how many were accepted and how many were duplicates."""
    counts = {"accepted": 0, "duplicate": 0}
    bodies = jira.bodies()
    for done, body in enumerate(bodies, start=1):
        headers = {
            "content-type": "application/json",
            "X-Hub-Signature": jira.signature(body.raw, secret),
            "X-Atlassian-Webhook-Identifier": body.name,
        }
        answer = doors.without_token("POST", "gateway", "/webhooks/jira", headers=headers, content=body.raw)
        if not answer.is_success:
            raise PlatformError(f"gateway answered {answer.status_code} to {body.name}: {answer.text[:500]}")
        counts[answer.json()["result"]] += 1
        advance(done, len(bodies))
    return counts


def import_boston(doors: Doors, progress: Progress) -> Verdict:
    """Boston's requests as cases, and how many were solved by the target that the city had set."""
    known = _send_and_rest(doors, boston.SOURCE, boston.events(), progress)
    cases, clocks = _cases(doors, boston.TEMPLATE, boston.SOURCE), _clocks(doors, boston.SOURCE)
    closed = [case for case in cases if case["state"] == "closed"]
    judged = [clocks[case["case_id"]] for case in closed if case["case_id"] in clocks]
    ours = {
        "requests": len(cases),
        "closed": len(closed),
        "judged": len(judged),
        "on_time": judged.count("met"),
        "late": judged.count("late"),
        "without_target": len(closed) - len(judged),
    }
    return Verdict(boston.SOURCE, ours, boston.verdicts()._asdict(), known)


def import_northwind(doors: Doors, progress: Progress) -> Verdict:
    """Northwind's orders as cases, and how many were delivered after the day on which they were required."""
    known = _send_and_rest(doors, northwind.SOURCE, northwind.events(), progress)
    cases, clocks = _cases(doors, northwind.TEMPLATE, northwind.SOURCE), _clocks(doors, northwind.SOURCE)
    shipped = [case for case in cases if case["state"] == "closed"]
    ours = {
        "orders": len(cases),
        "shipped": len(shipped),
        "late": sum(clocks.get(case["case_id"]) == "late" for case in shipped),
        "open": len(cases) - len(shipped),
    }
    return Verdict(northwind.SOURCE, ours, northwind.verdicts()._asdict(), known)


def import_jira(doors: Doors, secret: str, progress: Progress) -> Verdict:
    """Jira's bodies, posted twice: each is accepted once, and the issues that they name are the work items.

    Where work items of these hosts are there already, what is a duplicate at first was accepted by an earlier import.
    """
    before = _work_items(doors)
    with progress.step("jira: sending its webhooks") as advance:
        first = send_jira(doors, secret, advance)
    with progress.step("jira: sending them once more, as it does when it is not sure") as advance:
        again = send_jira(doors, secret, advance)
    with progress.step("jira: waiting until every service has taken them in") as advance:
        wait_rest(doors, advance=advance)
    known = first["duplicate"] if before else 0
    ours = {
        "accepted": known + first["accepted"] + again["accepted"],
        "duplicate": first["duplicate"] - known + again["duplicate"],
        "work_items": len(_work_items(doors)),
    }
    return Verdict("jira", ours, jira.verdicts()._asdict(), known)


def _send_and_rest(doors: Doors, source: str, events: Sequence[CloudEvent], progress: Progress) -> int:
    """How many of the events were known before."""
    with progress.step(f"{source}: sending its events") as advance:
        counts = send_events(doors, source, events, advance)
    with progress.step(
        f"{source}: waiting until every service has heard, judged and folded them, in entries"
    ) as advance:
        wait_rest(doors, advance=advance)
    return counts["duplicate"]


def _cases(doors: Doors, template: str, source: str) -> list[Any]:
    """Others may have brought cases of the same template."""
    rows = doors.as_("ops", OPERATOR).rows("tasks", "/v1/cases", template=template, limit=200)
    return [row for row in rows if row["source"] == source]


def _work_items(doors: Doors) -> list[Any]:
    """Those of the hosts that sent the shipped bodies; another Jira may send to this platform, too."""
    hosts = {host for host, _ in jira.issues()}
    rows = doors.as_("ops", OPERATOR).rows("gateway", "/v1/work-items")
    return [row for row in rows if row["host"] in hosts]


def _clocks(doors: Doors, timeline: str) -> dict[str, str]:
    """State of the clock of each case on this timeline."""
    rows = doors.as_("ops", OPERATOR).rows("sla", "/v1/clocks", timeline=timeline, limit=200)
    return {row["case_id"]: row["state"] for row in rows}
