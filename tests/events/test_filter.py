from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.batch.ledger import PREFIX
from airflow_provider_oss_async.batch.sources import selected
from airflow_provider_oss_async.events.filter import ALWAYS_EXCLUDED, EventFilter
from airflow_provider_oss_async.exceptions import ProcessError


def checked(**given: Any) -> EventFilter:
    return EventFilter.checked(**{"prefix": None, "suffix": None, "pattern": None, "exclude": (), **given})


@pytest.mark.parametrize(
    ("given_filter", "bucket", "key", "wanted"),
    [
        ({}, "media", "a.mov", True),
        ({}, "media", "folder/", False),
        ({}, "media", ".oss-async/d/ledger.jsonl", False),
        ({"prefix": ".oss-async/"}, "media", ".oss-async/d/ledger.jsonl", False),
        ({}, "media", ".dlsdata/1/2", False),
        ({"prefix": "in/"}, "media", "in/a.mov", True),
        ({"prefix": "in/"}, "media", "inn/a.mov", False),
        ({"prefix": "oss://media/in/"}, "media", "in/a.mov", True),
        ({"prefix": "oss://media/in/"}, "other", "in/a.mov", False),
        ({"prefix": "oss://media"}, "media", "a.mov", True),
        ({"prefix": "oss://media"}, "media-2", "a.mov", False),
        ({"suffix": ".mov"}, "media", "in/a.mov", True),
        ({"suffix": ".mov"}, "media", "in/a.MOV", False),
        ({"pattern": "*.mo?"}, "media", "in/a.mov", True),
        ({"pattern": "in*"}, "media", "in/a.mov", False),
        ({"pattern": "[ab].mov"}, "media", "in/deep/b.mov", True),
        ({"prefix": "in/", "exclude": ["in/done/"]}, "media", "in/done/a.mov", False),
        ({"prefix": "in/", "exclude": "in/done/"}, "media", "in/new/a.mov", True),
        ({"exclude": ["oss://media/out/"]}, "media", "out/a.mov", False),
        ({"exclude": ["oss://media/out/"]}, "other", "out/a.mov", True),
    ],
)
def test_matches(given_filter: dict[str, Any], bucket: str, key: str, wanted: bool) -> None:
    made = checked(**given_filter)
    assert made.matches(bucket, key) is wanted
    assert EventFilter.from_dict(made.to_dict()) == made


def test_the_ledgers_of_batches_are_excluded() -> None:
    assert PREFIX in ALWAYS_EXCLUDED


@pytest.mark.parametrize("pattern", ["*.mov", "a?c*", "[!x]*", "*", "A*", "*[0-9].mp4"])
@pytest.mark.parametrize("key", ["in/abc.mov", "abc", "x.mov", "in/Abc7.mp4", "in/.mov"])
def test_a_pattern_means_what_it_means_in_a_listing(pattern: str, key: str) -> None:
    listed = selected({"pattern": pattern}, key, 1, 0.0, "")
    assert checked(pattern=pattern).matches("media", key) is listed


def test_time_is_proportional() -> None:
    """A pattern that takes a backtracking matcher years."""
    begin = time.perf_counter()
    assert not checked(pattern="*a" * 200 + "b").matches("media", "a" * 1000)
    assert time.perf_counter() - begin < 1


def test_one_message_names_every_wrong_argument() -> None:
    with pytest.raises(ProcessError) as caught:
        checked(prefix="http://x/", suffix=3, pattern="a/b", exclude=["ok/", 7])
    assert len(caught.value.problems) == 4
    for name in ("prefix='http://x/'", "suffix=3", "pattern='a/b'", "exclude=['ok/', 7]"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": "/in"},
        {"prefix": "oss://UPPER/in/"},
        {"prefix": ""},
        {"prefix": "x" * 2000},
        {"suffix": "None"},
        {"exclude": {"a": 1}},
        {"exclude": ["/out"]},
        {"exclude": [""]},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProcessError, match=r"not allowed|not a bucket name"):
        checked(**wrong)


@pytest.mark.parametrize(
    ("given_filter", "head", "tail", "possible"),
    [
        ({"prefix": "in/"}, "out/", ".mp4", False),
        ({"prefix": "in/"}, "i", ".mp4", True),
        ({"prefix": "in/"}, "in/x", ".mp4", True),
        ({"prefix": "oss://other/in/"}, "in/x", ".mp4", False),
        ({"suffix": ".mov"}, "in/", ".mp4", False),
        ({"suffix": ".mov"}, "in/", "", True),
        ({"suffix": "-x.mov"}, "in/", ".mov", True),
        ({"pattern": "*.mov"}, "in/", ".mp4", False),
        ({"pattern": "*.mov"}, "in/", ".mov", True),
        ({"pattern": "*.m??"}, "in/", ".mp4", True),
        ({"pattern": "a[*]b"}, "in/", "*b", True),
        ({"exclude": ["in/done/"]}, "in/done/x", ".mov", False),
        ({"exclude": ["in/done/"]}, "in/", ".mov", True),
        ({}, ".oss-async/", ".jsonl", False),
        ({}, "in/", "/", False),
    ],
)
def test_of_a_key_only_its_ends_are_known(
    given_filter: dict[str, Any], head: str, tail: str, possible: bool
) -> None:
    assert checked(**given_filter).may_match("media", head, tail) is possible


TEXT = st.text("ab/.*?", max_size=6)


@given(TEXT, TEXT, TEXT, TEXT, st.text("ab.*?[]", min_size=1, max_size=5), TEXT)
def test_what_matches_was_possible(
    head: str, middle: str, tail: str, prefix: str, pattern: str, suffix: str
) -> None:
    """Knowing only the ends of a key never says no where the whole key says yes."""
    made = EventFilter(prefix or None, suffix or None, pattern)
    if made.matches("media", head + middle + tail):
        assert made.may_match("media", head, tail)
