from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.process import ObjectURI, Process, SaveAs
from airflow_provider_oss_async.process.naming import outputs_of
from airflow_provider_oss_async.process.pattern import (
    ANY,
    DIGITS,
    NO_SLASH,
    KeyPattern,
    Maybe,
    Part,
    Some,
    Text,
)

#: Each part beside the regular expression that it stands for.
PARTS: list[tuple[Part, str]] = [
    (Text("a"), "a"),
    (Text("1_"), "1_"),
    (Text(""), ""),
    (Some(DIGITS), "[0-9]+"),
    (Some(DIGITS, 2, 4), "[0-9]{2,4}"),
    (Some(NO_SLASH), "[^/]+"),
    (Some("._", 1, 1) + Maybe(Some(ANY)), r"[._](?s:.+)?"),
    (Maybe(Text("_") + Some(DIGITS)), "(?:_[0-9]+)?"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=5), st.text("a1_/.\n", max_size=12))
def test_parts_match_what_regular_expressions_match(parts: list[tuple[Part, str]], key: str) -> None:
    expected = re.fullmatch("".join(text for _, text in parts), key)
    assert KeyPattern(tuple(part for part, _ in parts)).fullmatch(key) is bool(expected)


def test_many_variables_take_no_time() -> None:
    source = ObjectURI("videos", "a.mp4")
    for template, key in (
        ("{index}" * 60, "1" * 1022 + "x"),
        ("{sheetname}-" * 80, "-" * 1023),
        ("{index}1" * 100 + ".jpg", "1" * 1023),
        ("{resolution}{autoext}{year}" * 30, "1" * 1023 + "/"),
    ):
        process = Process("video/convert", (("f", "mp4"),), saveas=SaveAs(template))
        outputs = outputs_of(process, source)
        assert outputs is not None
        began = time.perf_counter()
        assert not outputs.pattern.fullmatch(key)
        assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("parts", "tail"),
    [
        ((), ""),
        ((Text("a"),), "a"),
        ((Text("p/"), Some(DIGITS), Text("."), Text("jpg")), ".jpg"),
        ((Text("p/"), Some(DIGITS)), ""),
        ((Text("p"), Text("_") + Some(DIGITS) + Text(".jpg")), ".jpg"),
        ((Text("p"), Text("_") + Text(".jpg")), "p_.jpg"),
        ((Text("p"), Maybe(Text(".jpg"))), ""),
    ],
)
def test_the_text_that_every_key_ends_with(parts: tuple[Part, ...], tail: str) -> None:
    assert KeyPattern(parts).tail == tail
