"""What to do about a wrong field is said in both languages, whatever was wrong with it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from libs.service.cures import faults_of
from libs.service.doors import Instant
from libs.service.errors import ABSENT, Fault
from libs.service.zones import known_zone


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def _never(value: Any) -> Any:
    raise ValueError("not today")


def _fault(hint: Any, value: Any) -> Fault:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(hint).validate_python(value)
    (fault,) = faults_of([dict(error) for error in caught.value.errors()])
    return fault


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, 7),
        (Annotated[str, Field(max_length=2)], "\ud800"),
        (Annotated[str, Field(min_length=2)], "a"),
        (Annotated[str, Field(max_length=2)], "abc"),
        (Annotated[str, Field(pattern="^a$")], "b"),
        (int, None),
        (int, "many"),
        (int, 1.5),
        (int, "9" * 5_000),
        (float, []),
        (float, "many"),
        (bool, 7),
        (bool, []),
        (Decimal, []),
        (Decimal, "many"),
        (Decimal, "NaN"),
        (Annotated[Decimal, Field(max_digits=3)], "1234"),
        (Annotated[Decimal, Field(decimal_places=1)], "1.25"),
        (Annotated[Decimal, Field(max_digits=3, decimal_places=2)], "12.5"),
        (Annotated[int, Field(gt=1)], 1),
        (Annotated[int, Field(ge=1)], 0),
        (Annotated[int, Field(lt=1)], 1),
        (Annotated[int, Field(le=1)], 2),
        (dict[str, str], 7),
        (list[str], 7),
        (tuple[str, ...], 7),
        (Annotated[list[str], Field(min_length=1)], []),
        (Annotated[list[str], Field(max_length=1)], ["a", "b"]),
        (Inner, 7),
        (Inner, {}),
        (Inner, {"name": "a", "more": 1}),
        (UUID, 7),
        (UUID, "a"),
        (Instant, None),
        (Instant, "2026-11-02"),
        (Instant, "2026-11-02T11:30"),
        (Instant, "2026-11-02T25:30Z"),
        (Instant, "0001-01-01T00:00:00+14:00"),
        (Literal["red", "blue"], "green"),
        (None, 7),
    ],
)
def test_every_fault_that_a_door_can_find_has_a_chinese_cure_of_its_own(hint: Any, value: Any) -> None:
    fault = _fault(hint, value)
    assert fault.cure
    assert re.search("[一-鿿]", fault.cure_zh)
    assert "不符合要求" not in fault.cure_zh
    for told in (fault.cure, fault.cure_zh):
        assert "Input should" not in told
        assert "{" not in told


def test_the_values_to_choose_from_are_listed_as_each_language_lists_them() -> None:
    fault = _fault(Literal["red", "green", "blue"], "gray")
    assert fault.cure == "must be one of 'red', 'green' or 'blue'"
    assert fault.cure_zh == "必须是以下之一：'red'、'green'、'blue'"


def test_what_a_validator_says_is_told_without_what_the_library_puts_before_it() -> None:
    fault = _fault(Annotated[str, BeforeValidator(_never)], "a")
    assert (fault.cure, fault.cure_zh) == ("not today", "不符合要求：not today")
    zone = _fault(Annotated[str, BeforeValidator(known_zone)], "Mars/Olympus")
    assert zone.cure == "must be a time zone's name, such as Asia/Shanghai"
    assert zone.cure_zh == "必须是时区名称，例如 Asia/Shanghai"


def test_a_missing_field_has_no_value() -> None:
    assert _fault(Inner, {}).value is ABSENT
