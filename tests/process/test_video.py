from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import (
    ObjectURI,
    ProcessError,
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
    parse_process,
    read_specification,
)

SOURCE, TARGET = ObjectURI("bucket-1", "in.mov"), ObjectURI("bucket-1", "out.mp4")
VIDEO_COPIED = "would be ignored: set video_codec, without which the video is copied"
AUDIO_COPIED = "would be ignored: set audio_codec, without which the audio is copied"
CONCAT: dict[str, Any] = {"container": "mp4", "video_codec": "h264", "audio_codec": "aac"}


def test_built_in_style_as_arguments() -> None:
    # What the console shows for h264-mp4-720p.
    text = (
        "video/convert,f_mp4,vcodec_h264,fps_25,fpsopt_1,s_1280x,sopt_1,scaletype_fit,arotate_1,crf_26,g_250,"
        "acodec_aac,ar_44100,ac_2,ab_128000,abopt_1"
    )
    spec = VideoConvert(
        container="mp4", video_codec="h264", frame_rate=25, frame_rate_if_lower="keep_source", width=1280,
        size_if_smaller="keep_source", fit="fit", adapt_orientation=True, crf=26, keyframe_interval=250,
        audio_codec="aac", sample_rate=44_100, channels=2, audio_bitrate=128_000,
        audio_bitrate_if_lower="keep_source",
    )  # fmt: skip
    assert read_specification(parse_process(text)) == spec
    assert dict(spec.wire_params()) == dict(parse_process(text).params)
    assert not list(spec.warnings())


def test_concat() -> None:
    spec = VideoConcat(
        **CONCAT, align=1, before=["concat1.mp4"], after=[{"object": "concat2.mp4", "duration": 0}]
    )
    process = spec.to_process(
        ObjectURI("bucket-1", "a.mp4"), ObjectURI("examplebucket", "dest.mp4"), "AudioConvert"
    )
    assert process.encode() == (
        "video/concat,f_mp4,vcodec_h264,acodec_aac,align_1/pre,o_Y29uY2F0MS5tcDQ/sur,o_Y29uY2F0Mi5tcDQ,t_0"
        "|sys/saveas,o_ZGVzdC5tcDQ,b_ZXhhbXBsZWJ1Y2tldA/notify,topic_QXVkaW9Db252ZXJ0"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"video_bitrate": 1_000_000, "crf": 23}, "video_bitrate and crf exclude each other"),
        ({"max_bitrate": 1_000_000, "buffer_size": 1_000_000}, "max_bitrate has no meaning without crf"),
        ({"max_bitrate": 1_000_000, "crf": 23}, "max_bitrate has no meaning without buffer_size"),
        ({"buffer_size": 1_000_000}, "buffer_size has no meaning without crf"),
        ({"video_bitrate_if_lower": "fail"}, "video_bitrate_if_lower has no meaning without video_bitrate"),
        ({"frame_rate_if_lower": "fail"}, "frame_rate_if_lower has no meaning without frame_rate"),
        ({"size_if_smaller": "fail"}, "size_if_smaller has no meaning without width or height"),
        ({"fit": "crop"}, "fit has no meaning without width or height"),
        ({"adapt_orientation": True}, "adapt_orientation has no meaning without width or height"),
        ({"pixel_format": "yuva420p"}, "pixel_format='yuva420p' is only allowed with video_codec='vp9'"),
        ({"no_video": True, "no_audio": True}, "nothing is left of the source"),
        ({"container": "mp3", "no_audio": True}, "nothing is left of the source"),
        ({"narrowband_hd": True}, "narrowband_hd needs video_codec h264 or h265"),
        ({"narrowband_hd": True, "video_codec": "vp9"}, "narrowband_hd needs video_codec h264 or h265"),
        (
            {"narrowband_hd": True, "video_codec": "h264", "pixel_format": "yuv444p"},
            "narrowband_hd is only allowed with pixel_format='yuv420p'",
        ),
        ({"width": 1281}, "width=1281 is not allowed: expected an even whole number from 64 to 4096 px"),
        ({"audio_quality": 1, "audio_bitrate": 1000}, "audio_quality and audio_bitrate exclude each other"),
        ({"audio_codec": "mp3", "channels": 3}, "channels=3 is not allowed with mp3: expected 1 to 2"),
    ],
)
def test_convert_refuses(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ProcessError) as caught:
        VideoConvert(**({"container": "mp4"} | arguments))
    assert caught.value.problems == (problem,) or problem in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "ignored"),
    [
        # Left at copy, the service ignores them and makes a copy as large as the source.
        (
            {"width": 640, "video_bitrate": 500_000},
            [f"width, video_bitrate {VIDEO_COPIED}"],
        ),
        (
            {"video_codec": "copy", "crf": 20},
            [f"crf {VIDEO_COPIED}"],
        ),
        (
            {"audio_bitrate": 96_000},
            [f"audio_bitrate {AUDIO_COPIED}"],
        ),
        ({"no_video": True, "frame_rate": 25}, ["frame_rate would be ignored: the result has no video"]),
        ({"container": "mp3", "frame_rate": 25}, ["frame_rate would be ignored: the result has no video"]),
        ({"no_audio": True, "channels": 2}, ["channels would be ignored: the result has no audio"]),
        ({"height": 720}, [f"height {VIDEO_COPIED}"]),
        (
            {"no_video": True, "video_codec": "h264"},
            ["video_codec would be ignored: the result has no video"],
        ),
        (
            {"container": "mp3", "video_codec": "h264", "narrowband_hd": True},
            ["narrowband_hd, video_codec would be ignored: the result has no video"],
        ),
        ({"no_audio": True, "audio_codec": "aac"}, ["audio_codec would be ignored: the result has no audio"]),
        ({"no_audio": True, "audio_codec": "copy"}, []),
        ({"video_codec": "h264", "width": 640}, []),
        ({"container": "mp3", "audio_bitrate": 96_000}, []),
        ({"start": 5, "no_subtitles": True}, []),
    ],
)
def test_what_is_certain_to_be_ignored_is_an_error(arguments: dict[str, Any], ignored: list[str]) -> None:
    arguments = {"container": "mp4"} | arguments
    spec = VideoConvert(**arguments, allow_ignored=True)
    assert [text.partition(" (allow_ignored")[0] for text in spec.ignored()] == ignored
    assert list(spec.warnings()) == list(spec.ignored())
    # The service takes it, and so it can be read again.
    assert read_specification(parse_process(spec.to_process(SOURCE, TARGET).encode())) == spec
    if not ignored:
        assert VideoConvert(**arguments) == spec
        return
    with pytest.raises(ProcessError) as caught:
        VideoConvert(**arguments)
    assert list(caught.value.problems) == list(spec.ignored())
    with pytest.raises(ProcessError):
        read_specification(spec.to_process(SOURCE, TARGET), allow_ignored=False)


def test_orientation_is_always_sent_with_a_size() -> None:
    assert dict(VideoConvert(container="mp4", video_codec="h264", height=720).wire_params())["arotate"] == "0"
    assert "arotate" not in dict(VideoConvert(container="mp4").wire_params())
    spec = VideoConcat(**CONCAT, width=720, adapt_orientation=True)
    assert dict(spec.wire_params())["arotate"] == "1"


@pytest.mark.parametrize("name", ["video_codec", "audio_codec"])
def test_a_merge_cannot_copy(name: str) -> None:
    with pytest.raises(ProcessError, match=f"{name}='copy' is not allowed in a merge: name a codec"):
        VideoConcat(**(CONCAT | {name: "copy"}))
    with pytest.raises(ProcessError, match=f"{name} is required"):
        VideoConcat(**(CONCAT | {name: None}))


def test_a_merge_is_warned_about_the_sources_rate() -> None:
    assert len(list(VideoConcat(**CONCAT).warnings())) == 1
    assert not list(VideoConcat(**CONCAT, no_audio=True).warnings())
    assert not list(VideoConcat(**CONCAT, sample_rate=44_100, channels=2).warnings())


def test_animation() -> None:
    spec = VideoAnimation(format="gif", width=100, height="100", interval="1")
    assert dict(spec.wire_params()) == {"f": "gif", "w": "100", "h": "100", "inter": "1000"}
    # Not documented by OSS, and so not an argument, but found in use.
    assert read_specification(parse_process("video/animation,f_gif,t_5000")).extra_params == {"t": "5000"}


@pytest.mark.parametrize("spec", [VideoSnapshots, VideoSprite])
def test_frames(spec: Any) -> None:
    for arguments in ({}, {"count": 0}):
        with pytest.raises(ProcessError, match="sampling='avg' needs a count above 0"):
            spec(format="jpg", sampling="avg", **arguments)
    spec(format="jpg", sampling="avg", count="5")
    with pytest.raises(ProcessError, match="change_threshold is only allowed with sampling='dhash'"):
        spec(format="jpg", change_threshold=5)
    spec(format="jpg", sampling="dhash", change_threshold=5)


@pytest.mark.parametrize("spec", [VideoSnapshots, VideoSprite])
@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ({}, True),
        ({"interval": 0, "count": 0}, True),
        ({"start": 5, "sampling": "inter"}, True),
        ({"interval": 10}, False),
        ({"count": 10}, False),
        ({"sampling": "key"}, False),
    ],
)
def test_every_frame(spec: Any, arguments: dict[str, Any], warned: bool) -> None:
    assert list(spec(format="png", **arguments).warnings()) == (
        ["without count or interval every frame of the video is taken"] if warned else []
    )


@pytest.mark.parametrize(
    ("spec", "arguments", "ignored"),
    [
        (
            VideoSnapshots,
            {"width": 640, "height_percent": 50},
            "height_percent would be ignored: a size in",
        ),
        (
            VideoSnapshots,
            {"width": 640, "width_percent": 50, "height_percent": 50},
            "width_percent, height_percent would be ignored: a size in pixels is given, width",
        ),
        (VideoSprite, {"tile_width": 64, "tile_width_percent": 50}, "tile_width_percent would be ignored"),
        (VideoSnapshots, {"fit": "crop"}, "fit would be ignored: no width or height"),
        (VideoAnimation, {"fit": "crop", "format": "gif"}, "fit would be ignored: no width or height"),
        (VideoSprite, {"fit": "crop"}, "fit would be ignored: no tile_width or tile_height"),
    ],
)
def test_sizes_that_are_ignored(spec: Any, arguments: dict[str, Any], ignored: str) -> None:
    arguments = {"format": "jpg", "interval": 1} | arguments
    with pytest.raises(ProcessError) as caught:
        spec(**arguments)
    (problem,) = caught.value.problems
    assert problem.startswith(ignored)
    (warning,) = spec(**arguments, allow_ignored=True).warnings()
    assert warning == problem


@pytest.mark.parametrize(
    "arguments", [{"fit": "crop", "width": 64}, {"fit": "fit", "width_percent": 50}, {"width_percent": 50}]
)
def test_sizes_that_are_not_ignored(arguments: dict[str, Any]) -> None:
    assert not list(VideoSnapshots(format="jpg", interval=1, **arguments).warnings())


def test_a_merge_ignores_what_a_dropped_stream_is_given() -> None:
    with pytest.raises(ProcessError, match="sample_rate would be ignored: the result has no audio"):
        VideoConcat(**CONCAT, no_audio=True, sample_rate=44_100)
    # The codecs of a merge are compulsory, so they are no mistake.
    VideoConcat(**CONCAT, no_audio=True)


#: Documented combinations, and what ffmpeg cannot write so that it can be read again.
HELD = [
    ("mp4", "h264", "aac", ""),
    ("mp4", "vp9", "aac", ""),
    ("mp4", "h265", "opus", ""),
    ("mkv", "vp9", "amr", ""),
    ("webm", "vp9", "opus", ""),
    ("ts", "h264", "aac", ""),
    ("flv", "h264", "mp3", ""),
    ("mxf", "h264", "pcm", ""),
    ("mov", "copy", "copy", ""),
    ("webm", "copy", "copy", ""),
    ("mp4", "av1", "aac", ""),
    ("webm", "h264", "opus", "video_codec='h264' is not allowed with container='webm': it holds vp9"),
    ("webm", "vp9", "aac", "audio_codec='aac' is not allowed with container='webm': it holds vorbis or opus"),
    ("ts", "vp9", "aac", "video_codec='vp9' is not allowed with container='ts': it holds h264 or h265"),
    ("ts", "h264", "pcm", "audio_codec='pcm' is not allowed with container='ts': it holds mp3 or aac"),
    ("mov", "vp9", "aac", "video_codec='vp9' is not allowed with container='mov'"),
    ("mp3", None, "aac", "audio_codec='aac' is not allowed with container='mp3': it holds mp3"),
]


@pytest.mark.parametrize(("container", "video", "audio", "problem"), HELD)
def test_what_a_container_holds(container: str, video: str, audio: str, problem: str) -> None:
    arguments: dict[str, Any] = {"container": container, "video_codec": video, "audio_codec": audio}
    if not problem:
        VideoConvert(**arguments)
        return
    with pytest.raises(ProcessError) as caught:
        VideoConvert(**arguments)
    (text,) = caught.value.problems
    assert text.startswith(problem)


def test_a_dropped_stream_needs_no_place_in_the_container() -> None:
    VideoConcat(container="webm", video_codec="vp9", audio_codec="aac", no_audio=True, before=["a"])


def test_largest_sheet() -> None:
    VideoSprite(format="jpg", tile_width=4096, columns=4, padding=0, margin=0)
    with pytest.raises(ProcessError, match="tile_width x columns makes a sheet of 16385 px, more than 16384"):
        VideoSprite(format="jpg", tile_width=4095, columns=4, padding=1, margin=1)
    # Six rows, gaps of 2 px and a border of 2 px are the defaults.
    with pytest.raises(ProcessError, match="tile_height x rows makes a sheet of 24590 px, more than 16384"):
        VideoSprite(format="jpg", tile_height=4096)
