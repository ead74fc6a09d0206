"""The answers of ``video/info``, ``audio/info`` and ``image/info`` about real files."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from airflow_provider_oss_async.local.processing.media_info import describe
from airflow_provider_oss_async.local.processing.result import JobFailed

if TYPE_CHECKING:
    from pathlib import Path


def zeros(value: Any) -> list[Any]:
    """Return the values that are zero or empty, at any depth."""
    if isinstance(value, dict | list):
        inner = [zeros(item) for item in (value.values() if isinstance(value, dict) else value)]
        return [found for part in inner for found in part] + ([] if value else [value])
    return [] if value else [value]


def test_a_video_with_sound(clips: dict[str, Path]) -> None:
    found = describe("video", clips["wide.mp4"])
    (video,), (audio,) = found["VideoStreams"], found["AudioStreams"]
    assert "mp4" in found["FormatName"].split(",")
    assert found["StreamCount"] == 2
    assert found["Size"] == clips["wide.mp4"].stat().st_size
    assert found["Duration"] == pytest.approx(2, abs=0.1)
    assert (video["CodecName"], video["Width"], video["Height"]) == ("h264", 320, 180)
    assert (found["VideoWidth"], found["VideoHeight"]) == (320, 180)
    assert (video["FrameCount"], video["FrameRate"]) == (50, "25/1")
    assert math.isclose(Fraction(video["AverageFrameRate"]), 25, rel_tol=0.02)
    assert (audio["CodecName"], audio["Channels"], audio["Index"]) == ("aac", 1, 1)
    assert type(video["Width"]) is type(audio["SampleRate"]) is int


def test_zero_values_are_left_out(clips: dict[str, Path]) -> None:
    for name in ("wide.mp4", "tall.mkv", "sound.wav"):
        assert zeros(describe("video", clips[name])) == []
    silent = describe("video", clips["tall.mkv"])
    assert "AudioStreams" not in silent
    assert silent["StreamCount"] == 1
    # The first stream has no Index.
    assert "Index" not in silent["VideoStreams"][0]


def test_sound_alone(clips: dict[str, Path]) -> None:
    found = describe("audio", clips["sound.wav"])
    assert "VideoStreams" not in found
    assert "VideoWidth" not in found
    (audio,) = found["AudioStreams"]
    assert (audio["SampleRate"], audio["Channels"]) == (48000, 2)
    # A whole number of seconds has no point.
    assert (found["Duration"], type(found["Duration"])) == (2, int)


@pytest.mark.parametrize(("suffix", "name"), [("jpg", "jpg"), ("png", "png"), ("webp", "webp")])
def test_an_image_has_texts(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (40, 30)).save(path)
    assert describe("image", path) == {
        "FileSize": {"value": str(path.stat().st_size)},
        "Format": {"value": name},
        "FrameCount": {"value": "1"},
        "ImageHeight": {"value": "30"},
        "ImageWidth": {"value": "40"},
    }


def test_an_animation_has_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert describe("image", tmp_path / "a.gif")["FrameCount"] == {"value": "3"}


def test_what_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"text")
    for kind, code in (("video", "UnsupportedMedia"), ("image", "InvalidArgument")):
        with pytest.raises(JobFailed) as caught:
            describe(kind, path)
        assert caught.value.code == code
    with pytest.raises(JobFailed, match="ImageTooLarge"):
        describe("image", path, max_image=3)
