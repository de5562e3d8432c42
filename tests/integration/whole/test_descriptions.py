"""Every service answers as its /openapi.json says, whoever asks and whatever is sent."""

from __future__ import annotations

import hmac
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

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
from schemathesis.core import NOT_SET
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.failures import Failure, FailureGroup, ServerError
from schemathesis.core.result import Err, Result
from schemathesis.core.transport import Response as Answer
from schemathesis.openapi.checks import JsonSchemaError, UndefinedContentType, UndefinedStatusCode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cli.demo import START
from demo import rulebook
from demo.stage import Stage
from demo.stories.complaint import REFERENCE
from infra.local import Platform
from infra.local.rest import wait_rest
from libs.events.contracts.tasks import case_id
from libs.events.wire import record_key
from libs.service.auth import ROLES
from libs.service.issuer import secret, token
from tests.faults.standing import new_seed
from tests.integration.whole.addresses import operations
from tests.integration.whole.records import Record, write

pytestmark = pytest.mark.long
EXAMPLES_PER_OPERATION = 20
ANSWER_SECONDS_MAX = 30
OF_EVERY_ANSWER = {"allow", "content-length", "content-type", "date", "server"}
"""Headers that the protocol gives an answer; no description names them."""
SERVICES = ("tasks", "goals", "sla", "notify", "audit", "gateway", "directory")
"""directory is the last: chance rearranges the organisation there, of which the others have heard."""
Json = dict[str, Any]
PARKED = (("GET", ""), ("POST", "/retry"), ("POST", "/drop"))
AS_WRITTEN = {"POST /v1/clock": "chance would move the platform's clock to wherever; see test_doors_bad_input"}
"""What is asked as it is written here alone, and why."""
UNOPENED = {
    ("directory", f"{method} /v1/parked/{{parked_id}}{act}"): "it hears nobody, so nothing is ever parked there"
    for method, act in PARKED
}
"""Where no success comes of anything that can be asked here, and why."""
TEMPLATE, SOURCE = "described", "phone"
TAKEN, CASE = "DESCRIBED-1", "/v1/cases/{case_id}"
FORM = {"customer": "C-1", "order": "SO-1", "product": "door", "defect": "scratches"}
ISSUE = {
    "id": "1",
    "key": "T-1",
    "self": "https://jira.example/rest/api/2/issue/1",
    "fields": {"summary": "scratches", "updated": START.isoformat()},
}
HOOK = {"address": "https://127.0.0.1/hook"}  # never reached: what goes there fails at once, and for good
WAITED_FOR = ("after", "baton-position")  # what is not there yet is 503 after a while: see test_doors_bad_input
EVERY_ROLE = ",".join(sorted(ROLES))
ASKING = (*sorted(ROLES), *[EVERY_ROLE] * 4)
PEOPLE = ("svc-1", "prod-1", "purch-1", "ceo")
"""Who acts in the openings, each with every role; whatever chance asks is asked by prod-1."""


class Opening(NamedTuple):
    """What an operation answers with success to. `by`: who asks."""

    operation: str
    body: Any = NOT_SET
    by: str = EVERY_ROLE
    path: Mapping[str, str] = {}
    query: Mapping[str, Any] = {}
    media_type: str = "application/json"


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
    `openings`: what is asked first, in their order.
    """

    url: str
    bearers: dict[str, str]
    known: dict[str, str]
    session: requests.Session
    openings: Sequence[Opening] = ()
    answers: Counter[int] = field(default_factory=Counter)
    opened: set[str] = field(default_factory=set)

    def examples(self, operation: APIOperation[Any, Any, Any, Any]) -> st.SearchStrategy[Case[Any]]:
        known = self._known(operation)
        return st.one_of(
            operation.as_strategy(GenerationMode.POSITIVE, path_parameters=known or None),
            operation.as_strategy(GenerationMode.POSITIVE),
            operation.as_strategy(GenerationMode.NEGATIVE),
        )

    def open(self, opening: Opening, operation: APIOperation[Any, Any, Any, Any]) -> None:
        case = operation.Case(
            path_parameters={**self._known(operation), **opening.path},
            query=dict(opening.query),
            body=opening.body,
            media_type=None if opening.body is NOT_SET else opening.media_type,
        )
        answer = self.ask(case, opening.by)
        assert answer.status_code < 300, f"{opening}: {answer.text}"

    def plain(self, operation: APIOperation[Any, Any, Any, Any]) -> list[Case[Any]]:
        """The question about what is there."""
        known = self._known(operation)
        if operation.method.upper() != "GET" or len(known) < len(list(operation.path_parameters)):
            return []
        return [operation.Case(path_parameters=known)]

    def _known(self, operation: APIOperation[Any, Any, Any, Any]) -> dict[str, Any]:
        return {p.name: self.known[p.name] for p in operation.path_parameters if p.name in self.known}

    def ask(self, case: Case[Any], asking: str) -> Answer:
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
        return answer


def openings_of(service: str, known: Mapping[str, str]) -> list[Opening]:
    """What operations publish to this service, which it has taken before; its clock, which has nothing to let fire; and
    what takes somebody in particular, or something that is there.
    """
    published = [Opening(f"POST {c.path}", c.body) for c in chain(*rulebook.everything()) if c.service == service]
    parked = [Opening(f"{method} /v1/parked/{{parked_id}}{act}") for method, act in PARKED]
    clock = Opening("POST /v1/clock", {"fire": True})
    return [*published, clock, *(parked if "parked_id" in known else ()), *OPENINGS.get(service, ())]


def _new_case(reference: str) -> Json:
    titled = {"category": "quality", "title": "scratches"}
    return {"source": SOURCE, "reference": reference, "template": TEMPLATE, **titled}


def _of_case(act: str, body: Any = NOT_SET, *, by: str, **path: str) -> Opening:
    return Opening(f"POST {CASE}/{act}", body, by, {"case_id": str(case_id("main", SOURCE, TAKEN)), **path})


OPENINGS: Mapping[str, Sequence[Opening]] = {
    "directory": [
        Opening("POST /v1/people/{person}/reporting-line", {"reports_to": "prod-dir"}),
        Opening("GET /v1/common-superior", query={"people": ["prod-1", "purch-1"]}),
    ],
    "tasks": [
        Opening("POST /v1/cases", _new_case(TAKEN), "svc-1"),
        _of_case("form", {"form": FORM}, by="svc-1"),
        _of_case("handoffs/{number}/rejection", {"reason": "raw material"}, by="prod-1", number="1"),
        _of_case("handoffs", {"receiver": "purchasing"}, by="svc-1"),
        _of_case("handoffs/{number}/rejection", {"reason": "specification"}, by="purch-1", number="2"),
        _of_case(
            "rulings", {"responsible": "production", "consulted": ["purchasing"], "reason": "made there"}, by="ceo"
        ),
        _of_case("handoffs/{number}/acceptance", by="prod-1", number="3"),
        _of_case("consultations/{department}/answer", {"answer": "dry"}, by="purch-1", department="purchasing"),
        _of_case("solution", {"solution": "a new door"}, by="prod-1"),
        _of_case("customer-told", by="svc-1"),
        _of_case("call-back", {"satisfied": True}, by="svc-1"),
    ],
    "notify": [
        Opening("POST /v1/inbox/{message}/acknowledgement"),
        Opening("POST /v1/deliveries/{channel}/{delivery}/repetition"),
        Opening("POST /v1/channels/{channel}", HOOK),
        Opening("GET /v1/channels/webhook/secret"),
        Opening("POST /v1/channels/{channel}/removal"),
    ],
    "gateway": [
        Opening(
            "POST /events",
            {
                "specversion": "1.0",
                "id": "described",
                "source": SOURCE,
                "type": "baton.request.received.v1",
                "data": {name: value for name, value in _new_case("DESCRIBED-2").items() if name != "source"},
            },
            media_type="application/cloudevents+json",
        ),
        Opening("POST /webhooks/jira", {"webhookEvent": "jira:issue_created", "issue": ISSUE}),
        Opening(
            "POST /v1/reconciliations",
            {"origin": "https://jira.example", "seen_at": START.isoformat(), "answer": {"issues": [ISSUE]}},
        ),
    ],
}
"""By service. A case is rejected twice, which its template does not bear, ruled upon and solved."""


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
def known(stage: Stage, case: str, delivery: str) -> dict[str, str]:
    """What the story and the fixtures have left, by the names that paths have for it."""
    (message, *_) = stage.ops().rows("notify", "/v1/messages", to="prod-1")
    (kpi, *_) = stage.ops().rows("goals", "/v1/kpis")
    return {
        "case_id": case,
        "case": REFERENCE,
        "number": "1",
        "department": "production",
        "person": "prod-1",
        "message": str(message["message"]),
        "kpi": str(kpi["kpi"]),
        "channel": "webhook",
        "delivery": delivery,
    }


@pytest.fixture(scope="module")
def delivery(stage: Stage, case: str) -> Iterator[str]:
    """What was to tell prod-1's webhook of a case that is offered, and failed."""
    (complaint,) = [call for call in rulebook.templates() if call.body["template"] == "complaint"]
    changes = {"template": TEMPLATE, "bounce_limit": 2, "call_back_after_h": 0}
    stage.ops().post("tasks", complaint.path, {**complaint.body, **changes})
    stage.person("prod-1").post("notify", "/v1/channels/webhook", HOOK)
    opened = stage.person("svc-1").post("tasks", "/v1/cases", _new_case("DESCRIBED"))["case_id"]
    stage.person("svc-1").post("tasks", f"/v1/cases/{opened}/form", {"form": FORM})
    (row, *_) = stage.ops().rows("notify", "/v1/deliveries/webhook", case_id=opened)
    yield str(row["delivery"])
    stage.person("prod-1").post("notify", "/v1/channels/webhook/removal")


@pytest.fixture(scope="module")
def parked(platform_told: Platform, stage: Stage) -> Iterator[dict[str, str]]:
    """By service: what it could not read of somebody it hears."""
    key = record_key("main", UUID(int=1)).decode()
    for topic in ("baton.sla", "baton.directory", "baton.inbound"):
        write(platform_told.kafka.bootstrap, topic, [Record(key, b"\xff\x00 no JSON", {"ce_id": "?"})])
    wait_rest(stage.doors)
    rows = {name: list(stage.ops().rows(name, "/v1/parked")) for name in SERVICES}
    yield {name: str(found[0]["id"]) for name, found in rows.items() if found}
    for name in SERVICES:
        for row in stage.ops().rows(name, "/v1/parked"):
            stage.ops().post(name, f"/v1/parked/{row['id']}/drop")


@pytest.mark.platform
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_answers_as_it_is_described_and_never_fails(
    service: str,
    platform_told: Platform,
    known: dict[str, str],
    parked: dict[str, str],
    session: requests.Session,
    chosen: int,
) -> None:
    keys = platform_told.secrets.keys
    bearers = {asking: token(keys, person="prod-1", roles=asking.split(",")) for asking in ASKING}
    bearers |= {person: token(keys, person=person, roles=ROLES) for person in PEOPLE}
    session.auth = Signing(secret(keys, "jira"), bearers[EVERY_ROLE])
    here = known | ({"parked_id": parked[service]} if service in parked else {})
    url = platform_told.services[service].url
    knocking = Knocking(url, bearers, here, session, openings_of(service, here))
    began_s = time.monotonic()
    asked, failures = _everywhere(knocking, chosen)
    took = f"{time.monotonic() - began_s:.1f} s"
    print(f"{service}: {len(asked)} operations, {took}, answers {dict(sorted(knocking.answers.items()))}")
    if failures:
        raise BaseExceptionGroup(f"{service} does not answer as it is described", list(failures.values()))
    described = {f"{each.method} {each.path}" for each in operations(platform_told) if each.service == service}
    assert described <= asked
    shut = {(service, label) for label in asked - knocking.opened}
    assert shut == {each for each in UNOPENED if each[0] == service}, "no answer was a success"


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
    failures = dict[str, FailureGroup]()
    told = knocking.session.get(f"{knocking.url}/openapi.json", timeout=ANSWER_SECONDS_MAX)
    schema = schemathesis.openapi.from_dict(told.json(object_hook=_without_tuples), config=SchemathesisConfig())
    found = {operation.label: operation for operation in map(_described, schema.get_all_operations())}
    for opening in knocking.openings:
        with _noted(failures, opening.operation, chosen):
            knocking.open(opening, found[opening.operation])
    for label, operation in found.items():
        with _noted(failures, label, chosen):
            for case in knocking.plain(operation):
                knocking.ask(case, EVERY_ROLE)
            if label not in AS_WRITTEN:
                _at_random(knocking, operation, chosen)
    return set(found), failures


def _without_tuples(part: Json) -> Json:
    """schemathesis 4.32 hands a response's `prefixItems` to its validator in a form that this one refuses."""
    if "prefixItems" in part:
        part["items"] = {"anyOf": part.pop("prefixItems")}
    return part


def _described(found: Result[APIOperation[Any, Any, Any, Any], InvalidSchema]) -> APIOperation[Any, Any, Any, Any]:
    if isinstance(found, Err):
        raise found.err()
    return found.ok()


@contextmanager
def _noted(failures: dict[str, FailureGroup], label: str, chosen: int) -> Iterator[None]:
    try:
        yield
    except FailureGroup as failure:
        failure.add_note(f"{label}, BATON_SEED={chosen}")
        failures[label] = failure


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
