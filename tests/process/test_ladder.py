"""Renditions of one video, of which none is larger than the video."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import AudioConvert, ProcessError, VideoConvert
from airflow_provider_oss_async.process.ladder import DEFAULT_RENDITIONS, plan_ladder, read_renditions
from airflow_provider_oss_async.process.presets import PRESETS, preset

TARGET = "out/{barename}_{rendition}.mp4"


def names(size: tuple[int, int] | None, renditions: Any = DEFAULT_RENDITIONS) -> list[str]:
    return list(plan_ladder("a.mov", TARGET, renditions, size=size))


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (None, ["h264_360p", "h264_540p", "h264_720p", "h264_1080p"]),
        ((3840, 2160), ["h264_360p", "h264_540p", "h264_720p", "h264_1080p"]),
        ((1920, 1080), ["h264_360p", "h264_540p", "h264_720p", "h264_1080p"]),
        # The last one is at the source's size: nothing of the source is lost.
        ((1278, 720), ["h264_360p", "h264_540p", "h264_720p"]),
        ((1280, 720), ["h264_360p", "h264_540p", "h264_720p"]),
        # Turned: the long side counts.
        ((720, 1280), ["h264_360p", "h264_540p", "h264_720p"]),
        ((640, 360), ["h264_360p"]),
        ((16, 16), ["h264_360p"]),
        ((0, 0), ["h264_360p", "h264_540p", "h264_720p", "h264_1080p"]),
    ],
)
def test_what_is_above_the_source_is_left_out(size: tuple[int, int] | None, found: list[str]) -> None:
    assert names(size) == found


def test_each_rendition_is_the_arguments_of_one_job() -> None:
    plan = plan_ladder("oss://media/a.mov", TARGET, ["h264_720p", "h264_360p"])
    assert list(plan) == ["h264_360p", "h264_720p"], "from the smallest to the largest"
    row = plan["h264_720p"]
    assert (row["source"], row["target"]) == ("oss://media/a.mov", "out/{barename}_h264_720p.mp4")
    arguments = {key: value for key, value in row.items() if key not in ("source", "target")}
    assert VideoConvert(**arguments) == preset("h264_720p")


def test_renditions_of_ones_own_never_become_larger() -> None:
    own = {
        "wide": VideoConvert(container="mp4", video_codec="h264", width=1280, height=400),
        "high": VideoConvert(container="mp4", video_codec="h264", height=360, size_if_smaller="fail"),
    }
    plan = plan_ladder("a.mov", TARGET, own)
    assert [row["size_if_smaller"] for row in plan.values()] == ["fail", "keep_source"]
    assert names((400, 400), own) == ["high", "wide"]
    assert names((360, 300), own) == ["high"]


@pytest.mark.parametrize(
    ("renditions", "words"),
    [
        ("h264_360p", ["renditions='h264_360p'", "expected a list"]),
        (7, ["renditions=7"]),
        ([], ["0 are not allowed: expected 1 to 20"]),
        (
            ["h264_360p", "h264_361p", "podcast_aac"],
            ["'h264_361p' is not known", "podcast_aac is not a Video"],
        ),
        (["h264_360p", "h264_360p"], ["there twice"]),
        ({"a/b": preset("h264_360p"), "x": AudioConvert(container="mp3")}, ["'a/b'", "x is not a Video"]),
        ({"x": VideoConvert(container="mp4", video_codec="h264")}, ["with a width or height"]),
        ({"x": preset("h264_360p", size_if_smaller="convert")}, ["size_if_smaller='convert'"]),
        ({"x": preset("h264_360p", extra_params={"k": 1})}, ["extra_params"]),
    ],
)
def test_wrong_renditions_are_named_together(renditions: Any, words: list[str]) -> None:
    with pytest.raises(ProcessError) as caught:
        plan_ladder("a.mov", "out/all.mp4", renditions)
    for word in [*words, "target='out/all.mp4' is not allowed", "{rendition}"]:
        assert word in str(caught.value)


def test_every_preset_with_a_size_is_a_rendition() -> None:
    sized = [name for name in PRESETS if "width" in preset(name).values and "video" in preset(name).operation]
    renditions = [name for name in sized if isinstance(preset(name), VideoConvert)]
    assert len(read_renditions(renditions[:20])) == len(renditions[:20])
