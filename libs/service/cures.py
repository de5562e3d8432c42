"""What a caller is told about a wrong field: the checking library's verdicts in our words, each with what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from libs.service.errors import Fault, shorten

_LOST_PLUS = re.compile(r"T.* \d\d:?\d\d$")
_CURES = {
    "missing": "is missing; send it",
    "extra_forbidden": "is not known here; leave it out, or correct its name",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "uuid_type": "must be a UUID, such as 34446ba6-9f0c-531d-86f7-aa36f9a61e75",
    "uuid_parsing": "must be a UUID, such as 34446ba6-9f0c-531d-86f7-aa36f9a61e75",
    "timezone_aware": "must be an instant with a zone, such as 2026-03-02T09:00:00Z",
    "datetime_type": "must be an instant with a zone, such as 2026-03-02T09:00:00Z",
    "datetime_parsing": "must be an instant with a zone, such as 2026-03-02T09:00:00Z",
    "datetime_from_date_parsing": "must be an instant with a zone, such as 2026-03-02T09:00:00Z",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be of the form {pattern}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
}


def faults_of(found: Iterable[Mapping[str, Any]], *under: str) -> list[Fault]:
    """Pydantic's errors as faults; `under` is put before each field's name. What has no words of ours keeps its own."""
    return [_fault(error, under) for error in found]


def _fault(error: Mapping[str, Any], under: tuple[str, ...]) -> Fault:
    field = ".".join((*under, *(str(part) for part in error["loc"])))
    if error["type"] == "missing":
        return Fault(field, "", _CURES["missing"])  # the input shown would be the whole of what it is missing from
    found = error.get("input")
    text = _CURES.get(error["type"])
    cure = str(error["msg"]) if text is None else text.format(**error.get("ctx", {}))
    if isinstance(found, str) and "datetime" in error["type"] and _LOST_PLUS.search(found):
        cure += "; in an address write + as %2B"
    return Fault(field, shorten(found), cure)
