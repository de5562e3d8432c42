"""Traceparents as W3C Trace Context reads them: those that name a span, and those that name none."""

from __future__ import annotations

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"

CONTINUED = {
    "as written": PARENT,
    "not sampled": f"00-{TRACE}-{SPAN}-00",
    "flags nobody knows": f"00-{TRACE}-{SPAN}-ff",
    "a later version": f"cc-{TRACE}-{SPAN}-01",
    "a later version with more": f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
}
ANEW = {
    "empty": "",
    "words": "no parent of mine",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "a version that is none": f".0-{TRACE}-{SPAN}-01",
    "half a version": f"0-{TRACE}-{SPAN}-01",
    "version 00 with more": f"{PARENT}-what-the-future-will-be-like",
    "version 00 with a dash": f"{PARENT}-",
    "a later version with more that no dash leads": f"cc-{TRACE}-{SPAN}-01.what",
    "a trace of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "a span of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "an upper case trace": f"00-{TRACE.upper()}-{SPAN}-01",
    "an upper case span": f"00-{TRACE}-{SPAN.upper()}-01",
    "a short trace": f"00-{TRACE[1:]}-{SPAN}-01",
    "a long trace": f"00-{TRACE}0-{SPAN}-01",
    "a trace that is no number": f"00-{TRACE[:-1]}.-{SPAN}-01",
    "a short span": f"00-{TRACE}-{SPAN[1:]}-01",
    "a long span": f"00-{TRACE}-{SPAN}0-01",
    "short flags": f"00-{TRACE}-{SPAN}-1",
    "long flags": f"00-{TRACE}-{SPAN}-001",
    "flags that are no number": f"00-{TRACE}-{SPAN}-.0",
    "two in one": f"{PARENT},{PARENT}",
    "eight thousand characters": f"cc-{TRACE}-{SPAN}-01-" + "x" * 8_000,
}
