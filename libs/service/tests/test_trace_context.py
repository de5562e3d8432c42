"""W3C Trace Context at the HTTP doors: a request's trace is continued or begun anew, and never fails the request.

A tracestate is read after Level 1, the recommendation, as OpenTelemetry for Python does. It ends with the request's
span: no entry, record or call of ours carries it on, so what only Level 2, a candidate, allows gets no own reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from libs.events.tests.parents import ANEW, CONTINUED, PARENT, SPAN, TRACE
from libs.service.app import create_app
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, Verifier
from libs.service.issuer import create_keys
from libs.service.metrics import Metrics
from libs.service.tests.conftest import Ledger, router_of

MEMBERS_MAX = 32
LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
VALUE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
WHOLE = ",".join(f"k{number}={number}" for number in range(MEMBERS_MAX))
KEPT = {
    "one": (["foo=1"], "foo=1"),
    "two in their order": (["foo=1,bar=2"], "foo=1,bar=2"),
    "over two headers": (["foo=1", "bar=2"], "foo=1,bar=2"),
    "blanks between": (["foo=1 \t , \t bar=2"], "foo=1,bar=2"),
    "empty members": (["foo=1,,bar=2,"], "foo=1,bar=2"),
    "a vendor of a tenant": (["t0/a@v*_-=x !/<>~"], "t0/a@v*_-=x !/<>~"),
    "a tenant that begins with a digit": (["1t@v=1"], "1t@v=1"),
    "all that a key may have": ([f"{LETTERS_AND_DIGITS}_-*/=1"], f"{LETTERS_AND_DIGITS}_-*/=1"),
    "all that a value may have": ([f"foo={VALUE}"], f"foo={VALUE}"),
    "as many as there may be": ([WHOLE], WHOLE),
    "the 512 characters that everybody must carry": (
        ["k=" + "x" * 253 + ",l=" + "y" * 254],
        "k=" + "x" * 253 + ",l=" + "y" * 254,
    ),
    "a key of 256 characters": (["z" * 256 + "=1"], "z" * 256 + "=1"),
    "a value of 256 characters": (["foo=" + "x" * 256], "foo=" + "x" * 256),
}
DROPPED = {
    "no key": ["=1"],
    "no value": ["foo"],
    "an empty value": ["foo="],
    "a vendor of no tenant": ["@vendor=1"],
    "an upper case key": ["FOO=1"],
    "a key with a dot": ["foo.bar=1"],
    "a key of 257 characters": ["z" * 257 + "=1"],
    "a value of 257 characters": ["foo=" + "x" * 257],
    "a value with an equals sign": ["foo=bar=baz"],
    "a value with a tab": ["foo=a\tb"],
    "a key twice": ["foo=1,foo=1"],
    "a key twice over two headers": ["foo=1", "foo=2"],
    "too many members": [f"{WHOLE},more=1"],
    "too many characters": [",".join(f"k{number}={'x' * 256}" for number in range(MEMBERS_MAX))],
    "one bad member among good ones": ["foo=1,BAR=2"],
}
OF_LEVEL_2 = {
    "an at sign at the end": "special@",
    "two at signs in a row": "special@@vendor",
    "two at signs": "special@vendor@tenant",
    "a digit in front": "1special",
    "a vendor of 15 characters": "tenant@" + "v" * 15,
    "all that a key may have": f"{LETTERS_AND_DIGITS}_-*/@",
}
"""Keys that Level 1 does not know, where an at sign comes once, between a tenant and its vendor."""


class Door:
    """A service that remembers the spans of its requests, whether the caller samples them or not."""

    def __init__(self, client: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
        self._client, self._spans = client, spans

    async def ask(self, *headers: tuple[str, str]) -> ReadableSpan:
        answer = await self._client.get("/v1/secrets", headers=list(headers))
        assert answer.status_code == 200, answer.text
        assert not {"traceparent", "tracestate"} & answer.headers.keys()
        (span,) = self._spans.get_finished_spans()
        self._spans.clear()
        return span


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    create_keys(folder)
    return folder


@pytest.fixture(scope="module")
def traced(spans: InMemorySpanExporter, keys: Path) -> Iterator[FastAPI]:
    """Made once: it remembers nothing from one request to the next."""
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield create_app(
        "lines",
        [router_of(Ledger())],
        verifier=Verifier(keys, LOCAL_ISSUER, AUDIENCE),
        metrics=Metrics("lines"),
        tracer_provider=provider,
    )
    provider.shutdown()


@pytest.fixture
async def door(
    traced: FastAPI, spans: InMemorySpanExporter, bearer: Callable[..., dict[str, str]]
) -> AsyncIterator[Door]:
    transport = httpx.ASGITransport(app=traced, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lines", headers=bearer("ops")) as client:
        yield Door(client, spans)


def _is_continued(span: ReadableSpan) -> bool:
    if span.parent is None:
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" != TRACE, "a trace that was begun anew has an id of its own"
        return False
    assert span.context is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    return True


def _state(span: ReadableSpan) -> str:
    assert span.context is not None
    return str(span.context.trace_state.to_header())


@pytest.mark.parametrize("header", CONTINUED.values(), ids=CONTINUED)
async def test_a_traceparent_that_names_a_span_is_continued(door: Door, header: str) -> None:
    assert _is_continued(await door.ask(("Traceparent", header)))
    assert _is_continued(await door.ask(("traceparent", f" \t{header}\t ")))


@pytest.mark.parametrize("header", ANEW.values(), ids=ANEW)
async def test_a_broken_traceparent_begins_a_new_trace_and_its_tracestate_is_not_read(door: Door, header: str) -> None:
    span = await door.ask(("traceparent", header), ("tracestate", "foo=1"))
    assert not _is_continued(span)
    assert _state(span) == ""


async def test_a_traceparent_that_comes_twice_begins_a_new_trace(door: Door) -> None:
    assert not _is_continued(await door.ask(("traceparent", PARENT), ("traceparent", PARENT)))
    other = PARENT.replace("7", "8")
    assert not _is_continued(await door.ask(("traceparent", PARENT), ("TraceParent", other)))


async def test_without_a_traceparent_a_tracestate_means_nothing(door: Door) -> None:
    span = await door.ask(("tracestate", "foo=1"))
    assert not _is_continued(span)
    assert _state(span) == ""


@pytest.mark.parametrize(("headers", "kept"), KEPT.values(), ids=KEPT)
async def test_a_tracestate_goes_with_the_trace(door: Door, headers: list[str], kept: str) -> None:
    span = await door.ask(("traceparent", PARENT), *(("tracestate", header) for header in headers))
    assert _is_continued(span)
    assert _state(span) == kept


@pytest.mark.parametrize("headers", DROPPED.values(), ids=DROPPED)
async def test_a_broken_tracestate_is_dropped_whole_and_the_trace_goes_on(door: Door, headers: list[str]) -> None:
    span = await door.ask(("traceparent", PARENT), *(("tracestate", header) for header in headers))
    assert _is_continued(span)
    assert _state(span) == ""


@pytest.mark.parametrize("key", OF_LEVEL_2.values(), ids=OF_LEVEL_2)
async def test_a_key_that_only_level_2_allows_drops_the_tracestate_and_the_trace_goes_on(door: Door, key: str) -> None:
    span = await door.ask(("traceparent", PARENT), ("tracestate", f"foo=1,{key}=1"))
    assert _is_continued(span)
    assert _state(span) == ""
