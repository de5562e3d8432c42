"""The public doors of a running platform, as a person with a token uses them: the command line, the demo and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from infra.local.errors import PlatformError
from infra.local.platform import Platform
from libs.service.issuer import token

ASK_SECONDS_MAX = 15.0
TRIES_MAX = 5
PAGES_MAX = 1_000
Json = dict[str, Any]


class DoorRefused(PlatformError):
    """A door answered with a problem. `problem` is its problem+json, `status` the HTTP status."""

    def __init__(self, what: str, status: int, problem: Json) -> None:
        told = " · ".join(str(problem[name]) for name in ("detail", "detail_zh") if name in problem)
        super().__init__(f"{told or problem} ({what}: {status} {problem.get('rule', '')}".rstrip() + ")")
        self.status, self.problem = status, problem


class Visitor:
    """One person with one role, at every service's doors."""

    def __init__(self, client: httpx.Client, urls: Mapping[str, str], bearer: str) -> None:
        self._client, self._urls = client, urls
        self._headers = {"Authorization": f"Bearer {bearer}"}

    def get(self, service: str, path: str, **params: Any) -> Any:
        """The answer's JSON."""
        wanted = {name: value for name, value in params.items() if value is not None}
        return self._json("GET", service, path, params=wanted)

    def rows(self, service: str, path: str, **params: Any) -> Iterator[Any]:
        """The rows of all pages of a list."""
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = self.get(service, path, cursor=cursor, **params)
            yield from page["rows"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
        raise PlatformError(f"{service}{path} has more than {PAGES_MAX} pages; narrow the question")

    def post(
        self, service: str, path: str, body: Any, *, key: str | None = None, content_type: str = "application/json"
    ) -> Any:
        """The answer's JSON. With `key` (Idempotency-Key) it may be sent twice, and is when the door says 503."""
        headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
        return self._json("POST", service, path, json=body, headers=headers)

    def _json(self, method: str, service: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        answer = self.send(method, service, path, headers=headers, **more)
        if answer.is_success:
            return answer.json()
        problem = answer.json() if "json" in answer.headers.get("content-type", "") else {"detail": answer.text}
        raise DoorRefused(f"{method} {service}{path}", answer.status_code, problem)

    def send(
        self, method: str, service: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """The answer as it comes; 503 is tried again when that is safe."""
        url = self._url(service)
        safe = method == "GET" or "Idempotency-Key" in (headers or {})
        sent = {**self._headers, **(headers or {})}
        for attempt in range(1, TRIES_MAX + 1):
            try:
                answer = self._client.request(method, url + path, headers=sent, **more)
            except httpx.TransportError as error:
                if attempt == TRIES_MAX or not safe:
                    raise PlatformError(
                        f"{service} does not answer at {url} ({type(error).__name__}: {error}); "
                        f"`baton status` says what runs, `baton start {service}` starts what was stopped"
                    ) from error
                continue
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or attempt == TRIES_MAX or not safe:
                return answer
        raise AssertionError("the last attempt returned or raised")

    def _url(self, service: str) -> str:
        if service not in self._urls:
            there = ", ".join(self._urls) or "no service"
            raise PlatformError(
                f"this asks {service}, and the platform was started with {there}: `baton down`, `baton up`"
            )
        return self._urls[service]


class Doors:
    """The doors of one platform. `tenant` is that of the tokens."""

    def __init__(self, platform: Platform, client: httpx.Client, tenant: str = "main") -> None:
        self._client, self._tenant = client, tenant
        self._keys = platform.secrets.keys
        self.urls = {name: service.url for name, service in platform.services.items()}
        self._visitors: dict[tuple[str, str], Visitor] = {}

    def as_(self, role: str, person: str) -> Visitor:
        """This person, with this role alone."""
        if (role, person) not in self._visitors:
            try:
                bearer = token(self._keys, person=person, roles=(role,), tenant=self._tenant)
            except ValueError as wrong:
                raise PlatformError(str(wrong)) from wrong
            self._visitors[role, person] = Visitor(self._client, self.urls, bearer)
        return self._visitors[role, person]

    def without_token(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        """A call to an open door."""
        return self._client.request(method, self.urls[service] + path, **more)


@contextmanager
def open_doors(platform: Platform, tenant: str = "main") -> Iterator[Doors]:
    """Doors over one connection pool, closed at the end."""
    with httpx.Client(timeout=ASK_SECONDS_MAX, trust_env=False) as client:
        yield Doors(platform, client, tenant)
