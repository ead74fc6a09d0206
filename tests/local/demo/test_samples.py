from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.demo.samples import WATERMARK
from airflow_provider_oss_async.local.processing.ffmpeg import probe
from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import DecodeBlindWatermark, VideoSnapshots

if TYPE_CHECKING:
    from pathlib import Path


def test_the_samples_are_small_and_alone_in_their_directory(samples: dict[str, Path]) -> None:
    assert {path.name for path in samples["photo.png"].parent.iterdir()} == samples.keys()
    assert 100_000 < sum(path.stat().st_size for path in samples.values()) < 4_000_000


def test_the_videos_differ_in_everything_that_a_merge_must_level(samples: dict[str, Path]) -> None:
    first, second = probe(samples["harbour.mp4"]), probe(samples["credits.mp4"])
    assert first.duration == pytest.approx(8, abs=0.1)
    assert second.duration == pytest.approx(3, abs=0.1)
    for one, other, names in (
        (first.video, second.video, ("width", "fps")),
        (first.audio, second.audio, ("sample_rate", "channels")),
    ):
        for name in names:
            assert getattr(one, name) != getattr(other, name)


def test_the_audio(samples: dict[str, Path]) -> None:
    media = probe(samples["announcement.mp3"])
    assert media.audio
    assert media.audio.codec == "mp3"
    assert media.duration == pytest.approx(6, abs=0.1)


def test_every_frame_taken_differs(samples: dict[str, Path], tmp_path: Path) -> None:
    spec = VideoSnapshots(format="png", interval=0.5, width=64)
    files = process_job(spec, samples["harbour.mp4"], {}, tmp_path).files
    assert len({file.path.read_bytes() for file in files}) == len(files) == 16


def test_the_photo_is_marked(samples: dict[str, Path], tmp_path: Path) -> None:
    result = process_job(DecodeBlindWatermark(strength="medium"), samples["photo.png"], {}, tmp_path)
    assert result.content == WATERMARK


@pytest.mark.parametrize(
    ("name", "spec", "code"),
    [
        ("unmarked.png", DecodeBlindWatermark(strength="medium"), "WatermarkNotFound"),
        ("broken.mov", VideoSnapshots(format="png", count=1), "UnsupportedMedia"),
    ],
)
def test_the_samples_whose_jobs_fail(
    name: str, spec: Any, code: str, samples: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(JobFailed) as caught:
        process_job(spec, samples[name], {}, tmp_path)
    assert caught.value.code == code
