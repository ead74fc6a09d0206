from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.processing.ffmpeg import Media, probe, run
from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    Specification,
    VideoConcat,
    VideoConvert,
)

if TYPE_CHECKING:
    from pathlib import Path

    Clips = dict[str, Path]


def done(spec: Specification, source: Path, workdir: Path, **segments: Path) -> Media:
    (file,) = process_job(spec, source, segments, workdir).files
    assert file.extension == spec.get("container")
    assert file.path.suffix == f".{file.extension}"
    return probe(file.path)


def failure(spec: Specification, source: Path, workdir: Path, **segments: Path) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        process_job(spec, source, segments, workdir)
    assert str(workdir) not in caught.value.message
    assert str(source.parent) not in caught.value.message
    return caught.value


def test_copied_audio_is_cut_with_the_video_that_is_not(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264", start=0.5, duration=1)
    assert done(spec, clips["wide.mp4"], tmp_path).duration == pytest.approx(1, abs=0.1)


def wide(video: Media) -> tuple[int, int]:
    assert video.video
    return video.video.width, video.video.height


def test_the_codec_is_kept_by_default_and_idle_settings_are_ignored(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConvert(container="mkv", width=160, video_bitrate=100_000, sample_rate=8000)
    result = done(spec, clips["wide.mp4"], tmp_path)
    assert result.container == "matroska,webm"
    assert wide(result) == (320, 180)
    assert result.audio
    assert (result.video and result.video.codec, result.audio.codec, result.audio.sample_rate) == (
        "h264",
        "aac",
        44100,
    )
    assert result.duration == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("container", "video", "audio", "found", "codecs"),
    [
        ("mp4", "h264", "aac", "mp4", ("h264", "aac")),
        ("mp4", "h265", "mp3", "mp4", ("hevc", "mp3")),
        ("mkv", "vp9", "flac", "matroska", ("vp9", "flac")),
        ("mov", "h264", "pcm", "mov", ("h264", "pcm_s16le")),
        ("asf", "h264", "aac", "asf", ("h264", "aac")),
        ("avi", "h264", "ac3", "avi", ("h264", "ac3")),
        ("mxf", "h264", "pcm", "mxf", ("h264", "pcm_s16le")),
        ("ts", "h265", "aac", "mpegts", ("hevc", "aac")),
        ("flv", "h264", "mp3", "flv", ("h264", "mp3")),
        ("webm", "vp9", "opus", "webm", ("vp9", "opus")),
        ("webm", "vp9", "vorbis", "webm", ("vp9", "vorbis")),
    ],
)
def test_every_container_holds_what_is_asked_for(
    container: str, video: str, audio: str, found: str, codecs: tuple[str, str], clips: Clips, tmp_path: Path
) -> None:
    rate = 44100 if container == "flv" else 48000
    spec = VideoConvert(
        container=container, video_codec=video, audio_codec=audio, sample_rate=rate, channels=2
    )
    result = done(spec, clips["wide.mp4"], tmp_path)
    assert found in result.container.split(",")
    assert result.video
    assert result.audio
    assert (result.video.codec, result.audio.codec) == codecs
    assert (result.audio.sample_rate, result.audio.channels) == (rate, 2)
    assert result.duration == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("operation", [VideoConvert, AudioConvert])
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp3", "mp3"),
        ("aac", "aac"),
        ("flac", "flac"),
        ("oga", "vorbis"),
        ("ac3", "ac3"),
        ("opus", "opus"),
        ("amr", "amr_nb"),
    ],
)
def test_an_audio_container_decides_the_codec(
    operation: Any, container: str, codec: str, clips: Clips, tmp_path: Path
) -> None:
    result = done(operation(container=container, start=0.5, duration=1), clips["wide.mp4"], tmp_path)
    assert result.video is None
    assert result.audio
    assert result.audio.codec == codec
    assert result.duration == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("fit", "size"),
    [("stretch", (128, 128)), ("crop", (128, 128)), ("fill", (128, 128)), ("fit", (128, 72))],
)
def test_fit_decides_the_size(fit: str, size: tuple[int, int], clips: Clips, tmp_path: Path) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264", width=128, height=128, fit=fit)
    process_job(spec, clips["wide.mp4"], {}, tmp_path)
    assert wide(probe(tmp_path / "result.mp4")) == size
    frame = run(
        ["-i", str(tmp_path / "result.mp4"), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    )
    top = frame[: size[0]]
    # Only fill has bars.
    assert (max(top) < 30) is (fit == "fill")


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"width": 160}, (160, 90)),
        ({"height": 90}, (160, 90)),
        ({"width": 160, "adapt_orientation": True}, (160, 90)),
    ],
)
def test_one_side_alone_keeps_the_proportions(
    given: dict[str, Any], size: tuple[int, int], clips: Clips, tmp_path: Path
) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264", **given)
    assert wide(done(spec, clips["wide.mp4"], tmp_path)) == size


@pytest.mark.parametrize(("adapt", "size"), [(True, (90, 160)), (False, (160, 90))])
def test_adapt_orientation_turns_the_size_with_the_source(
    adapt: bool, size: tuple[int, int], clips: Clips, tmp_path: Path
) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264", width=160, height=90, adapt_orientation=adapt)
    assert wide(done(spec, clips["tall.mkv"], tmp_path)) == size


def test_a_turned_source_is_seen_as_it_is_displayed(clips: Clips, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    run(["-display_rotation", "90", "-i", str(clips["wide.mp4"]), "-c", "copy", str(turned)])
    assert wide(probe(turned)) == (180, 320)
    spec = VideoConvert(container="mp4", video_codec="h264", width=160, adapt_orientation=True)
    assert wide(done(spec, turned, tmp_path)) == (90, 160)


LOWER = {
    "frame_rate": ({"frame_rate": 50}, "frame_rate_if_lower"),
    "size": ({"width": 640, "height": 360}, "size_if_smaller"),
    "video_bitrate": ({"video_bitrate": 5_000_000}, "video_bitrate_if_lower"),
    "audio_bitrate": ({"audio_bitrate": 192_000}, "audio_bitrate_if_lower"),
}


@pytest.mark.parametrize("what", LOWER)
@pytest.mark.parametrize("policy", ["convert", "keep_source", "fail"])
def test_what_to_do_with_a_source_that_is_below_the_target(
    what: str, policy: str, clips: Clips, tmp_path: Path
) -> None:
    given, name = LOWER[what]
    spec = VideoConvert(container="mp4", video_codec="h264", audio_codec="aac", **given, **{name: policy})
    if policy == "fail":
        error = failure(spec, clips["wide.mp4"], tmp_path)
        assert error.code == "InvalidArgument"
        assert what.replace("_", " ") in error.message
        return
    result = done(spec, clips["wide.mp4"], tmp_path)
    before = probe(clips["wide.mp4"])
    assert result.video
    assert result.audio
    assert before.video
    assert before.audio
    kept = policy == "keep_source"
    match what:
        case "frame_rate":
            assert result.video.fps == (25 if kept else 50)
        case "size":
            assert wide(result) == ((320, 180) if kept else (640, 360))
        case "video_bitrate":
            assert (result.video.bitrate < 2 * before.video.bitrate) is kept
        case "audio_bitrate":
            assert (result.audio.bitrate < 1.3 * before.audio.bitrate) is kept


def test_a_source_above_the_target_is_always_brought_down(clips: Clips, tmp_path: Path) -> None:
    policies = {"frame_rate_if_lower": "fail", "size_if_smaller": "fail", "audio_bitrate_if_lower": "fail"}
    spec = VideoConvert(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        frame_rate=10,
        width=160,
        audio_bitrate=32_000,
        **policies,
    )
    result = done(spec, clips["wide.mp4"], tmp_path)
    assert wide(result) == (160, 90)
    assert result.video
    assert result.video.fps == 10
    assert result.audio
    assert result.audio.bitrate == pytest.approx(32_000, rel=0.3)


@pytest.mark.parametrize(
    ("codec", "pixels", "container"),
    [
        ("h264", "yuv422p", "mp4"),
        ("h265", "yuv420p10le", "mp4"),
        ("vp9", "yuv444p", "webm"),
        ("vp9", "yuva420p", "webm"),
    ],
)
def test_pixel_format(codec: str, pixels: str, container: str, clips: Clips, tmp_path: Path) -> None:
    spec = VideoConvert(container=container, video_codec=codec, pixel_format=pixels, no_audio=True)
    result = done(spec, clips["wide.mp4"], tmp_path)
    assert result.video
    # Alpha lies beside the stream in webm, where ffmpeg's own decoder does not look.
    assert result.video.pixel_format == pixels.replace("yuva420p", "yuv420p")
    assert result.audio is None


def test_quality_rate_control_and_keyframes(clips: Clips, tmp_path: Path) -> None:
    sizes = []
    for crf, more in ((20, {}), (45, {}), (20, {"max_bitrate": 60_000, "buffer_size": 60_000})):
        spec = VideoConvert(
            container="mp4", video_codec="h264", crf=crf, keyframe_interval=10, no_audio=True, **more
        )
        (file,) = process_job(spec, clips["wide.mp4"], {}, tmp_path).files
        sizes.append(file.path.stat().st_size)
        keys = run(
            ["-skip_frame", "nokey", "-i", str(file.path), "-fps_mode", "passthrough", "-f", "framecrc", "-"]
        )
        assert len([line for line in keys.splitlines() if not line.startswith(b"#")]) >= 5
    assert sizes[1] < sizes[0] / 2
    assert sizes[2] < sizes[0] / 2


def test_narrowband_hd_and_odd_sides(clips: Clips, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mkv"
    run(["-i", str(clips["wide.mp4"]), "-vf", "crop=161:91,format=yuv444p", "-c:v", "ffv1", str(odd)])
    spec = VideoConvert(container="mp4", video_codec="h264", pixel_format="yuv420p", narrowband_hd=True)
    assert wide(done(spec, odd, tmp_path)) == (160, 90)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
def test_streams_can_be_dropped(container: str, clips: Clips, tmp_path: Path) -> None:
    result = done(VideoConvert(container=container, no_video=True), clips["wide.mp4"], tmp_path)
    assert (result.video is None, result.audio is None) == (True, False)
    result = done(VideoConvert(container=container, no_audio=True), clips["wide.mp4"], tmp_path)
    assert (result.video is None, result.audio is None) == (False, True)


@pytest.mark.parametrize(
    ("container", "dropped", "codec"),
    [("mp4", False, "mov_text"), ("mkv", False, "subrip"), ("mkv", True, None), ("flv", False, None)],
)
def test_subtitles(container: str, dropped: bool, codec: str | None, clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:01,000\nHello\n")
    source = tmp_path / "subtitled.mkv"
    run(
        [
            "-i",
            str(clips["wide.mp4"]),
            "-i",
            str(tmp_path / "s.srt"),
            "-c",
            "copy",
            "-c:s",
            "srt",
            str(source),
        ]
    )
    assert probe(source).subtitle == "subrip"
    spec = VideoConvert(container=container, no_subtitles=dropped)
    assert done(spec, source, tmp_path).subtitle == codec


@pytest.mark.parametrize(
    ("container", "given", "rate", "channels"),
    [
        ("mp3", {"sample_rate": 22050, "channels": 1, "audio_bitrate": 48_000}, 22050, 1),
        ("aac", {"sample_rate": 96000, "channels": 6}, 96000, 6),
        ("opus", {"sample_rate": 48000, "audio_bitrate": 96_000}, 48000, 2),
        ("flac", {"bit_depth": 24}, 48000, 2),
        ("amr", {}, 8000, 1),
    ],
)
def test_audio_arguments(
    container: str, given: dict[str, Any], rate: int, channels: int, clips: Clips, tmp_path: Path
) -> None:
    result = done(AudioConvert(container=container, **given), clips["sound.wav"], tmp_path)
    assert result.audio
    assert (result.audio.sample_rate, result.audio.channels) == (rate, channels)
    if "bit_depth" in given:
        assert result.audio.bit_depth == 24
    if "audio_bitrate" in given:
        assert result.bitrate == pytest.approx(given["audio_bitrate"], rel=0.4)


def test_flac_has_16_bits_unless_told_otherwise(clips: Clips, tmp_path: Path) -> None:
    result = done(AudioConvert(container="flac"), clips["wide.mp4"], tmp_path)
    assert result.audio
    assert result.audio.sample_format == "s16"


@pytest.mark.parametrize("container", ["mp3", "aac", "oga", "ac3", "opus"])
def test_more_audio_quality_is_more_bits(container: str, clips: Clips, tmp_path: Path) -> None:
    noise = tmp_path / "noise.wav"
    run(["-f", "lavfi", "-i", "anoisesrc=d=1:r=48000:a=0.3", str(noise)])
    low, high = (
        process_job(AudioConvert(container=container, audio_quality=q), noise, {}, tmp_path / str(q))
        .files[0]
        .path
        for q in (10, 90)
    )
    assert high.stat().st_size > 1.3 * low.stat().st_size


def test_videos_are_merged_in_play_order_with_their_cuts(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConcat(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        start=0.5,
        duration=1,
        align=1,
        before=["tall"],
        after=[{"object": "wide", "start": 1.5}, {"object": "wide", "duration": 0.5}],
    )
    segments = {"tall": clips["tall.mkv"], "wide": clips["wide.mp4"]}
    result = done(spec, clips["wide.mp4"], tmp_path, **segments)
    assert result.duration == pytest.approx(1 + 1 + 0.5 + 0.5, abs=0.15)
    assert result.video
    assert result.audio
    assert wide(result) == (320, 180)
    assert result.video.fps == pytest.approx(25, abs=0.5)
    assert (result.audio.sample_rate, result.audio.channels) == (44100, 1)
    # The first second is the silent clip.
    levels = []
    for start in ("0", "1.2"):
        raw = run(["-ss", start, "-t", "0.6", "-i", str(tmp_path / "result.mp4"), "-f", "s16le", "-"])
        samples = memoryview(raw).cast("h")
        levels.append(math.sqrt(sum(v * v for v in samples) / len(samples)))
    assert levels[0] < 5
    assert levels[1] > 500


@pytest.mark.parametrize(("align", "size", "fps"), [(0, (320, 180), 25), (1, (180, 320), 30)])
def test_align_names_the_model(
    align: int, size: tuple[int, int], fps: float, clips: Clips, tmp_path: Path
) -> None:
    spec = VideoConcat(
        container="mkv", video_codec="h264", audio_codec="aac", align=align, after=[{"object": "tall"}]
    )
    result = done(spec, clips["wide.mp4"], tmp_path, tall=clips["tall.mkv"])
    assert wide(result) == size
    assert result.video
    assert result.video.fps == fps
    assert result.duration == pytest.approx(3, abs=0.15)


def test_a_merge_can_have_properties_of_its_own(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConcat(
        container="webm",
        video_codec="vp9",
        audio_codec="opus",
        sample_rate=48000,
        channels=2,
        width=160,
        height=120,
        fit="fill",
        frame_rate=12,
        after=["tall"],
    )
    result = done(spec, clips["wide.mp4"], tmp_path, tall=clips["tall.mkv"])
    assert (*wide(result), result.video and result.video.fps) == (160, 120, 12)
    assert result.audio
    assert (result.audio.sample_rate, result.audio.channels) == (48000, 2)


def test_a_merge_without_any_audio(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConcat(container="mp4", video_codec="h264", audio_codec="aac", after=["tall"])
    result = done(spec, clips["tall.mkv"], tmp_path, tall=clips["tall.mkv"])
    assert result.audio is None
    assert result.duration == pytest.approx(2, abs=0.1)


def test_audio_is_merged(clips: Clips, tmp_path: Path) -> None:
    spec = AudioConcat(container="mp3", before=["a"], after=[{"object": "a", "duration": 0.5}])
    result = done(spec, clips["sound.wav"], tmp_path, a=clips["wide.mp4"])
    assert result.duration == pytest.approx(4.5, abs=0.1)
    assert result.audio
    assert (result.audio.sample_rate, result.audio.channels) == (44100, 1)


def test_a_merge_fails_where_the_format_cannot_hold_the_models_rate(clips: Clips, tmp_path: Path) -> None:
    error = failure(
        AudioConcat(container="opus", after=["a"]), clips["wide.mp4"], tmp_path, a=clips["sound.wav"]
    )
    assert "sample_rate=44100" in error.message
    done(
        AudioConcat(container="opus", after=["a"], align=1), clips["wide.mp4"], tmp_path, a=clips["sound.wav"]
    )


def test_what_cannot_be_merged(clips: Clips, tmp_path: Path) -> None:
    spec = VideoConcat(container="mp4", video_codec="h264", audio_codec="aac", after=["a"])
    assert "Object 2" in failure(spec, clips["wide.mp4"], tmp_path, a=clips["sound.wav"]).message
    audio = AudioConcat(container="mp3", after=["a"])
    assert "audio" in failure(audio, clips["tall.mkv"], tmp_path, a=clips["tall.mkv"]).message


@pytest.mark.parametrize(
    ("spec", "source", "part"),
    [
        (AudioConvert(container="mp3"), "tall.mkv", "no audio"),
        (VideoConvert(container="mp4", no_video=True), "tall.mkv", "Nothing is left"),
        (VideoConvert(container="mp4", start=30), "wide.mp4", "start=30 s is not inside"),
        (VideoConvert(container="webm"), "wide.mp4", "WebM"),
        (VideoConvert(container="mxf", video_codec="h264"), "wide.mp4", "48khz"),
        (VideoConvert(container="mp4", video_codec="av1"), "wide.mp4", "video_codec='av1'"),
        (VideoConvert(container="mp4", audio_codec="dts"), "wide.mp4", "audio_codec='dts'"),
        (VideoConvert(container="mp4", video_codec="h264", width=64, fit="zoom"), "wide.mp4", "fit='zoom'"),
        (VideoConvert(container="rm"), "wide.mp4", "container='rm'"),
        (AudioConvert(container="amr", sample_rate=16000), "wide.mp4", "AMR-WB"),
    ],
)
def test_what_fails_says_why(
    spec: Specification, source: str, part: str, clips: Clips, tmp_path: Path
) -> None:
    assert part in failure(spec, clips[source], tmp_path).message
