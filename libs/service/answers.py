"""What routes answer: a command's result, a page of rows, one row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from libs.service.rows import AsRow

R = TypeVar("R")
ETAG: dict[str, Any] = {
    "description": "the version that now stands, to be sent as `If-Match`",
    "schema": {"type": "string"},
}
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": {"ETag": ETAG}}}
"""`responses` of a query that shows a row with its version."""


def etag(version: int) -> str:
    """The version of a stream as the header says it, and as `If-Match` sends it back."""
    return f'"{version}"'


class Accepted(BaseModel):
    """What came of a command. `position`: send it back as `after` (or Baton-Position) to read your own write.

    `known`: this key was accepted before; position, stream and version are those of its first result, whose facts are
    not told again. No `facts` and not known: there was nothing to change, and such a command is not remembered: asked
    again, it is decided again.
    """

    model_config = ConfigDict(frozen=True)

    position: int
    stream: UUID
    version: int
    facts: tuple[str, ...]
    known: bool


class Page(BaseModel, Generic[R]):
    """Rows in order. `next_cursor`: null on the last page. `final`: nothing can still be noted before `as_of`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    rows: tuple[Annotated[R, AsRow], ...]
    next_cursor: str | None = None
    as_of: datetime | None = None
    final: bool | None = None


class Shown(BaseModel, Generic[R]):
    """One row, with the instant it was asked for."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    row: Annotated[R, AsRow]
    as_of: datetime | None = None
    final: bool | None = None
