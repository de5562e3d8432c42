"""Every service answers as its /openapi.json says, whoever asks and whatever is sent."""

from __future__ import annotations

import hmac
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis import Case, CheckContext, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup, ServerError
from schemathesis.core.result import Err
from schemathesis.core.transport import Response as Answer
from schemathesis.openapi.checks import JsonSchemaError, UndefinedContentType, UndefinedStatusCode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from demo import rulebook
from demo.stage import Stage
from demo.stories.complaint import REFERENCE
from infra.local import Platform
from libs.service.auth import ROLES
from libs.service.issuer import secret, token
from tests.faults.standing import new_seed
from tests.integration.whole.addresses import operations

pytestmark = pytest.mark.long
EXAMPLES_PER_OPERATION = 20
ANSWER_SECONDS_MAX = 30
OF_EVERY_ANSWER = {"allow", "content-length", "content-type", "date", "server"}
"""Headers that the protocol gives an answer; no description names them."""
SERVICES = ("directory", "goals", "tasks", "sla", "notify", "audit", "gateway")
Json = dict[str, Any]
ACTS = (
    "form",
    "handoffs",
    "handoffs/{number}/acceptance",
    "handoffs/{number}/rejection",
    "rulings",
    "consultations/{department}/answer",
    "solution",
    "customer-told",
    "call-back",
)
PARKED = (("GET", ""), ("POST", "/retry"), ("POST", "/drop"))
LEFT_OUT = {"POST /v1/clock": "would move the platform's clock to wherever; see test_doors_bad_input"}
CLOSED = "the story's case is closed"
UNOPENED = {
    **{f"POST /v1/cases/{{case_id}}/{act}": CLOSED for act in ACTS},
    **{f"{method} /v1/parked/{{parked_id}}{act}": "nothing is parked" for method, act in PARKED},
    "POST /v1/deliveries/{channel}/{delivery}/repetition": "nothing is sent outside here",
    "POST /v1/channels/{channel}": "no address that is made up is one",
    "POST /v1/people/{person}/reporting-line": "whoever is made up is nobody",
    "GET /v1/common-superior": "whoever is made up is nobody",
    "POST /v1/reconciliations": "no answer of Jira is made up; see test_gateway_reconciling",
    "POST /v1/cases": "whoever is made up opens nothing; see test_tasks_doors",
    "POST /v1/inbox/{message}/acknowledgement": "it is somebody else's message",
    "GET /v1/channels/webhook/secret": "nobody has chosen a webhook here",
    "POST /v1/channels/{channel}/removal": "nobody has chosen a channel here",
    "POST /events": "no envelope is made up whole; see test_gateway_doors",
}
"""Where no success comes of what is made up, and why."""
WAITED_FOR = ("after", "baton-position")  # what is not there yet is 503 after a while: see test_doors_bad_input
EVERY_ROLE = ",".join(sorted(ROLES))
ASKING = (*sorted(ROLES), *[EVERY_ROLE] * 4)


class UndefinedHeader(Failure):
    """An answer says something in a header that its description does not name."""


def headers_conformance(ctx: CheckContext, response: Answer, case: Case[Any]) -> None:
    described = case.operation.responses.find_by_status_code(response.status_code)
    named = {name.lower() for name, _ in described.headers.items()} if described else set()
    unnamed = {name.lower() for name in response.headers} - OF_EVERY_ANSWER - named
    if unnamed:
        raise UndefinedHeader(operation=case.operation.label, message=f"{response.status_code}: {sorted(unnamed)}")


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    headers_conformance,
]


@dataclass
class Knocking:
    """One service's doors, asked at random. `known`: what the path of an operation may name so that it is there;
    `bodies`: what was taken at these doors before, by operation.
    """

    url: str
    bearers: dict[str, str]
    known: dict[str, str]
    session: requests.Session
    bodies: Mapping[str, list[Json]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    opened: set[str] = field(default_factory=set)

    def examples(self, operation: APIOperation[Any, Any, Any, Any]) -> st.SearchStrategy[Case[Any]]:
        known = self._known(operation)
        return st.one_of(
            operation.as_strategy(GenerationMode.POSITIVE, path_parameters=known or None),
            operation.as_strategy(GenerationMode.POSITIVE),
            operation.as_strategy(GenerationMode.NEGATIVE),
        )

    def plain(self, operation: APIOperation[Any, Any, Any, Any]) -> list[Case[Any]]:
        """What is asked first: about what is there, or what was taken before."""
        known, bodies = self._known(operation), self.bodies.get(operation.label, [])
        if len(known) < len(list(operation.path_parameters)):
            return []
        if operation.method.upper() == "GET":
            return [operation.Case(path_parameters=known)]
        return [operation.Case(path_parameters=known, body=body, media_type="application/json") for body in bodies]

    def _known(self, operation: APIOperation[Any, Any, Any, Any]) -> dict[str, Any]:
        return {p.name: self.known[p.name] for p in operation.path_parameters if p.name in self.known}

    def ask(self, case: Case[Any], asking: str) -> None:
        for place in (case.query, case.headers):
            for name in WAITED_FOR:
                if str(place.get(name)).isdecimal():
                    place[name] = "0"
        answer = case.call_and_validate(
            self.url,
            self.session,
            {"Authorization": f"Bearer {self.bearers[asking]}"},
            checks=CHECKS,
            timeout=ANSWER_SECONDS_MAX,
        )
        self.answers[answer.status_code] += 1
        if answer.status_code < 300:
            self.opened.add(case.operation.label)


def bodies_of(service: str) -> dict[str, list[Json]]:
    """What operations publish to this service, which the platform under test has taken."""
    bodies: dict[str, list[Json]] = {}
    for call in itertools.chain(*rulebook.everything()):
        if call.service == service:
            bodies.setdefault(f"POST {call.path}", []).append(dict(call.body))
    return bodies


class Signing(AuthBase):
    """Signs what goes to Jira's door for whoever has every role, as Jira does; the others knock there unsigned."""

    def __init__(self, secret: str, trusted: str) -> None:
        self._secret, self._trusted = secret.encode(), f"Bearer {trusted}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if request.path_url == "/webhooks/jira" and request.headers.get("Authorization") == self._trusted:
            body = request.body or b""
            assert isinstance(body, str | bytes)
            raw = body.encode() if isinstance(body, str) else body
            request.headers["X-Hub-Signature"] = f"sha256={hmac.new(self._secret, raw, sha256).hexdigest()}"
        return request


@pytest.fixture(scope="module")
def chosen() -> int:
    number = new_seed()
    print(f"\nBATON_SEED={number}")
    return number


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False  # no proxy stands before one's own machine
        yield opened


@pytest.fixture(scope="module")
def known(stage: Stage, case: str) -> dict[str, str]:
    """What the story has left, by the names that paths have for it."""
    (message, *_) = stage.ops().rows("notify", "/v1/messages")
    (kpi, *_) = stage.ops().rows("goals", "/v1/kpis")
    return {
        "case_id": case,
        "case": REFERENCE,
        "number": "1",
        "department": "production",
        "person": "prod-1",
        "message": str(message["message"]),
        "kpi": str(kpi["kpi"]),
    }


@pytest.mark.platform
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_answers_as_it_is_described_and_never_fails(
    service: str, platform_told: Platform, known: dict[str, str], session: requests.Session, chosen: int
) -> None:
    keys = platform_told.secrets.keys
    bearers = {asking: token(keys, person="prod-1", roles=asking.split(",")) for asking in ASKING}
    session.auth = Signing(secret(keys, "jira"), bearers[EVERY_ROLE])
    knocking = Knocking(platform_told.services[service].url, bearers, known, session, bodies_of(service))
    began_s = time.monotonic()
    asked, failures = _everywhere(knocking, chosen)
    took = f"{time.monotonic() - began_s:.1f} s"
    print(f"{service}: {len(asked)} operations, {took}, answers {dict(sorted(knocking.answers.items()))}")
    if failures:
        raise BaseExceptionGroup(f"{service} does not answer as it is described", list(failures.values()))
    described = {f"{each.method} {each.path}" for each in operations(platform_told) if each.service == service}
    assert described <= asked | LEFT_OUT.keys()
    shut = sorted(described - knocking.opened - LEFT_OUT.keys() - UNOPENED.keys())
    assert shut == [], "no answer was a success"


def test_a_door_that_answers_otherwise_than_it_is_described_is_found(session: requests.Session, chosen: int) -> None:
    with _served(_unsound()) as url:
        knocking = Knocking(url, dict.fromkeys(ASKING, "x"), {}, session)
        asked, failures = _everywhere(knocking, chosen)
    assert {label: _told(failures[label]) for label in failures} == {
        "GET /undescribed": {UndefinedStatusCode},
        "GET /misshapen": {JsonSchemaError},
        "GET /untyped": {UndefinedContentType},
        "GET /failing": {ServerError, UndefinedStatusCode},
        "GET /talkative": {UndefinedHeader},
    }
    assert asked - failures.keys() == {"GET /sound"}


def _everywhere(knocking: Knocking, chosen: int) -> tuple[set[str], dict[str, FailureGroup]]:
    """Knock at every door of a service. (what was knocked at, what failed where); no failure ends the round."""
    asked, failures = set[str](), dict[str, FailureGroup]()
    schema = schemathesis.openapi.from_url(f"{knocking.url}/openapi.json", config=SchemathesisConfig())
    for found in schema.get_all_operations():
        if isinstance(found, Err):
            raise found.err()
        operation = found.ok()
        if operation.label in LEFT_OUT:
            continue
        asked.add(operation.label)
        try:
            for case in knocking.plain(operation):
                knocking.ask(case, EVERY_ROLE)
            _at_random(knocking, operation, chosen)
        except FailureGroup as failure:
            failure.add_note(f"{operation.label}, BATON_SEED={chosen}")
            failures[operation.label] = failure
    return asked, failures


def _at_random(knocking: Knocking, operation: APIOperation[Any, Any, Any, Any], chosen: int) -> None:
    @seed(chosen)
    @settings(
        max_examples=EXAMPLES_PER_OPERATION,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=knocking.examples(operation), asking=st.sampled_from(ASKING))
    def ask(case: Case[Any], asking: str) -> None:
        knocking.ask(case, asking)

    ask()


def _told(failure: FailureGroup) -> set[type[Failure]]:
    return {type(each) for each in failure.exceptions}


def _unsound() -> FastAPI:
    """Five doors that answer otherwise than they are described, and one that does not."""
    app = FastAPI()

    etag = {"ETag": {"schema": {"type": "string"}}}

    @app.get("/sound", responses={200: {"headers": etag}})
    def sound(response: Response) -> list[int]:
        response.headers["ETag"] = '"1"'
        return [1]

    @app.get("/undescribed")
    def undescribed() -> list[int]:
        raise HTTPException(418)

    @app.get("/misshapen", response_model=list[int])
    def misshapen() -> Response:
        return JSONResponse({"a": 1})

    @app.get("/untyped", response_model=list[int])
    def untyped() -> Response:
        return PlainTextResponse("[1]")

    @app.get("/talkative", response_model=list[int])
    def talkative() -> Response:
        return JSONResponse([1], headers={"ETag": '"1"'})

    @app.get("/failing")
    def failing() -> list[int]:
        raise HTTPException(500)

    return app


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    """The app behind a real port, until the context ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"  # connections wait until it has started
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
