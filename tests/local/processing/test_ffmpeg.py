from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.local.processing import ffmpeg
from airflow_provider_oss_async.local.processing.ffmpeg import probe, run
from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import VideoConvert

if TYPE_CHECKING:
    from pathlib import Path

    Clips = dict[str, Path]


def refusal(source: Path, workdir: Path) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        process_job(VideoConvert(container="mp4"), source, {}, workdir)
    assert str(source.parent) not in caught.value.message
    return caught.value


SECRET = "root:x:0:0"
NOT_MEDIA = {
    "empty": b"",
    "noise": bytes(range(256)) * 40,
    "text": b"just some words\n" * 50,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "remote": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "script": b"ffconcat version 1.0\nfile wide.mp4\n",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde",
}


@pytest.mark.parametrize("what", NOT_MEDIA)
def test_what_is_no_media_is_not_read(what: str, clips: Clips, tmp_path: Path) -> None:
    # Beside a real video, which a script would otherwise reach.
    source = clips["wide.mp4"].parent / f"{what}.m3u8"
    source.write_bytes(NOT_MEDIA[what])
    error = refusal(source, tmp_path)
    assert error.code == "UnsupportedMedia"
    assert SECRET not in error.message
    assert "/etc/passwd" not in error.message
    assert len(error.message) < 300


def test_an_extension_does_not_make_a_playlist_a_video(tmp_path: Path, clips: Clips) -> None:
    source = clips["wide.mp4"].parent / "disguised.mp4"
    source.write_bytes(NOT_MEDIA["playlist"])
    assert refusal(source, tmp_path).code == "UnsupportedMedia"


def test_a_run_that_takes_too_long_is_ended() -> None:
    with pytest.raises(JobFailed) as caught:
        run(["-re", "-f", "lavfi", "-i", "testsrc2=d=60", "-f", "null", "-"], limit=0.3)
    assert caught.value.code == "Timeout"


def test_probe_reads_covers_rates_and_channels(clips: Clips, tmp_path: Path) -> None:
    cover, song = tmp_path / "cover.png", tmp_path / "song.mp3"
    run(["-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(cover)])
    both = ["-i", str(clips["sound.wav"]), "-i", str(cover), "-map", "0", "-map", "1"]
    run([*both, "-c:v", "copy", "-disposition:v", "attached_pic", str(song)])
    found = probe(song)
    assert found.video is None
    assert found.audio
    assert found.audio.codec == "mp3"
    surround = tmp_path / "surround.flac"
    run(["-f", "lavfi", "-i", "sine=r=44100:d=1,aformat=channel_layouts=5.1", str(surround)])
    audio = probe(surround).audio
    assert audio
    assert (audio.channels, audio.sample_rate) == (6, 44100)
    # A playlist reader would be the way out.
    assert "hls" not in ffmpeg._FORMATS.split(",")
