"""Trace context across hops: an entry carries the W3C traceparent of the span that decided it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags, Tracer

LINKS_MAX = 128
TRACEPARENT_CHARS_MAX = 512
# A version above 00 may add more behind a dash, which is passed over; ff is no version, and zeros are no ids.
_NAMED = r"(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
_TRACEPARENT = re.compile(rf"(?:00-{_NAMED}|(?!00|ff)[0-9a-f]{{2}}-{_NAMED}(?:-.*)?)")


def traceparent() -> str:
    """The traceparent of the current span, "" outside a trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def legible(text: str) -> str:
    """A traceparent of any version of W3C Trace Context as version 00 writes it, "" when it names no span."""
    found = _TRACEPARENT.fullmatch(text) if len(text) <= TRACEPARENT_CHARS_MAX else None
    return f"00-{'-'.join(part for part in found.groups() if part)}" if found else ""


def span_context(text: str) -> SpanContext | None:
    """The span that a traceparent names, None when it names none."""
    _, *parts = legible(text).split("-")
    if not parts:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


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
