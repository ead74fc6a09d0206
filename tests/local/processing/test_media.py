from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.processing.ffmpeg import Media, probe, run, timelines
from airflow_provider_oss_async.local.processing.media import Expected, check_result
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
    spec = VideoConvert(
        container="mkv", width=160, video_bitrate=100_000, sample_rate=8000, allow_ignored=True
    )
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


LOWER: dict[str, tuple[dict[str, Any], str]] = {
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
    arguments: dict[str, Any] = {**given, name: policy}
    spec = VideoConvert(container="mp4", video_codec="h264", audio_codec="aac", **arguments)
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
    policies: dict[str, Any] = {
        "frame_rate_if_lower": "fail",
        "size_if_smaller": "fail",
        "audio_bitrate_if_lower": "fail",
    }
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
    # Alpha lies beside the stream in webm, which ffmpeg's own decoder does not read.
    assert result.video.pixel_format == pixels.replace("yuva420p", "yuv420p")
    assert result.audio is None


def test_quality_rate_control_and_keyframes(clips: Clips, tmp_path: Path) -> None:
    sizes = []
    more: dict[str, Any]
    limited: dict[str, Any] = {"max_bitrate": 60_000, "buffer_size": 60_000}
    for crf, more in ((20, {}), (45, {}), (20, limited)):
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
        (
            VideoConvert(container="mp4", video_codec="av1"),
            "wide.mp4",
            "video_codec='av1'",
        ),
        (
            VideoConvert(container="mp4", audio_codec="dts"),
            "wide.mp4",
            "audio_codec='dts'",
        ),
        (VideoConvert(container="mp4", video_codec="h264", width=64, fit="zoom"), "wide.mp4", "fit='zoom'"),
        (VideoConvert(container="rm", extra_params={"f": "rm"}), "wide.mp4", "container='rm'"),
        (AudioConvert(container="amr", sample_rate=16000), "wide.mp4", "AMR-WB"),
    ],
)
def test_what_fails_says_why(
    spec: Specification, source: str, part: str, clips: Clips, tmp_path: Path
) -> None:
    assert part in failure(spec, clips[source], tmp_path).message


@pytest.fixture(scope="module")
def one_keyframe(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Two seconds with one keyframe, as MPEG-TS, MP4, Matroska with subtitles and raw H.264."""
    folder = tmp_path_factory.mktemp("keyframe")
    files = {name: folder / name for name in ("a.ts", "a.mp4", "a.mkv", "a.h264")}
    texts = folder / "s.srt"
    texts.write_text(
        "1\n00:00:00,100 --> 00:00:00,400\nearly\n\n2\n00:00:00,500 --> 00:00:01,900\nlong\n\n"
        "3\n00:00:01,700 --> 00:00:01,900\nlate\n"
    )
    source = ["-i", str(clips["wide.mp4"])]
    encoded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "1000", "-c:a", "copy"]
    for name in ("a.ts", "a.mp4"):
        run([*source, *encoded, str(files[name])])
    run([*source, "-i", str(texts), *encoded, "-c:s", "srt", str(files["a.mkv"])])
    run([*source, *encoded[:-2], "-an", str(files["a.h264"])])
    return files


@pytest.mark.parametrize("codec", ["copy", "h264"])
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv", "a.h264"])
def test_a_cut_is_exact_whatever_the_source(
    name: str, container: str, codec: str, one_keyframe: Clips, tmp_path: Path
) -> None:
    spec = VideoConvert(container=container, video_codec=codec, start=1, duration=0.5)
    result = done(spec, one_keyframe[name], tmp_path)
    assert result.video
    assert result.video.codec == "h264"
    assert (result.audio is None) is (name == "a.h264")
    for timeline in timelines(tmp_path / f"result.{container}").values():
        assert timeline.start == pytest.approx(0, abs=0.06)
        assert timeline.end == pytest.approx(0.5, abs=0.06)
    # It shows what the source shows a second later.
    first, wanted = (
        run([*place, "-i", str(path), "-frames:v", "1", "-vf", "scale=32:18", "-f", "rawvideo", "-"])
        for place, path in (([], tmp_path / f"result.{container}"), (["-ss", "1"], one_keyframe["a.mp4"]))
    )
    assert sum(abs(a - b) for a, b in zip(first, wanted, strict=True)) / len(first) < 8


def test_copied_video_is_not_encoded_where_the_cut_begins_at_a_keyframe(clips: Clips, tmp_path: Path) -> None:
    done(VideoConvert(container="mkv", start=1), clips["wide.mp4"], tmp_path)
    frames = [
        [
            line.split(b",")[5]
            for line in run([*options, "-c", "copy", "-f", "framecrc", "-"]).splitlines()[7:]
        ]
        for options in (
            ["-i", str(tmp_path / "result.mkv"), "-map", "0:v"],
            ["-ss", "1.001", "-i", str(clips["wide.mp4"]), "-map", "0:v"],
        )
    ]
    assert frames[0] == frames[1]
    assert len(frames[0]) == 25


def test_copied_video_that_cannot_be_encoded_is_not_cut_between_keyframes(
    clips: Clips, tmp_path: Path
) -> None:
    source = tmp_path / "old.avi"
    run(["-i", str(clips["wide.mp4"]), "-c:v", "mpeg4", "-g", "1000", "-c:a", "mp3", str(source)])
    assert "give video_codec" in failure(VideoConvert(container="mp4", start=1), source, tmp_path).message
    spec = VideoConvert(container="mp4", video_codec="h264", start=1)
    assert done(spec, source, tmp_path).duration == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_subtitles_are_cut_with_the_video(container: str, one_keyframe: Clips, tmp_path: Path) -> None:
    spec = VideoConvert(container=container, start=1, duration=0.5)
    result = done(spec, one_keyframe["a.mkv"], tmp_path)
    assert result.duration == pytest.approx(0.5, abs=0.06)
    text = run(["-i", str(tmp_path / f"result.{container}"), "-map", "0:s", "-f", "srt", "-"]).decode()
    assert text.split() == ["1", "00:00:00,000", "-->", "00:00:00,500", "long"]
    nothing = VideoConvert(container=container, duration=0.08)
    assert done(nothing, one_keyframe["a.mkv"], tmp_path / "none").subtitle is None


def test_pieces_of_a_merge_are_cut_exactly(one_keyframe: Clips, tmp_path: Path) -> None:
    spec = VideoConcat(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        start=1,
        duration=0.5,
        after=[{"object": "raw", "start": 1.5}],
    )
    result = done(spec, one_keyframe["a.ts"], tmp_path, raw=one_keyframe["a.h264"])
    assert result.duration == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("container", ["ts", "mp3"])
def test_a_codec_that_the_container_cannot_hold_fails(container: str, clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / "pcm.mov"
    run(["-i", str(clips["wide.mp4"]), "-c:v", "copy", "-c:a", "pcm_s16le", str(source)])
    if container == "mp3":
        # An audio container decides the codec, so that this is no copy.
        assert done(VideoConvert(container="mp3"), source, tmp_path).audio
        return
    error = failure(VideoConvert(container=container), source, tmp_path)
    assert "ts may be unable to hold pcm_s16le" in error.message


def test_audio_that_ends_before_the_cut_is_left_out(clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / "short.mkv"
    audio = ["-t", "0.5", "-i", str(clips["sound.wav"])]
    run(["-i", str(clips["wide.mp4"]), *audio, "-map", "0:v", "-map", "1:a", "-c:v", "copy", str(source)])
    result = done(VideoConvert(container="mp4", video_codec="h264", start=1), source, tmp_path)
    assert (result.video is None, result.audio is None) == (False, True)
    error = failure(AudioConvert(container="mp3", start=1), source, tmp_path / "audio")
    assert "Nothing is left" in error.message


EXPECTED: dict[str, Any] = {"codec": "h264", "start": 0.0, "end": 2.0, "size": (320, 180), "fps": 25.0}


@pytest.mark.parametrize(
    ("video", "audio", "part"),
    [
        ({"codec": "hevc"}, {}, "its video is h264, not hevc"),
        ({"start": 0.5}, {}, "its video begins at 0.00 s, not at 0.50 s"),
        ({"end": 1.5}, {}, "its video ends at 2.00 s, not at 1.50 s"),
        ({"size": (160, 90)}, {}, "its size is 320 x 180, not 160 x 90"),
        ({"fps": 30.0}, {}, "it has 25 frames per second, not 30"),
        (None, {}, "it has video that was not asked for"),
        ({}, {"codec": "mp3"}, "its audio is aac, not mp3"),
        ({}, {"sample_rate": 8000}, "the sample rate of its audio is 44100, not 8000"),
        ({}, {"channels": 2}, "the number of channels of its audio is 1, not 2"),
    ],
)
def test_a_result_is_compared_with_what_was_asked_for(
    video: dict[str, Any] | None, audio: dict[str, Any], part: str, clips: Clips
) -> None:
    wanted = {"audio": Expected(**{"codec": "aac", "start": 0.0, "end": 2.0, **audio})}
    if video is not None:
        wanted["video"] = Expected(**{**EXPECTED, **video})
    with pytest.raises(JobFailed, match=part):
        check_result(clips["wide.mp4"], "mp4", wanted)


def test_a_result_of_another_container_or_without_a_stream_is_wrong(clips: Clips, tmp_path: Path) -> None:
    audio = {"audio": Expected("aac", 0, 2)}
    with pytest.raises(JobFailed, match="not mkv"):
        check_result(clips["wide.mp4"], "mkv", {"video": Expected(**EXPECTED), **audio})
    video = {"video": Expected("h264", 0, 1)}
    with pytest.raises(JobFailed, match="it has no audio"):
        check_result(clips["tall.mkv"], "mkv", video | audio)
    with pytest.raises(JobFailed, match="it has no subtitles"):
        check_result(clips["tall.mkv"], "mkv", video | {"subtitle": Expected("srt", 0, 0)})
    check_result(clips["tall.mkv"], "mkv", video)
    (tmp_path / "x.mp4").write_bytes(b"not media")
    with pytest.raises(JobFailed, match="cannot be read back"):
        check_result(tmp_path / "x.mp4", "mp4", audio)
