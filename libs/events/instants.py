"""Instants as others write them: RFC 3339, in full and with their zone, in words and on the wire alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

from libs.events.errors import Unfit

CURE = ("must be an instant with a zone, such as 2026-03-02T09:00:00Z", "必须是带时区的时刻，例如 2026-03-02T09:00:00Z")


def instant_of(text: str) -> datetime:
    """The instant (the letters in it large or small), in UTC; raises ValueError, OverflowError for anything else."""
    said = text.upper()
    instant = datetime.fromisoformat(said)
    if instant.tzinfo is None or "T" not in said:
        raise ValueError("no time of day, or no zone")
    return instant.astimezone(UTC)


def _written_out(instant: Any) -> Any:
    # pydantic takes a number as seconds since 1970: 2026 would be the first hour of 1970, without a word.
    if isinstance(instant, (int, float)) or (isinstance(instant, str) and "T" not in instant.upper()):
        raise Unfit(*CURE)
    return instant


Written = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""An instant in a command or in what is sent to a door: with a zone, never a number that could be meant otherwise."""
