"""Video transcoding and merging.

Sources: https://www.alibabacloud.com/help/en/oss/user-guide/video-transcoding and .../video-stitching. Fields
that only the IMM action ``CreateMediaConvertTask`` describes say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Required

from annotated_types import Interval, MultipleOf
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.media import (
    AUDIO_CODECS,
    AUDIO_CONTAINERS,
    CONTAINERS,
    FIT,
    FIT_DOC,
    IF_LOWER,
    VIDEO_CODECS,
    After,
    Align,
    AudioEncoding,
    Before,
    Clipping,
    audio_errors,
    container_errors,
    merge_errors,
)
from airflow_provider_oss_async.process.specification import Param, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Literal

    from airflow_provider_oss_async.process.clip import Clip
    from airflow_provider_oss_async.process.uri import ObjectURI

_SIZE = ("width", "height")


class _Container(TypedDict, total=False):
    container: Required[
        Annotated[
            Token,
            Param(
                "f",
                "Container of the result; the audio ones hold no video.",
                known=tuple(CONTAINERS),
                closed=True,
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
            "Width; where only this is given, the height follows from the source's shape.",
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
            "Height; where only this is given, the width follows from the source's shape.",
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
            "Whether width and height are the long and the short side, whatever the source's orientation is. "
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
        Param("maxrate", "Maximum bit rate with crf; needs buffer_size.", unit="bit/s", needs=("crf",)),
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


class _ConvertCodecs(TypedDict, total=False):
    no_video: Annotated[bool, Param("vn", "Drop the video.", default="false")]
    video_codec: Annotated[
        Token,
        Param(
            "vcodec",
            "Video codec. With copy the stream is kept and every other video argument is ignored.",
            default="copy",
            known=("copy", *VIDEO_CODECS),
        ),
    ]
    audio_codec: Annotated[
        Token,
        Param(
            "acodec",
            "Audio codec; copy keeps the stream.",
            default="copy",
            known=("copy", *AUDIO_CODECS),
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
            "Narrowband HD: fewer bits at the same visual quality. h264 or h265 in yuv420p only "
            "(described by IMM, not by the OSS page).",
            default="false",
        ),
    ]


class _ConcatCodecs(TypedDict, total=False):
    video_codec: Required[
        Annotated[Token, Param("vcodec", "Video codec; merging cannot copy.", known=VIDEO_CODECS)]
    ]
    audio_codec: Required[
        Annotated[Token, Param("acodec", "Audio codec; merging cannot copy.", known=AUDIO_CODECS)]
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

    @classmethod
    def implied(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ``adapt_orientation`` with every size: the documentation is unsure of its default."""
        return {"adapt_orientation": False} if any(name in given for name in _SIZE) else {}

    def errors(self) -> Iterator[str]:
        """Yield settings that the container or the codecs cannot hold."""
        yield from container_errors(self.values)
        codec = self.get("audio_codec", "copy")
        container = self.values["container"]
        yield from audio_errors(self.values, container if codec == "copy" else codec)
        if "max_bitrate" in self.values and "buffer_size" not in self.values:
            yield "max_bitrate has no meaning without buffer_size"
        if self.get("pixel_format") == "yuva420p" and self.get("video_codec") != "vp9":
            yield "pixel_format='yuva420p' is only allowed with video_codec='vp9'"
        if self.get("no_audio") and (self.get("no_video") or container in AUDIO_CONTAINERS):
            yield "without video and audio nothing is left of the source"

    def ignored(self) -> Iterator[str]:
        """Yield arguments of a stream that is copied or dropped."""
        audio_only = self.values["container"] in AUDIO_CONTAINERS
        streams: tuple[tuple[str, type, Any], ...] = (
            ("video", _VideoEncoding, self.get("no_video") or audio_only),
            ("audio", AudioEncoding, self.get("no_audio")),
        )
        for kind, fields, dropped in streams:
            codec = f"{kind}_codec"
            # adapt_orientation goes with every size.
            given = [n for n in fields.__annotations__ if n in self.values and n != "adapt_orientation"]
            if kind == "video" and self.get("narrowband_hd"):
                given.append("narrowband_hd")
            if dropped and self.get(codec, "copy") != "copy" and codec not in self._required():
                given.append(codec)
            names = ", ".join(given)
            if given and dropped:
                yield f"{names} would be ignored: the result has no {kind} (allow_ignored=True takes it)"
            elif given and self.get(codec, "copy") == "copy" and not audio_only:
                yield (
                    f"{names} would be ignored: set {codec}, without which the {kind} is copied "
                    "(allow_ignored=True takes it)"
                )

    @classmethod
    def _required(cls) -> set[str]:
        return {field.name for field in cls.fields() if field.required}


class VideoConvert(_Encoding):
    """Transcode a video, put it into another container, cut it, or take its audio out.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/video-transcoding

    :param container: Container of the result; the audio ones hold no video. One of mp4, mkv, mov, asf, avi,
        mxf, ts, flv, webm, mp3, aac, flac, oga, ac3, opus, amr. Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``.
    :param no_video: Drop the video. True or false. Default: false. Wire key ``vn``.
    :param video_codec: Video codec. With copy the stream is kept and every other video argument is ignored.
        Text such as copy, h264, h265, vp9. Default: copy. Wire key ``vcodec``.
    :param audio_codec: Audio codec; copy keeps the stream. Text such as copy, mp3, aac, flac, vorbis, ac3,
        opus, amr, pcm. Default: copy. Wire key ``acodec``.
    :param frame_rate: Frame rate. A number above 0 to 240 fps. Default: the source's. Wire key ``fps``.
    :param frame_rate_if_lower: What to do where the source's frame rate is below frame_rate. One of convert,
        keep_source, fail. Only with ``frame_rate``. Default: convert. Wire key ``fpsopt``.
    :param pixel_format: Pixel format; yuva420p only with vp9. Text such as yuv420p, yuv422p, yuv444p,
        yuv420p10le, yuv422p10le, yuv444p10le, yuva420p. Default: the source's. Wire key ``pixfmt``.
    :param width: Width; where only this is given, the height follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``.
    :param height: Height; where only this is given, the width follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``.
    :param size_if_smaller: What to do where the source's area is below width x height. One of convert,
        keep_source, fail. Only with ``width`` or ``height``. Default: convert. Wire key ``sopt``.
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Only with
        ``width`` or ``height``. Default: stretch. Wire key ``scaletype``.
    :param adapt_orientation: Whether width and height are the long and the short side, whatever the source's
        orientation is. The documentation is unsure of the service's default, so it is always sent with a
        size. True or false. Only with ``width`` or ``height``. Default: false. Wire key ``arotate``.
    :param keyframe_interval: Most frames from one keyframe to the next. A whole number from 1 to 100000.
        Default: 150. Wire key ``g``.
    :param video_bitrate: Video bit rate. A whole number from 10000 to 100000000 bit/s. Not with ``crf``.
        Default: constant quality, crf 23. Wire key ``vb``.
    :param video_bitrate_if_lower: What to do where the source's video bit rate is below video_bitrate. One of
        convert, keep_source, fail. Only with ``video_bitrate``. Default: convert. Wire key ``vbopt``.
    :param crf: Constant quality, lower is better; 18 to 38 is usual. A number from 0 to 51. Default: 23. Wire
        key ``crf``.
    :param max_bitrate: Maximum bit rate with crf; needs buffer_size. A whole number from 10000 to 100000000
        bit/s. Only with ``crf``. Default: not documented. Wire key ``maxrate``.
    :param buffer_size: Rate control buffer with crf. A whole number from 10000 to 200000000 bit. Only with
        ``crf``. Default: not documented. Wire key ``bufsize``.
    :param no_audio: Drop the audio. True or false. Default: false. Wire key ``an``.
    :param sample_rate: Audio sample rate. mp3 up to 48000; opus 8000, 12000, 16000, 24000, 48000; ac3 32000,
        44100, 48000; amr 8000, 16000. A whole number from 8000 to 96000 Hz. Default: the source's. Wire key
        ``ar``.
    :param channels: Audio channels. mp3 up to 2; ac3 up to 6; amr 1. A whole number from 1 to 8. Default: the
        source's. Wire key ``ac``.
    :param audio_quality: Audio quality, higher is better. A whole number from 0 to 100. Not with
        ``audio_bitrate``. Default: not documented. Wire key ``aq``.
    :param audio_bitrate: Audio bit rate. A whole number from 1000 to 10000000 bit/s. Default: not documented.
        Wire key ``ab``.
    :param audio_bitrate_if_lower: What to do where the source's audio bit rate is below audio_bitrate. One of
        convert, keep_source, fail. Only with ``audio_bitrate``. Default: convert. Wire key ``abopt``.
    :param bit_depth: Audio bit depth, 16 or 24; flac only. A whole number from 16 to 24 bit. Default: not
        documented. Wire key ``adepth``.
    :param no_subtitles: Drop the subtitles. True or false. Default: false. Wire key ``sn``.
    :param narrowband_hd: Narrowband HD: fewer bits at the same visual quality. h264 or h265 in yuv420p only
        (described by IMM, not by the OSS page). True or false. Default: false. Wire key ``videoslim``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "video/convert"
    parameters = VideoConvertParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/video-transcoding"
    outputs = "one object"

    def __init__(  # made by python -m tests.generate
        self,
        *,
        container: Literal[
            "mp4",
            "mkv",
            "mov",
            "asf",
            "avi",
            "mxf",
            "ts",
            "flv",
            "webm",
            "mp3",
            "aac",
            "flac",
            "oga",
            "ac3",
            "opus",
            "amr",
        ]
        | str,
        start: float | timedelta | str | None = None,
        duration: float | timedelta | str | None = None,
        no_video: bool | Literal[0, 1] | str | None = None,
        video_codec: Literal["copy", "h264", "h265", "vp9"] | str | None = None,
        audio_codec: Literal["copy", "mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm"]
        | str
        | None = None,
        frame_rate: float | str | None = None,
        frame_rate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        pixel_format: Literal[
            "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuva420p"
        ]
        | str
        | None = None,
        width: int | str | None = None,
        height: int | str | None = None,
        size_if_smaller: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | None = None,
        adapt_orientation: bool | Literal[0, 1] | str | None = None,
        keyframe_interval: int | str | None = None,
        video_bitrate: int | str | None = None,
        video_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        crf: float | str | None = None,
        max_bitrate: int | str | None = None,
        buffer_size: int | str | None = None,
        no_audio: bool | Literal[0, 1] | str | None = None,
        sample_rate: int | str | None = None,
        channels: int | str | None = None,
        audio_quality: int | str | None = None,
        audio_bitrate: int | str | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        bit_depth: int | str | None = None,
        no_subtitles: bool | Literal[0, 1] | str | None = None,
        narrowband_hd: bool | Literal[0, 1] | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            container=container,
            start=start,
            duration=duration,
            no_video=no_video,
            video_codec=video_codec,
            audio_codec=audio_codec,
            frame_rate=frame_rate,
            frame_rate_if_lower=frame_rate_if_lower,
            pixel_format=pixel_format,
            width=width,
            height=height,
            size_if_smaller=size_if_smaller,
            fit=fit,
            adapt_orientation=adapt_orientation,
            keyframe_interval=keyframe_interval,
            video_bitrate=video_bitrate,
            video_bitrate_if_lower=video_bitrate_if_lower,
            crf=crf,
            max_bitrate=max_bitrate,
            buffer_size=buffer_size,
            no_audio=no_audio,
            sample_rate=sample_rate,
            channels=channels,
            audio_quality=audio_quality,
            audio_bitrate=audio_bitrate,
            audio_bitrate_if_lower=audio_bitrate_if_lower,
            bit_depth=bit_depth,
            no_subtitles=no_subtitles,
            narrowband_hd=narrowband_hd,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    def errors(self) -> Iterator[str]:
        """Yield settings that the codecs cannot hold."""
        yield from super().errors()
        if self.get("narrowband_hd"):
            if self.get("video_codec") not in ("h264", "h265"):
                yield "narrowband_hd needs video_codec h264 or h265"
            if self.get("pixel_format", "yuv420p") != "yuv420p":
                yield "narrowband_hd is only allowed with pixel_format='yuv420p'"


class VideoConcat(_Encoding):
    """Merge videos into one; at most 11 with the source.

    The arguments are all of VideoConvert, except no_video and narrowband_hd, and those that name the further
    videos. Both codecs are required, and none can be copied.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/video-stitching

    :param container: Container of the result; the audio ones hold no video. One of mp4, mkv, mov, asf, avi,
        mxf, ts, flv, webm, mp3, aac, flac, oga, ac3, opus, amr. Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``.
    :param video_codec: Video codec; merging cannot copy. Text such as h264, h265, vp9. Required. Wire key
        ``vcodec``.
    :param audio_codec: Audio codec; merging cannot copy. Text such as mp3, aac, flac, vorbis, ac3, opus, amr,
        pcm. Required. Wire key ``acodec``.
    :param frame_rate: Frame rate. A number above 0 to 240 fps. Default: the source's. Wire key ``fps``.
    :param frame_rate_if_lower: What to do where the source's frame rate is below frame_rate. One of convert,
        keep_source, fail. Only with ``frame_rate``. Default: convert. Wire key ``fpsopt``.
    :param pixel_format: Pixel format; yuva420p only with vp9. Text such as yuv420p, yuv422p, yuv444p,
        yuv420p10le, yuv422p10le, yuv444p10le, yuva420p. Default: the source's. Wire key ``pixfmt``.
    :param width: Width; where only this is given, the height follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``.
    :param height: Height; where only this is given, the width follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``.
    :param size_if_smaller: What to do where the source's area is below width x height. One of convert,
        keep_source, fail. Only with ``width`` or ``height``. Default: convert. Wire key ``sopt``.
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Only with
        ``width`` or ``height``. Default: stretch. Wire key ``scaletype``.
    :param adapt_orientation: Whether width and height are the long and the short side, whatever the source's
        orientation is. The documentation is unsure of the service's default, so it is always sent with a
        size. True or false. Only with ``width`` or ``height``. Default: false. Wire key ``arotate``.
    :param keyframe_interval: Most frames from one keyframe to the next. A whole number from 1 to 100000.
        Default: 150. Wire key ``g``.
    :param video_bitrate: Video bit rate. A whole number from 10000 to 100000000 bit/s. Not with ``crf``.
        Default: constant quality, crf 23. Wire key ``vb``.
    :param video_bitrate_if_lower: What to do where the source's video bit rate is below video_bitrate. One of
        convert, keep_source, fail. Only with ``video_bitrate``. Default: convert. Wire key ``vbopt``.
    :param crf: Constant quality, lower is better; 18 to 38 is usual. A number from 0 to 51. Default: 23. Wire
        key ``crf``.
    :param max_bitrate: Maximum bit rate with crf; needs buffer_size. A whole number from 10000 to 100000000
        bit/s. Only with ``crf``. Default: not documented. Wire key ``maxrate``.
    :param buffer_size: Rate control buffer with crf. A whole number from 10000 to 200000000 bit. Only with
        ``crf``. Default: not documented. Wire key ``bufsize``.
    :param no_audio: Drop the audio. True or false. Default: false. Wire key ``an``.
    :param sample_rate: Audio sample rate. mp3 up to 48000; opus 8000, 12000, 16000, 24000, 48000; ac3 32000,
        44100, 48000; amr 8000, 16000. A whole number from 8000 to 96000 Hz. Default: the source's. Wire key
        ``ar``.
    :param channels: Audio channels. mp3 up to 2; ac3 up to 6; amr 1. A whole number from 1 to 8. Default: the
        source's. Wire key ``ac``.
    :param audio_quality: Audio quality, higher is better. A whole number from 0 to 100. Not with
        ``audio_bitrate``. Default: not documented. Wire key ``aq``.
    :param audio_bitrate: Audio bit rate. A whole number from 1000 to 10000000 bit/s. Default: not documented.
        Wire key ``ab``.
    :param audio_bitrate_if_lower: What to do where the source's audio bit rate is below audio_bitrate. One of
        convert, keep_source, fail. Only with ``audio_bitrate``. Default: convert. Wire key ``abopt``.
    :param bit_depth: Audio bit depth, 16 or 24; flac only. A whole number from 16 to 24 bit. Default: not
        documented. Wire key ``adepth``.
    :param no_subtitles: Drop the subtitles. True or false. Default: false. Wire key ``sn``.
    :param align: Position, counted from 0 in play order, of the object whose properties the result has by
        default. A whole number from 0 to 10. Default: 0. Wire key ``align``.
    :param before: Objects that play before the source, in this order. A list of up to 10 objects, each a key
        or {object: key, start: seconds, duration: seconds} of which only the object is required (a list that
        a template makes needs render_template_as_native_obj=True). Default: not documented. Wire key ``pre``.
    :param after: Objects that play after the source, in this order. A list of up to 10 objects, each a key or
        {object: key, start: seconds, duration: seconds} of which only the object is required (a list that a
        template makes needs render_template_as_native_obj=True). Default: not documented. Wire key ``sur``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "video/concat"
    parameters = VideoConcatParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/video-stitching"
    outputs = "one object"
    segment_fields = (("before", "pre"), ("after", "sur"))

    def __init__(  # made by python -m tests.generate
        self,
        *,
        container: Literal[
            "mp4",
            "mkv",
            "mov",
            "asf",
            "avi",
            "mxf",
            "ts",
            "flv",
            "webm",
            "mp3",
            "aac",
            "flac",
            "oga",
            "ac3",
            "opus",
            "amr",
        ]
        | str,
        start: float | timedelta | str | None = None,
        duration: float | timedelta | str | None = None,
        video_codec: Literal["h264", "h265", "vp9"] | str,
        audio_codec: Literal["mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm"] | str,
        frame_rate: float | str | None = None,
        frame_rate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        pixel_format: Literal[
            "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuva420p"
        ]
        | str
        | None = None,
        width: int | str | None = None,
        height: int | str | None = None,
        size_if_smaller: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | None = None,
        adapt_orientation: bool | Literal[0, 1] | str | None = None,
        keyframe_interval: int | str | None = None,
        video_bitrate: int | str | None = None,
        video_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        crf: float | str | None = None,
        max_bitrate: int | str | None = None,
        buffer_size: int | str | None = None,
        no_audio: bool | Literal[0, 1] | str | None = None,
        sample_rate: int | str | None = None,
        channels: int | str | None = None,
        audio_quality: int | str | None = None,
        audio_bitrate: int | str | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        bit_depth: int | str | None = None,
        no_subtitles: bool | Literal[0, 1] | str | None = None,
        align: int | str | None = None,
        before: Sequence[Clip | str] | None = None,
        after: Sequence[Clip | str] | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            container=container,
            start=start,
            duration=duration,
            video_codec=video_codec,
            audio_codec=audio_codec,
            frame_rate=frame_rate,
            frame_rate_if_lower=frame_rate_if_lower,
            pixel_format=pixel_format,
            width=width,
            height=height,
            size_if_smaller=size_if_smaller,
            fit=fit,
            adapt_orientation=adapt_orientation,
            keyframe_interval=keyframe_interval,
            video_bitrate=video_bitrate,
            video_bitrate_if_lower=video_bitrate_if_lower,
            crf=crf,
            max_bitrate=max_bitrate,
            buffer_size=buffer_size,
            no_audio=no_audio,
            sample_rate=sample_rate,
            channels=channels,
            audio_quality=audio_quality,
            audio_bitrate=audio_bitrate,
            audio_bitrate_if_lower=audio_bitrate_if_lower,
            bit_depth=bit_depth,
            no_subtitles=no_subtitles,
            align=align,
            before=before,
            after=after,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    def errors(self) -> Iterator[str]:
        """Yield what merging cannot do, and a wrong number of objects."""
        yield from super().errors()
        yield from merge_errors(self.values)
        for name in ("video_codec", "audio_codec"):
            if self.values[name] == "copy":
                yield f"{name}='copy' is not allowed in a merge: name a codec"

    def warnings(self, source: ObjectURI | None = None) -> Iterator[str]:
        """Yield a note where the source's own rate and channels may not fit the result."""
        yield from super().warnings(source)
        if not {"sample_rate", "channels"} <= self.values.keys() and not self.get("no_audio"):
            yield "a merge can fail where the container does not take the source's rate or channels; set both"
