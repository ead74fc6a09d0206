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
    ("arguments", "warnings"),
    [
        # Left at copy, the service ignores them and makes a copy as large as the source.
        ({"width": 640, "video_bitrate": 500_000}, ["width, video_bitrate will be ignored: set video_codec"]),
        ({"video_codec": "copy", "crf": 20}, ["crf will be ignored: set video_codec"]),
        ({"audio_bitrate": 96_000}, ["audio_bitrate will be ignored: set audio_codec"]),
        ({"no_video": True, "frame_rate": 25}, ["frame_rate will be ignored: the result has no video"]),
        ({"container": "mp3", "frame_rate": 25}, ["frame_rate will be ignored: the result has no video"]),
        ({"no_audio": True, "channels": 2}, ["channels will be ignored: the result has no audio"]),
        ({"video_codec": "h264", "width": 640}, []),
        ({"container": "mp3", "audio_bitrate": 96_000}, []),
        ({"start": 5, "no_subtitles": True}, []),
    ],
)
def test_convert_warns(arguments: dict[str, Any], warnings: list[str]) -> None:
    given = list(VideoConvert(**({"container": "mp4"} | arguments)).warnings())
    assert len(given) == len(warnings)
    for text, beginning in zip(given, warnings, strict=True):
        assert text.startswith(beginning)


def test_orientation_is_always_sent_with_a_size() -> None:
    assert dict(VideoConvert(container="mp4", height=720).wire_params())["arotate"] == "0"
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


def test_per_cent_beside_pixels() -> None:
    (warning,) = VideoSnapshots(format="jpg", interval=1, width=640, height_percent=50).warnings()
    assert warning.startswith("height_percent will be ignored: a size in pixels is given")
    (warning,) = VideoSprite(format="jpg", interval=1, tile_width=64, tile_width_percent=50).warnings()
    assert warning.startswith("tile_width_percent will be ignored")


def test_largest_sheet() -> None:
    VideoSprite(format="jpg", tile_width=4096, columns=4, padding=0, margin=0)
    with pytest.raises(ProcessError, match="tile_width x columns makes a sheet of 16385 px, more than 16384"):
        VideoSprite(format="jpg", tile_width=4095, columns=4, padding=1, margin=1)
    # Six rows, gaps of 2 px and a border of 2 px are the defaults.
    with pytest.raises(ProcessError, match="tile_height x rows makes a sheet of 24590 px, more than 16384"):
        VideoSprite(format="jpg", tile_height=4096)
