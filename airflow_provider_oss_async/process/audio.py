"""Audio transcoding and merging.

Sources: https://www.alibabacloud.com/help/en/oss/user-guide/audio-transcoding and
https://www.alibabacloud.com/help/en/oss/user-guide/audio-stitching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Required

from typing_extensions import TypedDict

from airflow_provider_oss_async.process.media import (
    AUDIO_CONTAINERS,
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
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Literal

    from airflow_provider_oss_async.process.clip import Clip
    from airflow_provider_oss_async.process.uri import ObjectURI


class _Container(TypedDict, total=False):
    container: Required[
        Annotated[
            Token,
            Param("f", "Format of the result; it decides the codec.", known=AUDIO_CONTAINERS, closed=True),
        ]
    ]


class AudioConvertParameters(_Container, Clipping, AudioEncoding, total=False):
    """Arguments of ``audio/convert``."""


class AudioConcatParameters(_Container, Clipping, AudioEncoding, total=False):
    """Arguments of ``audio/concat``."""

    align: Align
    before: Before
    after: After


class AudioConvert(Specification):
    """Transcode audio.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/audio-transcoding

    :param container: Format of the result; it decides the codec. One of mp3, aac, flac, oga, ac3, opus, amr.
        Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``.
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
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "audio/convert"
    task_type = "MediaConvert"
    parameters = AudioConvertParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/audio-transcoding"
    outputs = "one object"

    def __init__(  # made by python -m tests.generate
        self,
        *,
        container: Literal["mp3", "aac", "flac", "oga", "ac3", "opus", "amr"] | str,
        start: float | timedelta | str | None = None,
        duration: float | timedelta | str | None = None,
        sample_rate: int | str | None = None,
        channels: int | str | None = None,
        audio_quality: int | str | None = None,
        audio_bitrate: int | str | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        bit_depth: int | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            container=container,
            start=start,
            duration=duration,
            sample_rate=sample_rate,
            channels=channels,
            audio_quality=audio_quality,
            audio_bitrate=audio_bitrate,
            audio_bitrate_if_lower=audio_bitrate_if_lower,
            bit_depth=bit_depth,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    def errors(self) -> Iterator[str]:
        """Yield what the format cannot hold."""
        return audio_errors(self.values, self.values["container"])


class AudioConcat(Specification):
    """Merge audio files into one; at most 11 with the source.

    The arguments are all of AudioConvert, and those that name the further files.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/audio-stitching

    :param container: Format of the result; it decides the codec. One of mp3, aac, flac, oga, ac3, opus, amr.
        Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``.
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

    operation = "audio/concat"
    task_type = "MediaConvert"
    parameters = AudioConcatParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/audio-stitching"
    outputs = "one object"
    segment_fields = (("before", "pre"), ("after", "sur"))

    def __init__(  # made by python -m tests.generate
        self,
        *,
        container: Literal["mp3", "aac", "flac", "oga", "ac3", "opus", "amr"] | str,
        start: float | timedelta | str | None = None,
        duration: float | timedelta | str | None = None,
        sample_rate: int | str | None = None,
        channels: int | str | None = None,
        audio_quality: int | str | None = None,
        audio_bitrate: int | str | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | None = None,
        bit_depth: int | str | None = None,
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
            sample_rate=sample_rate,
            channels=channels,
            audio_quality=audio_quality,
            audio_bitrate=audio_bitrate,
            audio_bitrate_if_lower=audio_bitrate_if_lower,
            bit_depth=bit_depth,
            align=align,
            before=before,
            after=after,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    def errors(self) -> Iterator[str]:
        """Yield what the format cannot hold, and a wrong number of objects."""
        yield from audio_errors(self.values, self.values["container"])
        yield from merge_errors(self.values)

    def warnings(self, source: ObjectURI | None = None) -> Iterator[str]:
        """Yield a note where the source's own rate and channels may not fit the result."""
        yield from super().warnings(source)
        if not {"sample_rate", "channels"} <= self.values.keys():
            yield "a merge can fail where the format does not take the source's rate or channels; set both"
