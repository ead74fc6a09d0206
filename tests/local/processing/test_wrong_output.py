"""Results that a fault has made wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from airflow_provider_oss_async.local.processing.ffmpeg import probe
from airflow_provider_oss_async.local.processing.result import ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.processing.wrong_output import change, first_clip
from airflow_provider_oss_async.process import VideoConcat, VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.clip import Clip


@pytest.mark.parametrize(("clip", "seconds"), [({"object": "b"}, 1), ({"object": "b", "duration": 0.4}, 0.4)])
def test_only_the_first_object_of_a_merge(
    clips: dict[str, Path], tmp_path: Path, clip: Clip, seconds: float
) -> None:
    spec = VideoConcat(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        width=64,
        height=64,
        before=[clip],
    )
    alone, source, segments = first_clip(spec, clips["wide.mp4"], {"b": clips["tall.mkv"]})
    assert (source, segments) == (clips["tall.mkv"], {})
    (file,) = process_job(alone, source, segments, tmp_path).files
    media = probe(file.path)
    assert media.duration == pytest.approx(seconds, abs=0.1)
    assert media.video
    assert (media.video.width, media.video.height) == (64, 64)


def test_the_source_is_the_first_object_where_nothing_is_before_it(clips: dict[str, Path]) -> None:
    spec = VideoConcat(container="mp4", video_codec="h264", audio_codec="aac", after=["b"], duration=1)
    alone, source, _ = first_clip(spec, clips["wide.mp4"], {"b": clips["tall.mkv"]})
    assert (alone.operation, alone.get("duration"), source) == ("video/convert", 1, clips["wide.mp4"])
    convert = VideoConvert(container="mp4")
    assert first_clip(convert, source, {}) == (convert, source, {})


def test_files_are_changed(clips: dict[str, Path], tmp_path: Path) -> None:
    def copy() -> ProducedFile:
        return ProducedFile(Path(shutil.copy(clips["wide.mp4"], tmp_path / "a.mp4")))

    (small,) = change(["output_half_size"], [copy()])
    assert (video := probe(small.path).video)
    assert (video.width, video.height) == (160, 90)
    (silent,) = change(["output_no_audio", "output_first_clip"], [copy()])
    assert probe(silent.path).audio is None
    assert probe(silent.path).video
    (cut,) = change(["output_cut"], [copy()])
    assert cut.path.stat().st_size == clips["wide.mp4"].stat().st_size // 2
    (empty,) = change(["output_empty"], [copy()])
    assert empty.path.stat().st_size == 0
    pages = [ProducedFile(tmp_path / str(number), index=number) for number in (1, 2, 3)]
    assert [page.index for page in change(["output_last_missing"], pages)] == [1, 2]
    assert change(["output_missing"], pages) == []
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(picture)
    change(["output_half_size"], [ProducedFile(picture)])
    with Image.open(picture) as image:
        assert image.size == (20, 15)
