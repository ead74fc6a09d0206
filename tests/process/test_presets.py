"""Presets expand to visible specifications, and a released version never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oss_async.local.server.process_request import BUILT_IN_STYLES
from airflow_provider_oss_async.process import Process, ProcessError, VideoConvert, parse_process
from airflow_provider_oss_async.process.presets import PRESETS, PUBLISHED, Preset, find_preset, preset

#: What every released version expands to. Lines are added, and never changed.
RELEASED = [
    json.loads(line)
    for line in (Path(__file__).parent / "released_presets.jsonl").read_text("utf-8").splitlines()
]
ALL = [one for versions in PRESETS.values() for one in versions.values()]


def wire(one: Preset) -> str:
    specification = preset(one.name, version=one.version)
    return Process(specification.operation, specification.wire_params()).encode()


def test_released_versions_have_not_changed() -> None:
    now = [{"name": one.name, "version": one.version, "process": wire(one)} for one in ALL]
    assert [line for line in RELEASED if line not in now] == [], "make a new version of the preset instead"
    assert [line for line in now if line not in RELEASED] == [], "add it to released_presets.jsonl"


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.version}")
def test_every_preset_says_where_it_comes_from_and_raises_no_warning(one: Preset) -> None:
    assert one.meaning
    assert "https://" in one.source or "second-hand" in one.source
    assert "20" in one.source or "second-hand" in one.source, "the source has a date"
    assert set(one.fixed) <= set(one.arguments)
    specification = preset(one.name, version=one.version)
    assert list(specification.warnings()) == []
    # Every argument can be read in the rendered template.
    for name, value in one.arguments.items():
        assert f"{name}={specification.values[name]!r}" in repr(specification)
        assert specification.values[name] == value


def test_the_sizes_are_those_of_the_built_in_styles() -> None:
    widths = {360: 640, 540: 960, 720: 1280, 1080: 1920, 1440: 2560, 2160: 3840}
    for lines, width in widths.items():
        assert preset(f"h264_{lines}p").get("width") == width
    assert {row.service for row in PUBLISHED} == {"MPS", "IMS"}


@pytest.mark.parametrize("name", BUILT_IN_STYLES)
def test_copies_of_styles_are_those_of_the_stand_in(name: str) -> None:
    copy = preset(f"style_{name.replace('-', '_')}")
    assert set(copy.wire_params()) == set(parse_process(BUILT_IN_STYLES[name]).params)
    assert find_preset(f"style_{name.replace('-', '_')}").source.startswith("second-hand")


def test_overrides_take_the_place_of_arguments_and_none_takes_them_away() -> None:
    plain = preset("h264_720p")
    changed = preset("h264_720p", frame_rate=25, channels="1", width="1280", no_subtitles=None)
    assert isinstance(changed, VideoConvert)
    assert changed.values == {
        **{name: value for name, value in plain.values.items() if name != "no_subtitles"},
        "frame_rate": 25,
        "channels": 1,
    }
    bit_rate = preset("h264_720p", crf=None, max_bitrate=None, buffer_size=None, video_bitrate=2_000_000)
    assert bit_rate.get("video_bitrate") == 2_000_000
    assert "crf" not in bit_rate.values


def test_what_is_not_an_argument_goes_through() -> None:
    assert preset("h264_720p", extra_params={"x": 1}).extra_params == {"x": "1"}
    assert preset("h264_720p", no_audio=True, allow_ignored=True).get("no_audio")


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("h264_721p", {}, ["'h264_721p' is not known", "h264_720p", "podcast_aac"]),
        (720, {}, ["720 is not known"]),
        ("h264_720p", {"version": 7}, ["no version 7: expected one of 1"]),
        ("h264_720p", {"width": 640}, ["width=640 contradicts its width=1280", "another preset"]),
        ("h264_720p", {"width": True}, ["width=True contradicts"]),
        ("h264_720p", {"container": None}, ["container=None contradicts its container='mp4'"]),
        ("narrowband_720p", {"narrowband_hd": False}, ["narrowband_hd=False contradicts"]),
        ("h264_720p", {"video_bitrate": 1_000_000}, ["video_bitrate and crf exclude", "None", "crf"]),
        ("h264_720p", {"no_audio": True}, ["would be ignored", "taken away with None"]),
        ("pages_png", {"pages": -1}, ["pages=-1 is not allowed"]),
        # All of them in one message.
        (
            "h264_720p",
            {"wdth": 1, "container": "webm", "crf": 99},
            ["wdth is not an argument of VideoConvert", "contradicts its container='mp4'", "crf=99"],
        ),
    ],
)
def test_contradictions_are_named_before_anything_is_sent(
    name: Any, arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ProcessError) as caught:
        preset(name, **arguments)
    for word in words:
        assert word in str(caught.value)


def test_a_fixed_switch_may_be_repeated() -> None:
    assert (
        preset("narrowband_720p", narrowband_hd="true", pixel_format="yuv420p").get("narrowband_hd") is True
    )
