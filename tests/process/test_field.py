from __future__ import annotations

from typing import Annotated, Any, Required

import pytest
from annotated_types import Interval, MultipleOf
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.field import (
    Field,
    Param,
    Seconds,
    Token,
    fields_of,
    milliseconds,
    seconds,
)


class Parameters(TypedDict, total=False):
    format: Required[Annotated[Token, Param("f", "Format.", known=("a", "b"))]]
    closed: Annotated[Token, Param("c", "Format.", known=("a", "b"), closed=True)]
    at: Annotated[Seconds, Param("ss", "Begin.", unit="s")]
    width: Annotated[int, Interval(ge=2, le=8), MultipleOf(2), Param("w", "Width.", unit="px")]
    rate: Annotated[float, Interval(gt=0, le=240), Param("r", "Rate.")]
    flag: Annotated[bool, Param("x", "Flag.")]
    choice: Annotated[str, Param("o", "Choice.", choices=(("no", "0"), ("yes", "1")))]
    pages: Annotated[str, Param("p", "Pages.", form="page numbers")]


FIELDS: dict[str, Field] = {field.name: field for field in fields_of(Parameters)}


def test_fields_keep_their_order_and_say_what_is_required() -> None:
    assert list(FIELDS) == list(Parameters.__annotations__)
    assert [field.name for field in FIELDS.values() if field.required] == ["format"]
    assert [field.name for field in FIELDS.values() if field.is_time] == ["at"]


@pytest.mark.parametrize(
    ("name", "allowed", "wire_form"),
    [
        ("format", "text such as a, b", "text"),
        ("closed", "one of a, b", "text"),
        ("at", "seconds or a timedelta from 0 to 1000000000 s", "whole milliseconds"),
        ("width", "an even whole number from 2 to 8 px", "a whole number"),
        ("rate", "a number above 0 to 240", "a number"),
        ("flag", "true or false", "0 or 1"),
        ("choice", "one of no, yes", "one of 0, 1"),
        ("pages", "page numbers", "text"),
    ],
)
def test_allowed_values_in_words(name: str, allowed: str, wire_form: str) -> None:
    assert (FIELDS[name].allowed, FIELDS[name].wire_form) == (allowed, wire_form)


@pytest.mark.parametrize(
    ("name", "value", "wire", "read"),
    [
        ("format", "a", "a", "a"),
        ("at", 1.5, "1500", 1.5),
        ("width", 4, "4", 4),
        ("rate", 29.97, "29.97", "29.97"),
        ("rate", 1e-7, "0.0000001", "0.0000001"),
        ("flag", True, "1", True),
        ("flag", False, "0", False),
        ("choice", "yes", "1", "yes"),
    ],
)
def test_wire_form_and_back(name: str, value: Any, wire: str, read: Any) -> None:
    assert FIELDS[name].encode(value) == wire
    assert FIELDS[name].decode(wire) == read


@pytest.mark.parametrize(
    ("name", "wire"),
    [("at", "1.5"), ("at", "1" * 19), ("width", "4.0"), ("width", "+4"), ("rate", "1e3"), ("rate", ".5"),
     ("flag", "true"), ("flag", "2"), ("choice", "yes"), ("choice", "2")],
)  # fmt: skip
def test_what_is_not_in_wire_form_is_refused(name: str, wire: str) -> None:
    with pytest.raises(ValueError, match=r"is (not|neither)"):
        FIELDS[name].decode(wire)


def test_milliseconds_and_seconds_are_inverse() -> None:
    for number in (0, 1, 999, 1_000_000_000_000):
        assert milliseconds(seconds(str(number))) == str(number)
