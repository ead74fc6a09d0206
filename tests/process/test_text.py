from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest

from airflow_provider_oss_async.process.text import is_missing, plain, plain_number, shown


class Codec(str, Enum):  # noqa: UP042 - older code has such classes
    H264 = "h264"


class Kind(Enum):
    CODEC = Codec.H264


class Level(IntEnum):
    LOW = 1


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        (b"a", "b'a'"),
        (10**101, "a number of more than 100 digits"),
        ([1, "a"], "[1, 'a']"),
        ([Broken()], "[<Broken instance at "),
        (Broken(), "an object of the type Broken"),
    ],
)
def test_shown(value: Any, text: str) -> None:
    assert shown(value).startswith(text)


@pytest.mark.parametrize("value", ["a" * 10**7, b"a" * 10**7, [list(range(10**5))] * 50, {"a" * 500: 1}])
def test_what_is_shown_is_short(value: Any) -> None:
    assert len(shown(value)) <= 103


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Codec.H264, "h264"),
        (Kind.CODEC, "h264"),
        (Level.LOW, 1),
        (np.float64(1.5), 1.5),
        (np.str_("a"), "a"),
        (True, True),
        (None, None),
        ([1], [1]),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    assert (type(plain(value)), plain(value)) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ("", True),
        (" \n", True),
        ("None", True),
        (" None ", True),
        ("none", False),
        ("a", False),
        (None, False),
    ],
)
def test_is_missing(value: Any, missing: bool) -> None:
    assert is_missing(value) is missing


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0, "0"), (Level.LOW, "1"), (np.float64(0.5), "0.5"), (1e-10, "0.0000000001")]
)
def test_plain_number(value: float, text: str) -> None:
    assert plain_number(value) == text
