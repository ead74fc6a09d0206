"""The samples are what they say: read by programs that have not made them."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import docx
from PIL import Image

from airflow_provider_oss_async.cli.samples import samples

if TYPE_CHECKING:
    from pathlib import Path


def test_they_can_be_read(tmp_path: Path) -> None:
    from airflow_provider_oss_async.local.processing.media import convert
    from airflow_provider_oss_async.process import VideoConvert

    files = samples()
    assert sum(map(len, files.values())) < 80_000
    with wave.open(io.BytesIO(files["tone.wav"])) as tone:
        assert tone.getnframes() / tone.getframerate() == 1
    texts = [
        paragraph.text.strip() for paragraph in docx.Document(io.BytesIO(files["pages.docx"])).paragraphs
    ]
    assert [text for text in texts if text] == ["first page", "second page"]
    with Image.open(io.BytesIO(files["picture.png"])) as picture:
        assert picture.size == (160, 160)
        picture.load()
    (tmp_path / "clip.mp4").write_bytes(files["clip.mp4"])
    (tmp_path / "out").mkdir()
    specification = VideoConvert(container="mp4", video_codec="h264", audio_codec="aac")
    assert convert(specification, tmp_path / "clip.mp4", tmp_path / "out").path.stat().st_size
