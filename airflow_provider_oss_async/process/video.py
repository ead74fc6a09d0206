"""Video transcoding and merging.

Sources: https://www.alibabacloud.com/help/en/oss/user-guide/video-transcoding and .../video-stitching. Fields
that only the IMM action ``CreateMediaConvertTask`` describes say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Required

from annotated_types import Interval, MultipleOf
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.media import (
    AUDIO_CONTAINERS,
    FIT,
    FIT_DOC,
    IF_LOWER,
    After,
    Align,
    AudioEncoding,
    Before,
    Clipping,
    audio_errors,
    merge_errors,
)
from airflow_provider_oss_async.process.specification import Param, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VIDEO_CONTAINERS = ("mp4", "mkv", "mov", "asf", "avi", "mxf", "ts", "flv", "webm")
_SIZE = ("width", "height")


class _Container(TypedDict, total=False):
    container: Required[
        Annotated[
            Token,
            Param(
                "f",
                "Container of the result; the audio ones hold no video.",
                known=(*VIDEO_CONTAINERS, *AUDIO_CONTAINERS),
            ),
        ]
    ]


class _VideoEncoding(TypedDict, total=False):
    frame_rate: Annotated[
        float, Interval(gt=0, le=240), Param("fps", "Frame rate.", default="the source's", unit="fps")
    ]
    frame_rate_if_lower: Annotated[
        str,
        Param(
            "fpsopt",
            "What to do where the source's frame rate is below frame_rate.",
            default="convert",
            choices=IF_LOWER,
            needs=("frame_rate",),
        ),
    ]
    pixel_format: Annotated[
        Token,
        Param(
            "pixfmt",
            "Pixel format; yuva420p only with vp9.",
            default="the source's",
            known=(
                "yuv420p",
                "yuv422p",
                "yuv444p",
                "yuv420p10le",
                "yuv422p10le",
                "yuv444p10le",
                "yuva420p",
            ),
        ),
    ]
    width: Annotated[
        int,
        Interval(ge=64, le=4096),
        MultipleOf(2),
        Param(
            "s",
            "Width; the height follows where only this is given.",
            default="the source's",
            unit="px",
            side=0,
        ),
    ]
    height: Annotated[
        int,
        Interval(ge=64, le=4096),
        MultipleOf(2),
        Param(
            "s",
            "Height; the width follows where only this is given.",
            default="the source's",
            unit="px",
            side=1,
        ),
    ]
    size_if_smaller: Annotated[
        str,
        Param(
            "sopt",
            "What to do where the source's area is below width x height.",
            default="convert",
            choices=IF_LOWER,
            needs=_SIZE,
        ),
    ]
    fit: Annotated[Token, Param("scaletype", FIT_DOC, default="stretch", known=FIT, needs=_SIZE)]
    adapt_orientation: Annotated[
        bool,
        Param(
            "arotate",
            "Whether width and height are the long and the short side, whichever way the source is turned. "
            "The documentation is unsure of the service's default, so it is always sent with a size.",
            default="false",
            needs=_SIZE,
        ),
    ]
    keyframe_interval: Annotated[
        int,
        Interval(ge=1, le=100_000),
        Param("g", "Most frames from one keyframe to the next.", default="150"),
    ]
    video_bitrate: Annotated[
        int,
        Interval(ge=10_000, le=100_000_000),
        Param("vb", "Video bit rate.", default="constant quality, crf 23", unit="bit/s", excludes=("crf",)),
    ]
    video_bitrate_if_lower: Annotated[
        str,
        Param(
            "vbopt",
            "What to do where the source's video bit rate is below video_bitrate.",
            default="convert",
            choices=IF_LOWER,
            needs=("video_bitrate",),
        ),
    ]
    crf: Annotated[
        float,
        Interval(ge=0, le=51),
        Param("crf", "Constant quality, lower is better; 18 to 38 is usual.", default="23"),
    ]
    max_bitrate: Annotated[
        int,
        Interval(ge=10_000, le=100_000_000),
        Param(
            "maxrate", "Ceiling of the bit rate with crf; needs buffer_size.", unit="bit/s", needs=("crf",)
        ),
    ]
    buffer_size: Annotated[
        int,
        Interval(ge=10_000, le=200_000_000),
        Param("bufsize", "Rate control buffer with crf.", unit="bit", needs=("crf",)),
    ]


class _NoAudio(TypedDict, total=False):
    no_audio: Annotated[bool, Param("an", "Drop the audio.", default="false")]


class _NoSubtitles(TypedDict, total=False):
    no_subtitles: Annotated[bool, Param("sn", "Drop the subtitles.", default="false")]


_AUDIO_CODECS = ("mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm")


class _ConvertCodecs(TypedDict, total=False):
    no_video: Annotated[bool, Param("vn", "Drop the video.", default="false")]
    video_codec: Annotated[
        Token,
        Param(
            "vcodec",
            "Video codec. With copy the stream is kept and every other video argument is ignored.",
            default="copy",
            known=("copy", "h264", "h265", "vp9"),
        ),
    ]
    audio_codec: Annotated[
        Token,
        Param(
            "acodec",
            "Audio codec; copy keeps the stream.",
            default="copy",
            known=("copy", *_AUDIO_CODECS),
        ),
    ]


class VideoConvertParameters(
    _Container, Clipping, _ConvertCodecs, _VideoEncoding, _NoAudio, AudioEncoding, _NoSubtitles, total=False
):
    """Arguments of ``video/convert``."""

    narrowband_hd: Annotated[
        bool,
        Param(
            "videoslim",
            "Narrowband HD: fewer bits at the same impression. h264 or h265 in yuv420p only "
            "(described by IMM, not by the OSS page).",
            default="false",
        ),
    ]


class _ConcatCodecs(TypedDict, total=False):
    video_codec: Required[
        Annotated[Token, Param("vcodec", "Video codec; merging cannot copy.", known=("h264", "h265", "vp9"))]
    ]
    audio_codec: Required[
        Annotated[Token, Param("acodec", "Audio codec; merging cannot copy.", known=_AUDIO_CODECS)]
    ]


class VideoConcatParameters(
    _Container, Clipping, _ConcatCodecs, _VideoEncoding, _NoAudio, AudioEncoding, _NoSubtitles, total=False
):
    """Arguments of ``video/concat``."""

    align: Align
    before: Before
    after: After


class _Encoding(Specification):
    """What transcoding and merging share."""

    task_type = "MediaConvert"

    def __init__(self, *, extra_params: Mapping[str, str] | None = None, **parameters: Any) -> None:
        has_size = any(parameters.get(name) is not None for name in _SIZE)
        if has_size and parameters.get("adapt_orientation") is None:
            parameters["adapt_orientation"] = False
        super().__init__(extra_params=extra_params, **parameters)

    def errors(self) -> Iterator[str]:
        """Yield settings that the codecs cannot hold."""
        codec = self.get("audio_codec", "copy")
        container = self.values["container"]
        yield from audio_errors(self.values, container if codec == "copy" else codec)
        if "max_bitrate" in self.values and "buffer_size" not in self.values:
            yield "max_bitrate has no meaning without buffer_size"
        if self.get("pixel_format") == "yuva420p" and self.get("video_codec") != "vp9":
            yield "pixel_format='yuva420p' is only allowed with video_codec='vp9'"
        if self.get("no_audio") and (self.get("no_video") or container in AUDIO_CONTAINERS):
            yield "without video and audio nothing is left of the source"


class VideoConvert(_Encoding):
    """Transcode a video, put it into another container, cut it, or take its audio out."""

    operation = "video/convert"
    parameters = VideoConvertParameters

    def errors(self) -> Iterator[str]:
        """Yield settings that the codecs cannot hold."""
        yield from super().errors()
        if self.get("narrowband_hd"):
            if self.get("video_codec") not in ("h264", "h265"):
                yield "narrowband_hd needs video_codec h264 or h265"
            if self.get("pixel_format", "yuv420p") != "yuv420p":
                yield "narrowband_hd is only allowed with pixel_format='yuv420p'"

    def warnings(self) -> Iterator[str]:
        """Yield arguments that a copied or dropped stream makes the service ignore."""
        yield from super().warnings()
        for kind, fields, dropped in (
            ("video", _VideoEncoding, self.get("no_video") or self.values["container"] in AUDIO_CONTAINERS),
            ("audio", AudioEncoding, self.get("no_audio")),
        ):
            # adapt_orientation is there by itself with every size.
            idle = [n for n in fields.__annotations__ if n in self.values and n != "adapt_orientation"]
            if idle and dropped:
                yield f"{', '.join(idle)} will be ignored: the result has no {kind}"
            elif (
                idle
                and self.get(f"{kind}_codec", "copy") == "copy"
                and self.values["container"] not in AUDIO_CONTAINERS
            ):
                yield f"{', '.join(idle)} will be ignored: set {kind}_codec, by default the {kind} is copied"


class VideoConcat(_Encoding):
    """Merge videos into one; at most 11 with the source."""

    operation = "video/concat"
    parameters = VideoConcatParameters
    segment_fields = (("before", "pre"), ("after", "sur"))

    def errors(self) -> Iterator[str]:
        """Yield what merging cannot do, and a wrong number of objects."""
        yield from super().errors()
        yield from merge_errors(self.values)
        for name in ("video_codec", "audio_codec"):
            if self.values[name] == "copy":
                yield f"{name}='copy' is not allowed in a merge: name a codec"

    def warnings(self) -> Iterator[str]:
        """Yield a note where the source's own rate and channels may not fit the result."""
        yield from super().warnings()
        if not {"sample_rate", "channels"} <= self.values.keys() and not self.get("no_audio"):
            yield "a merge can fail where the container does not take the source's rate or channels; set both"
