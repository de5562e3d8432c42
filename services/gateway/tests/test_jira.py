"""Jira's bodies: signed, read leniently where Jira is lenient, refused where a work item would be mistaken."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from libs.events.testing import MemoryService, instant
from libs.service.errors import NotJson, Unsigned, WrongShape
from services.gateway.channels import jira
from services.gateway.main import SERVICE
from services.gateway.views.work_items import WORK_ITEMS

NOW = instant("2026-03-02T09:00+08:00")
ISSUE = {"id": "10040", "self": "https://one.example/rest/api/2/issue/10040", "key": "TES-41"}


def _raw(**body: Any) -> bytes:
    return json.dumps({"webhookEvent": "jira:issue_updated", **body}).encode()


def _signature(raw: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def test_a_body_signed_with_the_secret_is_let_in() -> None:
    raw = _raw()
    jira.require_signature(raw, _signature(raw, "s3cret"), "s3cret")
    upper = _signature(raw, "s3cret").upper().replace("SHA256", "sha256")
    jira.require_signature(raw, upper, "s3cret")


@pytest.mark.parametrize("header", [None, "", "sha256=", "sha256=00", "sha1=abc", "sha256=ключ", "nonsense"])
def test_a_missing_or_wrong_signature_is_refused(header: str | None) -> None:
    with pytest.raises(Unsigned):
        jira.require_signature(_raw(), header, "s3cret")


def test_a_signature_of_another_body_or_secret_is_refused() -> None:
    with pytest.raises(Unsigned):
        jira.require_signature(_raw(), _signature(_raw(a=1), "s3cret"), "s3cret")
    with pytest.raises(Unsigned):
        jira.require_signature(_raw(), _signature(_raw(), "other"), "s3cret")


def test_the_newest_report_by_the_trackers_clock_stands_whatever_came_last() -> None:
    gateway = MemoryService(SERVICE)
    fields = [{"status": {"name": name}, "summary": name} for name in ("To Do", "Done", "Doing")]
    for timestamp, field in zip((1_000, 3_000, 2_000), fields, strict=True):
        raw = _raw(issue={**ISSUE, "fields": field}, timestamp=timestamp)
        gateway.ask(jira.read(raw, "main"), by="gateway/jira", at=NOW)
    row = gateway.row(WORK_ITEMS, ("one.example", "10040"))
    assert (row.status, row.deliveries) == ("Done", 3)


def test_the_same_id_at_two_hosts_is_two_work_items() -> None:
    there = {**ISSUE, "self": "https://two.example:8080/rest/api/2/issue/10040"}
    here, other = jira.read(_raw(issue=ISSUE), "main"), jira.read(_raw(issue=there), "main")
    assert (here.host, other.host) == ("one.example", "two.example:8080")
    assert here.work_item != other.work_item


def test_an_event_about_a_comment_is_taken_without_an_issue() -> None:
    comment = {"self": "https://one.example/rest/api/2/issue/1/comment/2"}
    command = jira.read(_raw(webhookEvent="comment_created", comment=comment), "main")
    assert (command.item, command.host) == (None, "one.example")


@pytest.mark.parametrize("body", [{}, {"issue": None}, {"webhookEvent": "jira:issue_deleted"}])
def test_an_event_of_an_issue_that_names_none_is_refused_with_the_cure(body: dict[str, Any]) -> None:
    with pytest.raises(WrongShape, match="send the issue") as caught:
        jira.read(_raw(**body), "main")
    (fault,) = caught.value.faults
    assert fault.field == "issue"
    assert "请发送该议题" in fault.cure_zh


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"a": "\xc3\x28"}', b"[" * 100_000])
def test_what_is_not_json_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(NotJson):
        jira.read(raw, "main")


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"[]", "body"),
        (b"7", "body"),
        (b"{}", "webhookEvent"),
        (b'{"webhookEvent": 7}', "webhookEvent"),
        (_raw(issue=7), "issue.id"),
        (_raw(issue={"self": ISSUE["self"]}), "issue.id"),
        (_raw(issue={"id": True, "self": ISSUE["self"]}), "issue.id"),
        (_raw(issue={"id": "1"}), "issue.self"),
        (_raw(issue={"id": "1", "self": "http://[bad"}), "issue.self"),
    ],
)
def test_what_is_no_webhook_is_named(raw: bytes, field: str) -> None:
    with pytest.raises(WrongShape) as caught:
        jira.read(raw, "main")
    assert caught.value.faults[0].field == field


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp": "now"},
        {"timestamp": 10**30},
        {"timestamp": True},
        {"changelog": 7},
        {"changelog": {"items": [7, {"field": None}, {"field": "x" * 1_000}]}},
        {"issue": {**ISSUE, "fields": {"summary": "a\x00" * 5_000, "status": None, "assignee": 7}}},
        {"issue": {**ISSUE, "id": 10040}},
        {"user": None},
    ],
)
def test_odd_details_are_left_out_or_cut_and_never_refused(odd: dict[str, Any]) -> None:
    jira.read(_raw(**{"issue": ISSUE, **odd}), "main")
