"""Every preset runs, and its result is what the preset says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from airflow_provider_oss_async.local.processing.ffmpeg import Media, probe, run
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import AudioConvert, VideoConvert
from airflow_provider_oss_async.process.presets import PRESETS, preset

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification

CODECS = {"h265": "hevc"}
VIDEOS = [name for name in PRESETS if isinstance(preset(name), VideoConvert) and name != "audio_track"]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3840 x 2160 px, 2 frames a second, 1 s, with sound."""
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc2=s=3840x2160:r=2:d=1"]
    sound = ["-f", "lavfi", "-i", "aevalsrc='0.2*random(0)|0.2*random(1)':s=48000:d=1"]
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    run([*pictures, *sound, *h264, "-c:a", "aac", "-b:a", "512k", str(path)])
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """640 x 360 px, 21 s: seven scenes of three seconds."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    wave = "128+100*sin((X*(1+floor(T/3))+Y*(7-floor(T/3)))/40)"
    picture = f"color=s=640x360:r=1:d=21,geq=lum='{wave}':cb=128:cr=128"
    run(["-f", "lavfi", "-i", picture, "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)])
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """640 x 360 px, 21 s, no frame like another."""
    path = tmp_path_factory.mktemp("moving") / "moving.mp4"
    run(["-f", "lavfi", "-i", "testsrc2=s=640x360:r=5:d=21", "-preset", "ultrafast", str(path)])
    return path


def result(specification: Specification, source: Path, folder: Path) -> Media:
    (file,) = process_job(specification, source, {}, folder).files
    return probe(file.path)


@pytest.mark.parametrize("name", VIDEOS)
def test_renditions_are_what_they_say(name: str, large: Path, tmp_path: Path) -> None:
    specification = preset(name)
    media = result(specification, large, tmp_path)
    assert media.video
    assert media.audio
    assert specification.get("container") in media.container
    codec, width = specification.get("video_codec"), specification.get("width")
    assert (media.video.codec, media.video.width) == (CODECS.get(codec, codec), width)
    assert media.video.height == width * 9 // 16
    assert media.video.fps == pytest.approx(2, rel=0.01), "there are not more frames than in the source"
    assert media.video.pixel_format == "yuv420p"
    assert (media.audio.codec, media.audio.sample_rate, media.audio.channels) == (
        specification.get("audio_codec"),
        specification.get("sample_rate"),
        2,
    )
    assert media.duration == pytest.approx(1, abs=0.5)
    if most := specification.get("max_bitrate"):
        # Over a short time the buffer may be used up as well.
        assert media.video.bitrate <= most + specification.get("buffer_size")


@pytest.mark.parametrize("name", ["h264_1080p", "style_h264_mp4_1080p", "webm_720p"])
def test_nothing_is_made_larger_and_turned_videos_stay_upright(
    name: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    small = result(preset(name), clips["wide.mp4"], tmp_path / "wide").video
    assert small
    assert (small.width, small.height) == (320, 180)
    tall = result(preset(name), clips["tall.mkv"], tmp_path / "tall").video
    assert tall
    assert (tall.width, tall.height) == (180, 320)


def test_a_turned_video_has_the_width_as_its_long_side(large: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    run(["-i", str(large), "-vf", "transpose,scale=1080:1920", "-an", "-preset", "ultrafast", str(turned)])
    video = result(preset("h264_360p"), turned, tmp_path / "out").video
    assert video
    assert (video.width, video.height) == (360, 640)


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("audio_track", "mp3", 48000), ("podcast_aac", "aac", 44100)]
)
def test_audio(name: str, codec: str, rate: int, large: Path, tmp_path: Path) -> None:
    specification = preset(name)
    assert isinstance(specification, VideoConvert | AudioConvert)
    media = result(specification, large, tmp_path)
    assert media.video is None
    assert media.audio
    assert (media.audio.codec, media.audio.sample_rate, media.audio.channels) == (codec, rate, 2)


@pytest.mark.parametrize(("name", "count"), [("snapshots_interval", 3), ("snapshots_scenes", 7)])
def test_snapshots(name: str, count: int, long: Path, tmp_path: Path) -> None:
    files = process_job(preset(name), long, {}, tmp_path).files
    assert len(files) == count
    for file in files:
        with Image.open(file.path) as image:
            assert (image.format, image.size) == ("JPEG", (640, 360))


def test_sprite(moving: Path, tmp_path: Path) -> None:
    # 105 frames: more than one sheet.
    files = process_job(preset("sprite_player", interval=0.2), moving, {}, tmp_path).files
    assert len(files) == 2
    with Image.open(files[0].path) as sheet:
        # Without gaps, so that a tile's place follows from its number.
        assert (sheet.format, sheet.size) == ("JPEG", (1600, 900))


@pytest.mark.parametrize(("name", "kind"), [("preview_gif", "GIF"), ("preview_webp", "WEBP")])
def test_previews(name: str, kind: str, moving: Path, tmp_path: Path) -> None:
    (file,) = process_job(preset(name), moving, {}, tmp_path).files
    with Image.open(file.path) as image:
        frames = image.n_frames  # type: ignore[attr-defined]
        assert (image.format, image.size, frames) == (kind, (320, 180), 11)
        image.seek(1)
        image.load()
        assert image.info["duration"] == 250, "four frames a second"


@pytest.mark.parametrize(("name", "kind"), [("pages_png", "PNG"), ("pages_jpg", "JPEG")])
def test_pages(name: str, kind: str, samples: dict[str, Path], tmp_path: Path) -> None:
    files = process_job(preset(name), samples["report.pdf"], {}, tmp_path).files
    assert len(files) > 1
    for file in files:
        with Image.open(file.path) as image:
            assert image.format == kind


def test_every_preset_is_run() -> None:
    others = {"audio_track", "podcast_aac", "snapshots_interval", "snapshots_scenes", "sprite_player"}
    others |= {"preview_gif", "preview_webp", "pages_png", "pages_jpg"}
    assert {*VIDEOS, *others} == set(PRESETS)
