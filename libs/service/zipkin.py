"""Spans to a Zipkin server, as the JSON of its API (v2). Links, which Zipkin lacks, become tags that name the trace."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from libs.service.errors import SettingsError

LINKS_SHOWN_MAX = 8
_KINDS = {kind: kind.name for kind in (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER)}
_log = logging.getLogger("baton.zipkin")


class ZipkinExporter(SpanExporter):
    """Posts batches to `endpoint`; a server that is away costs its spans and nothing else."""

    def __init__(self, endpoint: str, service: str, *, timeout_s: float) -> None:
        address = urlsplit(endpoint)
        if address.scheme != "http" or not address.hostname:
            raise SettingsError(
                f"OTEL_EXPORTER_ZIPKIN_ENDPOINT={endpoint!r}: name a server, such as http://127.0.0.1:9411/api/v2/spans"
            )
        self._host, self._port, self._path = address.hostname, address.port, address.path or "/api/v2/spans"
        self._service, self._timeout_s = service, timeout_s

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps([zipkin_span(span, self._service) for span in spans], ensure_ascii=False)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._path, body.encode(), {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            _log.debug("%s spans lost: %r", len(spans), error)
            return SpanExportResult.FAILURE
        finally:
            connection.close()
        return SpanExportResult.SUCCESS if status == http.HTTPStatus.ACCEPTED else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing is kept open."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def zipkin_span(span: ReadableSpan, service: str) -> dict[str, Any]:
    """One span in Zipkin's words: instants in microseconds, attributes and links as tags."""
    context = span.get_span_context()
    if context is None or span.start_time is None or span.end_time is None:
        raise ValueError(f"span={span.name!r} has no context or no end; only ended spans can be sent")
    tags = {name: str(value) for name, value in (span.attributes or {}).items()}
    for number, link in enumerate(span.links[:LINKS_SHOWN_MAX], start=1):
        tags[f"link.{number}"] = f"{link.context.trace_id:032x}/{link.context.span_id:016x}"
    if span.status.status_code is StatusCode.ERROR:
        tags["error"] = span.status.description or "error"
    found: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "id": f"{context.span_id:016x}",
        "name": span.name,
        "timestamp": span.start_time // 1_000,
        "duration": max(1, (span.end_time - span.start_time) // 1_000),
        "localEndpoint": {"serviceName": service},
        "tags": tags,
    }
    if span.parent is not None:
        found["parentId"] = f"{span.parent.span_id:016x}"
    if span.kind in _KINDS:
        found["kind"] = _KINDS[span.kind]
    return found
