"""What no text column, JSON column or 64-bit number of the database could hold is refused before it is decided.

A fact that no view can store would stop every fold behind it, so it must not get into a journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from libs.events.appends import DATA_BYTES_MAX
from libs.service.cures import IN_UTC, Cure
from libs.service.errors import BodyTooLarge, Fault, WrongShape

INTEGER_MAX = 2**63 - 1
DEPTH_MAX = 50
COMMAND_BYTES_MAX = DATA_BYTES_MAX * 3 // 4
"""A fact repeats its command's words and adds some of its own."""
_NESTED = Cure(f"nest at most {DEPTH_MAX} levels deep", f"嵌套最多 {DEPTH_MAX} 层")
_UNICODE = Cure("leave out the character U+0000 and halves of surrogate pairs", "请去掉字符 U+0000 和不成对的代理字符")
_64_BITS = Cure("send an integer of at most 64 bits", "请发送不超过 64 位的整数")


def require_storable(command: BaseModel) -> None:
    """Raise WrongShape for the character 0, half a surrogate pair, an integer above 64 bits, an instant that UTC has
    not, or too deep a nesting; BodyTooLarge when the facts of this command would not fit into an entry.
    """
    require_storable_value(command.model_dump())
    if len(command.model_dump_json().encode()) > COMMAND_BYTES_MAX:
        raise BodyTooLarge(COMMAND_BYTES_MAX)


def require_storable_value(value: Any, field: str = "body") -> None:
    """Raise WrongShape for what a value holds that cannot be stored."""
    faults = list(_faults(field, value, 0))
    if faults:
        raise WrongShape(faults)


def _faults(field: str, value: Any, depth: int) -> Iterator[Fault]:
    if depth > DEPTH_MAX:
        yield Fault(field, *_NESTED, value)
    elif isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            yield Fault(field, *_UNICODE, value)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            yield Fault(field, *_64_BITS, value)
    elif isinstance(value, datetime):
        try:
            value.astimezone(UTC)
        except OverflowError:
            yield Fault(field, *IN_UTC, value.isoformat())
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _faults(f"{field} (a name)", name, depth + 1)
            yield from _faults(f"{field}.{name}", item, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for i, item in enumerate(value):
            yield from _faults(f"{field}.{i}", item, depth + 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
