"""Spans as the services' processes wrote them, and what hangs together by parents and links."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WITHIN_S = 60.0
POLL_S = 0.1
BATCHES = ("publish ", "receive ", "fold", "fire ")
"""Spans over many subjects at once, by the beginnings of their names."""

SpanId = tuple[str, str]


def span_named(traceparent: str) -> SpanId:
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


@dataclass(frozen=True)
class Span:
    id: SpanId
    name: str
    service: str
    file: str
    parent: SpanId | None
    links: tuple[SpanId, ...]

    @property
    def of_a_batch(self) -> bool:
        return self.name.startswith(BATCHES)


class Spans:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.by_id: dict[SpanId, Span] = {}

    def wait_for(self, wanted: Collection[SpanId], also: Callable[[], bool] = lambda: True) -> None:
        """Until these spans, and what `also` asks for, are written: they come half a second after they end."""
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            self._read()
            missing = [span for span in wanted if span not in self.by_id]
            if not missing and also():
                return
            assert time.monotonic() < deadline_s, f"spans that nobody wrote within {WITHIN_S} s: {missing}"
            time.sleep(POLL_S)

    def reached(self, start: SpanId, *, through_batches: bool) -> set[SpanId]:
        """Every span that hangs together with this one, by parents and links, in either direction."""
        beside: dict[SpanId, set[SpanId]] = {}
        for span in self.by_id.values():
            links = span.links if through_batches or not span.of_a_batch else ()
            for other in (*((span.parent,) if span.parent else ()), *links):
                beside.setdefault(span.id, set()).add(other)
                beside.setdefault(other, set()).add(span.id)
        found, edge = {start}, [start]
        while edge:
            for other in beside.get(edge.pop(), set()) - found:
                found.add(other)
                edge.append(other)
        return found

    def _read(self) -> None:
        for path in self._folder.glob("*.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n"):  # the last one may be half written
                    span = _span(json.loads(line), path.name)
                    self.by_id[span.id] = span


def _span(line: dict[str, Any], file: str) -> Span:
    trace_id = line["trace_id"]
    return Span(
        id=(trace_id, line["span_id"]),
        name=line["name"],
        service=line["service"],
        file=file,
        parent=(trace_id, line["parent"]) if line["parent"] else None,
        links=tuple((link["trace_id"], link["span_id"]) for link in line["links"]),
    )
