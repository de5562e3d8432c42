"""Bad input at every door of every service, as /openapi.json lists them: a clear problem, and the process lives on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from demo.sources import jira
from demo.stage import Stage
from infra.local import Platform
from libs.service import issuer
from libs.service.auth import HOME_TENANT, ROLES
from libs.service.issuer import token
from tests.integration.whole.addresses import Operation, example, operations

pytestmark = pytest.mark.platform
TEN_MEGABYTES = 10 * 1024 * 1024
JSON = {"content-type": "application/json"}
CURES = ("field", "cure", "cure_zh")
ODD: tuple[Any, ...] = (None, -1, 10**30, "", "x" * 100_000, "a\x00b", "\ud800", [], {}, [[]])


@dataclass
class Careless:
    """Knocks at every door with every role, and checks that each refusal is told as promised."""

    platform: Platform
    client: httpx.Client
    roles: frozenset[str] = ROLES
    tenant: str = field(default_factory=lambda: f"careless-{uuid4().hex[:12]}")
    """Of this one's own: what does get in harms nobody."""
    _bearers: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict)

    def send(self, at: Operation, path: str | None = None, *, bearer: str | None = None, **more: Any) -> httpx.Response:
        tenant = HOME_TENANT if at.of_the_platform else self.tenant
        sent = self._bearer(tenant, self.roles) if bearer is None else bearer
        headers = ({"authorization": f"Bearer {sent}"} if sent else {}) | dict(more.pop("headers", {}))
        url = self.platform.services[at.service].url + (at.filled() if path is None else path)
        answer = self.client.request(at.method, url, headers=headers, **more)
        assert answer.status_code < 500 or answer.status_code == 503, f"{at.name}: {answer.text}"
        if answer.status_code >= 400:
            _promised(at, answer)
        return answer

    def _bearer(self, tenant: str, roles: frozenset[str]) -> str:
        known = self._bearers.get((tenant, roles))
        if known is None:
            known = token(self.platform.secrets.keys, person="prod-1", roles=roles, tenant=tenant)
            self._bearers[tenant, roles] = known
        return known


def _promised(at: Operation, answer: httpx.Response) -> None:
    """Every refusal is problem+json with a stable type, told in both languages, and described by the door."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", at.name
    assert problem["type"].startswith("urn:baton:problem:"), at.name
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["title_zh"]
    assert problem["detail"]
    described = at.described["responses"].get(str(answer.status_code))
    assert described, f"{at.name} does not say that it may answer {answer.status_code}"
    assert problem["type"] in described["description"], f"{at.name}: {problem['type']} is not described"


@pytest.fixture
def careless(platform_told: Platform, stage: Stage) -> Iterator[Careless]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield Careless(platform_told, client)


@pytest.fixture
def everywhere(platform_told: Platform, stage: Stage) -> list[Operation]:
    return operations(platform_told)


@pytest.fixture
def written_to(everywhere: list[Operation]) -> list[Operation]:
    """Where a JSON body is taken. (CloudEvents at /events: see test_gateway_doors.)"""
    return [each for each in everywhere if each.method == "POST" and each.body and each.path != "/events"]


@pytest.fixture(autouse=True)
def alive(platform_told: Platform, stage: Stage) -> Iterator[None]:
    """Whatever was sent, the processes are the same afterwards, and ready."""
    before = {name: service.pid for name, service in platform_told.services.items()}
    yield
    assert {name: service.pid for name, service in platform_told.services.items()} == before
    for service in platform_told.services.values():
        assert httpx.get(service.url + "/healthz", timeout=60).status_code == 200


def test_the_description_of_every_service_is_looked_at(everywhere: list[Operation], platform_told: Platform) -> None:
    assert {each.service for each in everywhere} == set(platform_told.services)
    assert len([each for each in everywhere if each.method == "POST"]) >= 40


def test_without_a_token_that_holds_every_door_is_closed(careless: Careless, everywhere: list[Operation]) -> None:
    for each in everywhere:
        for bearer in ("", "x.y.z", "a" * 9_000):
            answer = careless.send(each, bearer=bearer)
            assert answer.status_code == 401, each.name
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_nobody_without_a_role_changes_anything_and_the_role_that_is_named_opens(
    careless: Careless, everywhere: list[Operation]
) -> None:
    for each in everywhere:
        careless.roles = frozenset()
        content = json.dumps({}).encode() if each.method == "POST" else None
        answer = careless.send(each, headers=JSON, content=content)
        if each.method == "GET" and answer.status_code != 403:
            continue
        problem = answer.json()
        assert (answer.status_code, problem["type"], problem["rule"]) == (403, "urn:baton:problem:role-needed", "role")
        named = [role for role in ROLES if role in problem["detail"].rpartition("role ")[2]]
        assert named, problem["detail"]
        for role in named:
            careless.roles = frozenset({role})
            opened = careless.send(each, headers=JSON, content=content)
            assert opened.status_code != 403 or opened.json()["rule"] != "role", each.name


def test_what_is_not_json_is_400(careless: Careless, written_to: list[Operation]) -> None:
    for each in written_to:
        for content in (b"{", b"{'a': 1}", b"\xff\xfe", b'{"a": "\xc3\x28"}', b"[" * 100_000):
            answer = careless.send(each, content=content, headers=JSON)
            assert answer.status_code == 400, f"{each.name} {content[:20]!r}: {answer.text}"


def test_json_of_the_wrong_shape_is_422_and_names_field_value_and_cure(
    careless: Careless, written_to: list[Operation]
) -> None:
    bodies: tuple[Any, ...] = (7, "text", [], {"nonsense": 1})
    for each in written_to:
        for body in bodies:
            answer = careless.send(each, json=body)
            assert (answer.status_code, answer.json()["type"]) == (422, "urn:baton:problem:wrong-shape"), each.name
            for fault in answer.json()["faults"]:
                assert all(fault[name] for name in CURES), fault
                assert ("value" in fault) is not fault["cure"].startswith("is missing"), fault
        assert "body.nonsense" in {fault["field"] for fault in answer.json()["faults"]}, each.name


def test_no_odd_value_in_any_field_breaks_a_service(careless: Careless, written_to: list[Operation]) -> None:
    for each in written_to:
        body = each.body or {}
        plain = example(each, body)
        for name in body.get("properties", ()):
            for odd in ODD:
                answer = careless.send(each, content=json.dumps({**plain, name: odd}).encode(), headers=JSON)
                assert answer.status_code in (200, 400, 403, 404, 409, 413, 422), f"{each.name} {name}={odd!r:.40}"


def test_other_content_types_are_415(careless: Careless, everywhere: list[Operation]) -> None:
    for each in everywhere:
        if each.method == "POST":
            for found in ("text/plain", "application/xml", "application/json; charset=utf-16", "nonsense"):
                answer = careless.send(each, content=b"{}", headers={"content-type": found})
                assert answer.status_code == 415, each.name
                assert "application/" in answer.json()["detail"]


def test_ten_megabytes_are_413_announced_or_not(careless: Careless, everywhere: list[Operation]) -> None:
    block = b'"' + b"a" * 65_535

    def unannounced() -> Iterator[bytes]:
        for _ in range(TEN_MEGABYTES // len(block)):
            yield block

    for each in everywhere:
        if each.method == "POST":
            headers = {"content-type": "application/cloudevents+json"} if each.path == "/events" else JSON
            answer = careless.send(each, content=b"a" * TEN_MEGABYTES, headers=headers)
            assert answer.status_code == 413, each.name
            if each.body:
                assert careless.send(each, content=unannounced(), headers=headers).status_code == 413, each.name


def test_addresses_that_name_nothing_are_404_or_422(careless: Careless, everywhere: list[Operation]) -> None:
    for each in everywhere:
        kinds = {p["name"]: p["schema"] for p in each.parameters if p["in"] == "path"}
        for name, kind in kinds.items():
            odd = careless.send(each, each.filled(**{name: "no%20such"}), json={} if each.method == "POST" else None)
            bound = kind.get("format") == "uuid" or kind["type"] == "integer" or name not in each.things
            assert odd.status_code in ((422,) if bound else (200, 403, 404, 409, 422)), each.name
            zero = careless.send(each, each.filled(**{name: "%00"}), json={} if each.method == "POST" else None)
            assert zero.status_code == 400, each.name
        if each.method == "GET" and each.things:
            unknown = careless.send(each, each.filled(**{name: str(uuid4()) for name in each.things}))
            assert unknown.status_code == 404 or unknown.json()["rows"] == [], each.name


def test_acts_on_what_does_not_exist_are_404(careless: Careless, everywhere: list[Operation]) -> None:
    for each in everywhere:
        if each.method == "POST" and each.things:
            answer = careless.send(each, json=example(each, each.body) if each.body else None)
            assert answer.status_code == 404, f"{each.name}: {answer.text}"


def test_a_stale_version_is_409(careless: Careless, everywhere: list[Operation]) -> None:
    for each in everywhere:
        if "If-Match" not in {parameter["name"] for parameter in each.parameters}:
            continue
        body = example(each, each.body) if each.body else None
        answer = careless.send(each, json=body, headers={"If-Match": '"999"'})
        if answer.status_code != 404:
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:baton:problem:version-conflict"), (
                f"{each.name}: {answer.text}"
            )
        answer = careless.send(each, json=body, headers={"If-Match": "yesterday"})
        assert (answer.status_code, answer.json()["faults"][0]["field"]) == (422, "header.If-Match")


def test_questions_of_the_wrong_kind_are_422(careless: Careless, everywhere: list[Operation]) -> None:
    wrong = {
        "limit": ("0", "many", "100000"),
        "as_of": ("yesterday", "2026-11-02T09:00", "0000-01-01T00:00:00Z"),
        "occurred_until": ("noon",),
        "after": ("-1", "9" * 30),
        "cursor": ("nonsense",),
    }
    for each in everywhere:
        names = {parameter["name"] for parameter in each.parameters if parameter["in"] == "query"}
        for name in names & wrong.keys():
            for value in wrong[name]:
                answer = careless.send(each, params=each.question() | {name: value})
                if name == "cursor" and answer.status_code == 200:
                    assert "row" in answer.json(), f"{each.name}: only what shows one row has no pages"
                    continue
                assert answer.status_code in (404, 422), f"{each.name} {name}={value}: {answer.text}"
                if answer.status_code == 422:
                    fields = {fault["field"] for fault in answer.json()["faults"]}
                    assert any(name in field for field in fields), f"{each.name} {name}={value}: {fields}"


def test_a_question_about_what_is_not_there_yet_is_503_with_an_instant_to_come_back(
    careless: Careless, everywhere: list[Operation]
) -> None:
    for each in (
        next(e for e in everywhere if e.service == name and "after" in str(e.parameters)) for name in ("tasks", "sla")
    ):
        answer = careless.send(each, params={"after": 10**9})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:baton:problem:not-yet"), each.name
        assert int(answer.headers["retry-after"]) >= 1


def test_unknown_addresses_and_methods_are_problems_too(careless: Careless, everywhere: list[Operation]) -> None:
    for name in careless.platform.services:
        at = next(each for each in everywhere if each.service == name)
        bearer = token(careless.platform.secrets.keys, person="prod-1", roles=ROLES)
        for method, path, status in (("GET", "/v1/nothing", 404), ("DELETE", "/v1/positions", 405)):
            answer = careless.client.request(
                method, careless.platform.services[at.service].url + path, headers={"authorization": f"Bearer {bearer}"}
            )
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
            assert answer.json()["type"].startswith("urn:baton:problem:")


def test_what_jira_never_sent_is_refused_at_its_door(platform_told: Platform, stage: Stage) -> None:
    """The one door that a signature opens, at the running gateway."""
    secret = issuer.secret(platform_told.secrets.keys, "jira")

    def sent(body: bytes, **changed: str) -> int:
        headers = JSON | {"X-Hub-Signature": jira.signature(body, secret)} | changed
        return stage.doors.without_token("POST", "gateway", "/webhooks/jira", headers=headers, content=body).status_code

    assert sent(b"{}", **{"X-Hub-Signature": "sha256=00"}) == 401
    assert sent(b"{") == 400
    assert sent(b'{"webhookEvent": "\xff"}') == 400
    assert sent(b"[]") == 422
    assert sent(b"{}", **{"content-type": "text/plain"}) == 415
    assert sent(b" " * TEN_MEGABYTES) == 413
