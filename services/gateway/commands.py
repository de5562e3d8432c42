"""What may be asked of gateway. The ids are computed at the door, from the tenant and the source's own names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from libs.events.deciding import Command
from libs.events.errors import Unfit
from libs.events.instants import Written

NAME_CHARS_MAX = 200
TITLE_CHARS_MAX = 500
TEXT_CHARS_MAX = 10_000
FORM_FIELDS_MAX = 50
CHANGES_MAX = 100
CHANGE_MAX = 10**18
YEARS = range(1900, 2200)


def _no_nul(text: str) -> str:
    # PostgreSQL's text and JSON cannot hold it.
    if "\x00" in text:
        raise Unfit("must not contain the character U+0000", "不能包含字符 U+0000")
    return text


def in_years(at: datetime) -> datetime:
    if at.year not in YEARS:
        first, last = YEARS.start, YEARS.stop - 1
        raise Unfit(f"must lie in the years {first} to {last}", f"年份须在 {first} 至 {last} 之间")
    return at


Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARS_MAX), AfterValidator(_no_nul)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=TITLE_CHARS_MAX), AfterValidator(_no_nul)]
Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS_MAX), AfterValidator(_no_nul)]
Timeline = Annotated[str, StringConstraints(max_length=NAME_CHARS_MAX), AfterValidator(_no_nul)]
Instant = Annotated[Written, AfterValidator(in_years)]
Saying = Literal["key", "summary", "status", "assignee"]
Said = tuple[Saying, ...]
Form = Annotated[dict[Name, Text], Field(max_length=FORM_FIELDS_MAX)]


class ReceiveRequest(Command):
    """Somebody outside wants something. `case_id` follows from source and reference.

    `happened_at`: as the source says, None where it does not. It belongs to what was asked: the same event with another
    instant is another content.
    """

    case_id: UUID
    source: Name
    reference: Name
    template: Name
    category: Name
    title: Title
    form: Form
    priority: Name = "normal"
    department: Name | None = None
    target_at: Instant | None = None
    timeline: Timeline = ""
    happened_at: Written | None = None


class CloseRequest(Command):
    """The source says that its request is done. `happened_at`: see ReceiveRequest."""

    case_id: UUID
    source: Name
    reference: Name
    outcome: Text
    timeline: Timeline = ""
    happened_at: Written | None = None


class AdvanceSource(Command):
    """The source promises that nothing of it that occurred up to `up_to` is still to come."""

    source_id: UUID
    source: Name
    up_to: Instant


class ReportWorkItem(Command):
    """One delivery of an issue tracker. `delivery` follows from the body's hash, `work_item` from host and issue id."""

    delivery: UUID
    work_item: UUID
    tracker: Name
    host: Name
    event: Name
    digest: Name
    item: Name | None = None
    key: Name | None = None
    summary: Title | None = None
    status: Name | None = None
    assignee: Name | None = None
    changed: Annotated[tuple[Name, ...], Field(max_length=CHANGES_MAX)] = ()
    tracker_at: Instant | None = None
    updated_at: Instant | None = None
    change: Annotated[int, Field(ge=0, le=CHANGE_MAX)] | None = None
    said: Said = ()
    gone: bool = False


class ReconcileWorkItem(Command):
    """What an answer of the tracker, read at `seen_at`, says of a work item. `gone`: it should be there and is not."""

    work_item: UUID
    tracker: Name
    host: Name
    item: Name
    origin: Title
    seen_at: Instant
    key: Name | None = None
    summary: Title | None = None
    status: Name | None = None
    assignee: Name | None = None
    said: Said = ()
    updated_at: Instant | None = None
    gone: bool = False


class NoteAlteredDelivery(Command):
    """A tracker sent an identifier again with another body; the first one stands."""

    delivery: UUID
    tracker: Name
    identifier: Name
    digest: Name
