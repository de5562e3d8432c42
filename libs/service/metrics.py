"""Numbers for Prometheus: what the machinery is behind by, and how long requests take. One registry per program."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Every number of one service; lags are set when they are read."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # since when it runs, its memory, its open files
        self.requests = Histogram(
            "baton_http_request_seconds",
            "HTTP requests by route and status",
            ("service", "method", "route", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._lag = Gauge(
            "baton_lag",
            "How far a part is behind: publish, listen, fold, react, inbound in entries; parked, queued, send_unknown "
            "and send_retrying in number; timer_lateness, timer_overdue and send_overdue in seconds",
            ("service", "part"),
            registry=self.registry,
        )
        self._ready = Gauge(
            "baton_ready", "1 when nothing is down and nothing far behind, else 0", ("service",), registry=self.registry
        )
        self._troubles = Gauge(
            "baton_troubles",
            "What does not work (down), and what works but not without a person (attention), in number",
            ("service", "kind"),
            registry=self.registry,
        )
        self._restarts = Counter(
            "baton_role_restarts",
            "Parts of the machinery that failed and began anew",
            ("service", "role"),
            registry=self.registry,
        )
        self._groups = Histogram(
            "baton_append_group_size",
            "Appends that shared one transaction",
            ("service",),
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        ).labels(service)  # told from the start, also by who only hears
        self._service = service

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def set_standing(
        self, ready: bool, lags: Mapping[str, float], down: int, attention: int, restarts: Mapping[str, int]
    ) -> None:
        """As it is now; a lag that cannot be read is left out, never told as it was."""
        self._ready.labels(self._service).set(ready)
        self._troubles.labels(self._service, "down").set(down)
        self._troubles.labels(self._service, "attention").set(attention)
        self._lag.clear()
        for part, lag in lags.items():
            self._lag.labels(self._service, part).set(lag)
        self._restarts.clear()
        for role, count in restarts.items():
            self._restarts.labels(self._service, role).inc(count)

    def group(self, size: int) -> None:
        self._groups.observe(size)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(self._service, method, route, str(status)).observe(seconds)


class Timed:
    """ASGI middleware: how long each route took. Unknown paths count as one, so nobody can make labels without end."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started_s = 0, time.monotonic()

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.observe(method, route, status, time.monotonic() - started_s)
