"""Logs: one JSON object per line on stderr, with the trace they belong to, and without bodies or names of people."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

TEXT_CHARS_MAX = 8_000
REPEAT_INTERVAL_S = 10.0
REPEATS_REMEMBERED_MAX = 200
_PASSING = "GroupCoordinatorNotAvailableError"
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """One line per record: at, level, logger, service, message, trace_id, span_id, what `extra` added, exception."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "service": self._service,
            "message": record.getMessage()[:TEXT_CHARS_MAX],
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-TEXT_CHARS_MAX:]
        return json.dumps(line, ensure_ascii=False, default=str)


class Seldom(logging.Filter):
    """Lets the same words through once in REPEAT_INTERVAL_S: a client without its broker repeats itself endlessly."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        words, now_s = record.getMessage(), time.monotonic()
        if now_s - self._said_s.get(words, -REPEAT_INTERVAL_S) < REPEAT_INTERVAL_S:
            return False
        if len(self._said_s) >= REPEATS_REMEMBERED_MAX:
            self._said_s.clear()
        self._said_s[words] = now_s
        return True


def soften(record: logging.LogRecord) -> bool:
    """Every start of a broker passes through a moment without a coordinator; its client goes on by itself."""
    if record.name.startswith("aiokafka") and record.levelno > logging.WARNING and _PASSING in record.getMessage():
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def start(service: str, level: str) -> None:
    """Send every log of this process to stderr as JSON lines."""
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(JsonLines(service))
    seldom = Seldom()
    out.addFilter(soften)
    out.addFilter(lambda record: not record.name.startswith("aiokafka") or seldom.filter(record))
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(level)
    # One line per request is what traces are for; aiokafka tells of every fetch that finds nothing.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, root.level))
    for name in ("httpx", "httpcore"):  # they name whole addresses, which may hold somebody's secret
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
