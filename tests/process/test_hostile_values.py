"""Values of wrong types and sizes: each is refused quickly, or sent as it was checked."""

from __future__ import annotations

import time
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    ObjectURI,
    Process,
    ProcessError,
    SaveAs,
    Segment,
    Specification,
    Style,
    VideoConvert,
    parse_process,
)
from airflow_provider_oss_async.process.text import plain, shown
from tests.support.specifications import minimal

from .strategies import FIELDS, SOURCE, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.process.field import Field


class Codec(str, Enum):  # noqa: UP042  # the class that is written Codec.H264
    H264 = "h264"


class Rate(IntEnum):
    CD = 44_100


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no representation")


class OddText(str):
    def __str__(self) -> str:
        return "h264,t_0"


def deep(kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    value: Any = "a"
    for _ in range(100_000):
        value = [value] if kind is list else {"object": value}
    return value


@pytest.fixture(scope="module", name="hostile")
def hostile_values() -> Iterator[list[Any]]:
    values = [
        deep(list), deep(dict), Odd(), [Odd()], {"object": Odd()}, 10**5000, -(10**5000), "9" * 100_000,
        "a" * 1_000_000, [10**5000], [], {}, -0.0, float("nan"), float("inf"), b"a", np.array([1, 2]),
        np.datetime64("2026"), complex(1, 2), lambda: None, type, NotImplemented, ...,
    ]  # fmt: skip
    yield values
    # Emptied level by level: freeing a list that is nested this deeply is not what is tested.
    for value in values[:2]:
        while isinstance(value, list | dict) and value:
            value = value.pop() if isinstance(value, list) else value.popitem()[1]


@pytest.mark.parametrize(("spec", "field"), FIELDS, ids=[f"{s.operation}-{f.name}" for s, f in FIELDS])
def test_arguments(spec: type[Specification], field: Field, hostile: list[Any]) -> None:
    for value in hostile:
        began = time.perf_counter()
        message = ""
        try:
            built = spec(**(minimal(spec) | {field.name: value}))
        except ProcessError as error:
            message = str(error)
        else:
            assert value in (-0.0, [])
            assert "-" not in dict(built.wire_params()).get(field.param.key, "")
        assert len(message) < 3000
        assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "make",
    [
        lambda value: AudioConvert(container="mp3", extra_params=value),
        lambda value: AudioConvert(container="mp3", extra_params={"key": value}),
        lambda value: ObjectURI.parse(value),
        parse_process,
        lambda value: Process(value),
        lambda value: Process("video/convert", (("f", value),)),
        lambda value: Process("video/convert", ((value, "mp4"),)),
        lambda value: Process("video/convert", saveas=SaveAs(value)),
        lambda value: Process("video/convert", topic=value),
        lambda value: Segment(value, "a"),
        lambda value: Segment("pre", value),
        lambda value: SaveAs("a", value),
        Style,
        lambda value: Style("a", value),
        lambda value: VideoConvert(container="mp4").to_process(SOURCE, TARGET, value),
        lambda value: VideoConvert(container="mp4").to_process(SOURCE, ObjectURI("bucket", value)),
    ],
)
def test_everything_else(make: Callable[[Any], Any], hostile: list[Any]) -> None:
    for value in hostile:
        began = time.perf_counter()
        message = ""
        try:
            make(value)
        except ProcessError as error:
            message = str(error)
        assert len(message) < 3000
        assert time.perf_counter() - began < 1


@pytest.mark.parametrize("topic", [[], -0.0, 0, False, (), {}])
def test_topics_that_are_false(topic: Any) -> None:
    with pytest.raises(ProcessError, match="topic"):
        VideoConvert(container="mp4").to_process(SOURCE, TARGET, topic)


def test_what_is_checked_is_what_is_sent() -> None:
    spec = VideoConvert(
        container="mp4",
        video_codec=Codec.H264,
        audio_codec="aac",
        sample_rate=Rate.CD,
        crf=np.float64(23.5),
        start=np.float64(1.5),
        extra_params={"a": np.float64(1.5), "b": Rate.CD, "c": Codec.H264, "d": -0.0},
    )
    assert dict(spec.wire_params()) == {
        "f": "mp4", "ss": "1500", "vcodec": "h264", "acodec": "aac", "crf": "23.5", "ar": "44100",
        "a": "1.5", "b": "44100", "c": "h264", "d": "0",
    }  # fmt: skip
    assert "Codec" not in repr(spec)
    merge = AudioConcat(container="mp3", before=[Codec.H264, {"object": Codec.H264, "start": Rate.CD}])
    assert [segment.object for segment in merge.to_process(SOURCE, TARGET).segments] == ["h264", "h264"]


def test_text_with_two_readings_is_sent_as_it_was_checked() -> None:
    spec = VideoConvert(container="mp4", video_codec=OddText("h264"))
    assert dict(spec.wire_params())["vcodec"] == "h264"


@pytest.mark.parametrize("value", ["None", " None ", ""])
def test_what_a_missing_value_becomes_is_refused(value: str) -> None:
    with pytest.raises(ProcessError, match="video_codec="):
        VideoConvert(container="mp4", video_codec=value)
    with pytest.raises(ProcessError, match=r"extra_params\['a'\]"):
        AudioConvert(container="mp3", extra_params={"a": value})
    with pytest.raises(ProcessError, match="before="):
        AudioConcat(container="mp3", before=[value])


def test_native_templates_are_named_where_text_was_not_rendered() -> None:
    for make in (
        lambda: AudioConcat(container="mp3", before="['a', 'b']"),
        lambda: AudioConvert(container="mp3", extra_params="{'a': 1}"),  # type: ignore[arg-type]
        lambda: ObjectURI.parse(20260101),  # type: ignore[arg-type]
    ):
        with pytest.raises(ProcessError, match="render_template_as_native_obj=True"):
            make()


def test_parameters_of_segments_are_never_base64() -> None:
    text = "audio/concat,f_mp3/pre,o_YQ,pages_1e3"
    process = parse_process(text)
    assert process.segments == (Segment("pre", "a", (("pages", "1e3"),)),)
    assert process.encode() == text
    with pytest.raises(ProcessError, match="printable ASCII"):
        Segment("pre", "a", (("pages", "1/sur,o_YQ"),))


def test_long_texts_take_no_time() -> None:
    for text in ("{{" * 32_000, "{{ " * 32_000, "{%" * 32_000, "oss://" + "{a" * 32_000, "a/" * 100_000):
        for variables in (False, True):
            began = time.perf_counter()
            with pytest.raises(ProcessError):
                ObjectURI.parse(text, default_bucket="bucket-1", variables=variables)
            assert time.perf_counter() - began < 0.2
    for text in (
        "/pre" * 50_000,
        "video/concat" + "/pre,o_YQ" * 20_000 + "|",
        "a," * 100_000,
        "|sys/" * 50_000,
    ):
        began = time.perf_counter()
        with pytest.raises(ProcessError):
            parse_process(text)
        assert time.perf_counter() - began < 1


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=20)
)
def test_messages_are_short(value: Any) -> None:
    assert len(shown(value)) <= 103
    assert plain(value) is value or plain(value) == value
