from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import ObjectURI, ProcessError, Segment
from airflow_provider_oss_async.process.clip import from_segment, to_segment

SOURCE = ObjectURI("media", "a.mp4")


@pytest.mark.parametrize(
    ("clip", "params"),
    [
        ({"object": "b.mp4"}, ()),
        ({"object": "oss://media/b.mp4", "duration": 0, "start": 1.5}, (("ss", "1500"), ("t", "0"))),
    ],
)
def test_a_clip_becomes_a_segment_and_is_read_again(
    clip: dict[str, Any], params: tuple[tuple[str, str], ...]
) -> None:
    segment = to_segment(clip, "pre", SOURCE, "before[0]")
    assert segment == Segment("pre", "b.mp4", params)
    assert from_segment(segment) == clip | {"object": "b.mp4"}


def test_a_clip_is_in_the_bucket_of_the_source() -> None:
    with pytest.raises(ProcessError, match=r"before\[0\]='oss://other-one/b.mp4' is not in .* bucket media"):
        to_segment({"object": "oss://other-one/b.mp4"}, "pre", SOURCE, "before[0]")
    # Where the bucket is not known, only the name is checked.
    anywhere = to_segment({"object": "oss://other-one/b.mp4"}, "sur", ObjectURI("", ""), "after[0]")
    assert anywhere.object == "b.mp4"


@pytest.mark.parametrize("params", [(("x", "1"),), (("ss", "1.5"),), (("t", "-1"),)])
def test_a_segment_with_something_else_is_refused(params: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ProcessError, match="/pre takes ss and t in whole milliseconds"):
        from_segment(Segment("pre", "b.mp4", params))
