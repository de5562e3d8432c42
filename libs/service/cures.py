"""What a caller is told about a wrong field: the checking library's verdicts in our words, each with what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from libs.events import instants
from libs.events.errors import Unfit
from libs.service.errors import ABSENT, Fault


class Cure(NamedTuple):
    """What to do about a wrong field, in both languages: `Fault(field, *cure, value)`."""

    en: str
    zh: str


MISSING = Cure("is missing; send it", "缺少此项，请填写")
INSTANT = Cure(*instants.CURE)
IN_UTC = Cure("send an instant between the years 1 and 9999 in UTC", "时刻须在 UTC 公元 1 至 9999 年之间")
OBJECT = Cure("must be a JSON object", "必须是 JSON 对象")
_TEXT = Cure("must be a text", "必须是文本")
_WHOLE = Cure("must be a whole number", "必须是整数")
_NUMBER = Cure("must be a number", "必须是数字")
_TRUTH = Cure("must be true or false", "必须是 true 或 false")
_LIST = Cure("must be a list", "必须是列表")
_ID = Cure(
    "must be a UUID, such as 34446ba6-9f0c-531d-86f7-aa36f9a61e75",
    "必须是 UUID，例如 34446ba6-9f0c-531d-86f7-aa36f9a61e75",
)
_ONE_OF = Cure("must be one of {expected}", "必须是以下之一：{expected}")
_PLUS = Cure("; in an address write + as %2B", "；网址中的 + 须写成 %2B")
_CURES = {
    "missing": MISSING,
    "extra_forbidden": Cure(
        "is not known here; leave it out, or correct its name", "此处没有这个字段，请删除或更正名称"
    ),
    "none_required": Cure("must be left out, or null", "必须省略或为 null"),
    "string_type": _TEXT,
    "string_unicode": Cure("must be a text of whole Unicode characters", "必须是由完整 Unicode 字符组成的文本"),
    "string_too_short": Cure("must have at least {min_length} characters", "至少要有 {min_length} 个字符"),
    "string_too_long": Cure("must have at most {max_length} characters", "最多 {max_length} 个字符"),
    "string_pattern_mismatch": Cure("must be of the form {pattern}", "必须符合格式 {pattern}"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": Cure("must be a whole number with fewer digits", "整数的位数过多，请减少"),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "decimal_max_digits": Cure("must have at most {max_digits} digits", "最多 {max_digits} 位数字"),
    "decimal_max_places": Cure("must have at most {decimal_places} decimal places", "最多 {decimal_places} 位小数"),
    "decimal_whole_digits": Cure(
        "must have at most {whole_digits} digits before the point", "小数点前最多 {whole_digits} 位数字"
    ),
    "finite_number": Cure("must be a finite number", "必须是有限的数"),
    "greater_than": Cure("must be greater than {gt}", "必须大于 {gt}"),
    "greater_than_equal": Cure("must be at least {ge}", "不能小于 {ge}"),
    "less_than": Cure("must be less than {lt}", "必须小于 {lt}"),
    "less_than_equal": Cure("must be at most {le}", "不能大于 {le}"),
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": Cure("must have at least {min_length} entries", "至少要有 {min_length} 项"),
    "too_long": Cure("must have at most {max_length} entries", "最多 {max_length} 项"),
    "uuid_type": _ID,
    "uuid_parsing": _ID,
    "timezone_aware": INSTANT,
    "datetime_type": INSTANT,
    "datetime_parsing": INSTANT,
    "datetime_object_invalid": INSTANT,
    "datetime_from_date_parsing": INSTANT,
    "enum": _ONE_OF,
    "literal_error": _ONE_OF,
}
_LOST_PLUS = re.compile(r"T.* \d\d:?\d\d$")


def faults_of(found: Iterable[Mapping[str, Any]], *under: str) -> list[Fault]:
    """Pydantic's errors as faults; `under` is put before each field's name."""
    return [_fault(error, under) for error in found]


def _fault(error: Mapping[str, Any], under: tuple[str, ...]) -> Fault:
    field = ".".join((*under, *(str(part) for part in error["loc"])))
    if error["type"] == "missing":
        return Fault(field, *MISSING)  # the input shown would be the whole of what it is missing from
    cure, found = _cure(error), error.get("input", ABSENT)
    if isinstance(found, str) and "datetime" in error["type"] and _LOST_PLUS.search(found):
        cure = Cure(cure.en + _PLUS.en, cure.zh + _PLUS.zh)
    return Fault(field, *cure, found)


def _cure(error: Mapping[str, Any]) -> Cure:
    about: Mapping[str, Any] = error.get("ctx", {})
    raised = about.get("error")  # by a validator; pydantic would begin its words with "Value error"
    if isinstance(raised, Unfit):
        return Cure(str(raised), raised.zh)
    cure = _CURES.get(error["type"])
    if cure is None:  # what has no words of ours keeps its own
        told = raised or error["msg"]
        return Cure(str(told), f"不符合要求：{told}")
    choices = str(about.get("expected", "")).replace(" or ", "、").replace(", ", "、")
    return Cure(cure.en.format(**about), cure.zh.format(**{**about, "expected": choices}))
