"""Traces: spans of this process go to a file of JSON lines, and to a collector or a Zipkin server
where one is named."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from libs.service.auth import OPEN_PATHS
from libs.service.zipkin import ZipkinExporter

OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ZIPKIN_ENDPOINT = "OTEL_EXPORTER_ZIPKIN_ENDPOINT"
SPANS_QUEUED_MAX = 8_192
SPANS_BATCH_MAX = 512
EXPORT_INTERVAL_MS = 500
EXPORT_TIMEOUT_S = 2
FLUSH_TIMEOUT_S = 1.5
FILE_BYTES_MAX = 64 * 1024 * 1024
_encoder = msgspec.json.Encoder(enc_hook=str)


class OneParent(TraceContextTextMapPropagator):
    """W3C Trace Context. A traceparent that comes twice is none: nobody knows which of them is meant."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        if len(getter.get(carrier, "traceparent") or ()) > 1:
            return context or Context()
        return super().extract(carrier, context, getter)


def take_up_traces() -> None:
    """Requests to this process continue the traces that they come from. Baggage is not read: nobody here needs it."""
    propagate.set_global_textmap(OneParent())


class SpanFile(SpanExporter):
    """Appends spans as JSON lines to `<folder>/<service>.<pid>.jsonl`; at FILE_BYTES_MAX it starts anew, keeping 1."""

    def __init__(self, folder: Path, service: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{service}.{os.getpid()}.jsonl"
        self._service = service
        self._file: BinaryIO = self._path.open("ab")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._file.closed:
            return SpanExportResult.FAILURE
        self._file.write(_encoder.encode_lines([span_line(span, self._service) for span in spans]))
        self._file.flush()
        if self._file.tell() > FILE_BYTES_MAX:
            self._file.close()
            self._path.replace(self._path.with_suffix(".old.jsonl"))
            self._file = self._path.open("ab")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._file.close()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def span_line(span: ReadableSpan, service: str) -> dict[str, Any]:
    """One span as it is written: ids in hex, instants in nanoseconds since 1970."""
    context = span.get_span_context()
    if context is None:
        raise ValueError(f"span={span.name!r} has no context; only ended spans of the SDK can be written")
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": service,
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name.lower(),
        "attributes": dict(span.attributes or {}),
    }


class Telemetry:
    """The tracer provider of one process. `stop` gives a dead collector no more than FLUSH_TIMEOUT_S."""

    def __init__(self, service: str, traces: Path | None) -> None:
        resource = Resource.create({"service.name": service, "service.namespace": "baton"})
        # Without shutdown_on_exit=False a dead collector held the exit for 30 s.
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if traces is not None:
            self._add(SpanFile(traces, service))
        if os.environ.get(OTLP_ENDPOINT):
            self._add(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S))
        if endpoint := os.environ.get(ZIPKIN_ENDPOINT):
            self._add(ZipkinExporter(endpoint, service, timeout_s=EXPORT_TIMEOUT_S))

    def _add(self, exporter: SpanExporter) -> None:
        processor = BatchSpanProcessor(
            exporter,
            max_queue_size=SPANS_QUEUED_MAX,
            max_export_batch_size=SPANS_BATCH_MAX,
            schedule_delay_millis=EXPORT_INTERVAL_MS,
        )
        self.provider.add_span_processor(processor)

    def start(self) -> None:
        """Make this the provider of the whole process; the kernel only knows the API."""
        trace.set_tracer_provider(self.provider)

    def stop(self) -> None:
        # The SDK's own flush takes a timeout and does not keep it: a thread that may be left behind does.
        flush = threading.Thread(target=self.provider.shutdown, name="spans-flush", daemon=True)
        flush.start()
        flush.join(FLUSH_TIMEOUT_S)


def untraced(scope: Scope) -> bool:
    """Probes and scrapes make no spans."""
    return scope["type"] == "http" and scope["path"] in OPEN_PATHS
