"""Trace context across hops: an entry carries the W3C traceparent of the span that decided it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags, Tracer

LINKS_MAX = 128
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def traceparent() -> str:
    """The traceparent of the current span, "" outside a trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def span_context(text: str) -> SpanContext | None:
    """The span that a traceparent names, None when it names none."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


@contextmanager
def following(tracer: Tracer, name: str, text: str) -> Iterator[Span]:
    """A span that continues the trace of `text` (a new one when it is empty)."""
    context = span_context(text)
    parent = trace.set_span_in_context(NonRecordingSpan(context)) if context else None
    with tracer.start_as_current_span(name, context=parent) as span:
        yield span


def link_current(traceparents: Iterable[str]) -> None:
    """Link the current span to what it builds upon, such as the facts that a decision looked at; at most LINKS_MAX."""
    span = trace.get_current_span()
    if span.is_recording():
        for link in links_of(traceparents):
            span.add_link(link.context)


def links_of(traceparents: Iterable[str]) -> list[Link]:
    """Links to the distinct spans that these name, for a span over a batch; at most LINKS_MAX."""
    contexts = (span_context(text) for text in dict.fromkeys(traceparents))
    return [Link(context) for context in islice((c for c in contexts if c is not None), LINKS_MAX)]
