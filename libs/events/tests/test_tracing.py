"""W3C Trace Context on Kafka: what names a span is continued; what does not holds up nothing and goes no further."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events import wire
from libs.events.tests.parents import ANEW, CONTINUED, PARENT, SPAN, TRACE
from libs.events.tracing import legible, links_of, span_context

PLAIN = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"crm"), ("ce_type", b"t")]
STRUCTURED = [("content-type", b"application/cloudevents+json")]
OTHER = PARENT.replace("7", "8")


def _taken(*headers: tuple[str, bytes]) -> str:
    """The traceparent of a record with these headers, as everything behind the door gets it."""
    return wire.foreign(wire.envelope([*PLAIN, *headers], b"{}")).traceparent


@pytest.mark.parametrize("text", CONTINUED.values(), ids=CONTINUED)
def test_a_traceparent_that_names_a_span_is_continued_in_the_version_that_we_write(text: str) -> None:
    assert _taken(("traceparent", text.encode())) == f"00-{TRACE}-{SPAN}-{text.split('-')[3]}"
    context = span_context(text)
    assert context is not None
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}", context.is_remote) == (TRACE, SPAN, True)


@pytest.mark.parametrize("text", ANEW.values(), ids=ANEW)
def test_a_broken_traceparent_goes_no_further_and_its_record_is_taken(text: str) -> None:
    assert _taken(("traceparent", text.encode())) == ""
    assert span_context(text) is None
    assert [link.context for link in links_of([text, PARENT, text])] == [span_context(PARENT)]


def test_a_traceparent_that_is_no_text_goes_no_further_and_its_record_is_taken() -> None:
    assert _taken(("traceparent", b"\xff\x00")) == ""
    assert _taken(("traceparent", b"x" * (wire.HEADER_BYTES_MAX + 1))) == ""


def test_of_two_traceparents_none_is_believed() -> None:
    assert _taken(("traceparent", PARENT.encode()), ("Traceparent", OTHER.encode())) == ""


def test_the_header_goes_before_the_extension_of_the_event() -> None:
    assert _taken(("ce_traceparent", OTHER.encode())) == OTHER
    assert _taken(("ce_traceparent", OTHER.encode()), ("traceparent", PARENT.encode())) == PARENT
    assert _taken(("ce_traceparent", OTHER.encode()), ("traceparent", b"broken")) == ""
    event = {"specversion": "1.0", "id": "1", "source": "crm", "type": "t", "traceparent": OTHER}
    assert wire.foreign(wire.envelope(STRUCTURED, msgspec.json.encode(event))).traceparent == OTHER


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?", fullmatch=True))
def test_any_text_is_legible_once_and_for_all_or_not_at_all(text: str) -> None:
    found = legible(text)
    assert legible(found) == found
    assert (span_context(text) is None) is (found == "")
