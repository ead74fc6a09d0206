"""What an output must be, as the arguments say it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    AudioConvert,
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    Process,
    Specification,
    Style,
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
)
from airflow_provider_oss_async.process.expected_output import (
    ExpectedAudio,
    ExpectedFrames,
    ExpectedOutput,
    ExpectedSize,
    ExpectedVideo,
    Part,
    expected_output,
    is_codec,
)
from tests.support.specifications import minimal

SOURCE, TARGET = ObjectURI("media", "in.mov"), ObjectURI("media", "out/{index}")


def expected(spec: Specification) -> ExpectedOutput | None:
    return expected_output(spec.to_process(SOURCE, TARGET if spec.writes_object else None))


def video(**arguments: Any) -> ExpectedVideo | None:
    found = expected(VideoConvert(container="mp4", **arguments))
    assert found
    return found.video


def audio(container: str = "mp4", **arguments: Any) -> ExpectedAudio | None:
    found = expected(VideoConvert(container=container, **arguments))
    assert found
    return found.audio


def test_what_is_not_given_is_open() -> None:
    assert expected(VideoConvert(container="mp4")) == ExpectedOutput(
        kind="video",
        formats=("mp4", "mov"),
        video=ExpectedVideo(),
        audio=ExpectedAudio(),
        from_keyframe=True,
    )


def test_everything_of_a_video() -> None:
    assert video(
        video_codec="h265", width=640, height=480, fit="fit", frame_rate=25, frame_rate_if_lower="keep_source"
    ) == ExpectedVideo(("h265", "hevc"), ExpectedSize(640, 480, inside=True), 25, or_lower=True)
    assert video(video_codec="vp9", width=640, size_if_smaller="keep_source") == ExpectedVideo(
        ("vp9",), ExpectedSize(640, None, or_smaller=True)
    )
    # What other codecs and ways of fitting are called is not known.
    assert video(video_codec="av1", width=640, height=480, fit="shrink") == ExpectedVideo()
    # A stream that is copied is not changed.
    assert video(width=640, frame_rate=25, allow_ignored=True) == ExpectedVideo()
    assert video(no_video=True) is None


def test_everything_of_audio() -> None:
    assert audio(audio_codec="aac", sample_rate=44100, channels=2) == ExpectedAudio(("aac",), 44100, 2)
    assert audio(audio_codec="opus", sample_rate=16000, channels=1) == ExpectedAudio(("opus",), None, 1)
    assert audio(sample_rate=44100, allow_ignored=True) == ExpectedAudio()
    assert audio(audio_codec="dts") == ExpectedAudio()
    assert audio(no_audio=True) is None
    assert audio("oga") == ExpectedAudio(("flac", "vorbis", "opus"))
    assert audio("mp3", sample_rate=44100) == ExpectedAudio(("mp3",), 44100)


def test_an_audio_container_holds_no_video() -> None:
    for spec in (VideoConvert(container="mp3"), AudioConvert(container="mp3")):
        found = expected(spec)
        assert found
        assert (found.kind, found.video, found.from_keyframe) == ("audio", None, False)
    found = expected(VideoConvert(container="mp4", no_video=True))
    assert found
    assert (found.kind, found.formats) == ("audio", ("mp4", "mov"))


def test_the_parts_of_a_merge_are_in_the_order_of_play() -> None:
    found = expected(
        VideoConcat(
            container="mp4",
            video_codec="h264",
            audio_codec="aac",
            start=1,
            before=["intro.mp4"],
            after=[{"object": "outro.mp4", "start": 2, "duration": 3}],
        )
    )
    assert found
    assert found.parts == (Part("intro.mp4"), Part("", 1.0), Part("outro.mp4", 2.0, 3.0))
    assert not found.from_keyframe


def test_an_audio_format_of_another_program() -> None:
    found = expected_output(Process("audio/convert", (("f", "wav"), ("ac", "2"))))
    assert found
    assert (found.formats, found.video, found.audio) == (("wav",), None, ExpectedAudio())


def test_a_cut_has_a_length_and_a_conversion_has_none() -> None:
    for arguments, parts in (
        ({}, ()),
        ({"start": 1}, (Part("", 1.0),)),
        ({"duration": 0}, ()),
        ({"duration": 2}, (Part("", 0.0, 2.0),)),
    ):
        found = expected(VideoConvert(container="mp4", **arguments))  # type: ignore[arg-type]
        assert found
        assert found.parts == parts
    assert Part("", 1, 0).length(10) == 9
    assert Part("", 1, 5).length(10) == 5
    assert Part("", 8, 5).length(10) == 2
    assert Part("", 11, 0).length(10) == 0


def test_pictures() -> None:
    assert expected(
        VideoSnapshots(format="jpg", count=3, interval=2, start=1, width=64, height=48)
    ) == ExpectedOutput(
        kind="image",
        formats=("jpg", "jpeg"),
        size=ExpectedSize(64, 48),
        frames=ExpectedFrames(3, spread=False, interval=2.0, start=1.0),
        numbered=True,
    )
    assert expected(VideoSnapshots(format="png", count=3, sampling="avg", interval=2)) == ExpectedOutput(
        kind="image",
        formats=("png",),
        frames=ExpectedFrames(3, spread=True, interval=0.0, start=0.0),
        numbered=True,
    )
    assert expected(VideoAnimation(format="gif", width=64)) == ExpectedOutput(
        kind="image", formats=("gif",), size=ExpectedSize(64, None)
    )
    assert expected(VideoSprite(format="png", tile_width=64)) == ExpectedOutput(
        kind="image", formats=("png",), numbered=True
    )


def test_documents() -> None:
    assert expected(DocumentConvert(target_format="pdf")) == ExpectedOutput(kind="pdf")
    assert expected(DocumentConvert(target_format="txt")) == ExpectedOutput(kind="text")
    assert expected(DocumentConvert(target_format="png", pages="1,4-6")) == ExpectedOutput(
        kind="image", formats=("png",), pages=4
    )
    assert expected(DocumentConvert(target_format="jpg")) == ExpectedOutput(
        kind="image", formats=("jpg", "jpeg"), numbered=True
    )


def test_what_nothing_is_known_of() -> None:
    assert expected(DecodeBlindWatermark()) is None
    assert expected_output(Style("::h264-mp4-720p").to_process(SOURCE, TARGET)) is None
    # A value of another program that is not allowed here.
    assert expected_output(Process("video/convert", (("f", "mp4"), ("fps", "fast")))) is None


@pytest.mark.parametrize("operation", [name for name, spec in SPECIFICATIONS.items() if spec.writes_object])
def test_every_operation_that_writes_has_an_expectation(operation: str) -> None:
    spec = SPECIFICATIONS[operation]
    found = expected(spec(**minimal(spec)))
    assert found, f"say in process/expected_output.py what the arguments of {operation} tell of its output"
    assert found.formats or found.kind in ("pdf", "text")


@pytest.mark.parametrize(
    ("size", "fitting", "others"),
    [
        (ExpectedSize(640, 480), [(640, 480), (640, 478), (638, 482)], [(640, 360), (480, 640), (636, 480)]),
        (ExpectedSize(640, None), [(640, 360), (640, 9)], [(320, 360)]),
        (ExpectedSize(None, 480), [(9, 480)], [(640, 360)]),
        (ExpectedSize(640, 480, inside=True), [(640, 360), (360, 480)], [(320, 180), (640, 490), (700, 480)]),
        (ExpectedSize(640, 480, or_smaller=True), [(640, 480), (320, 180), (100, 2000)], [(1280, 720)]),
        (ExpectedSize(640, None, or_smaller=True), [(640, 1), (320, 9999)], [(1280, 1)]),
        (ExpectedSize(640, 480, turned=True), [(640, 480), (480, 640)], [(320, 180)]),
    ],
)
def test_sizes(size: ExpectedSize, fitting: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert [found for found in (*fitting, *others) if size.fits(*found)] == fitting


def test_sizes_in_words() -> None:
    assert str(ExpectedSize(640, None, or_smaller=True)) == "640 x any or smaller"
    assert str(ExpectedSize(640, 480, inside=True)) == "inside of 640 x 480"


@pytest.mark.parametrize(
    ("found", "asked", "same"),
    [
        ("pcm_s16le", ("pcm",), True),
        ("amr_nb", ("amr",), True),
        ("hevc", ("h265", "hevc"), True),
        ("aac", ("aac",), True),
        ("aacx", ("aac",), False),
        ("mp3", ("aac",), False),
    ],
)
def test_names_of_codecs(found: str, asked: tuple[str, ...], same: bool) -> None:
    assert is_codec(found, asked) == same
