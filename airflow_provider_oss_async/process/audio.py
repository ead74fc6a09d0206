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
    from collections.abc import Iterator


class _Container(TypedDict, total=False):
    container: Required[
        Annotated[Token, Param("f", "Format of the result; it decides the codec.", known=AUDIO_CONTAINERS)]
    ]


class AudioConvertParameters(_Container, Clipping, AudioEncoding, total=False):
    """Arguments of ``audio/convert``."""


class AudioConcatParameters(_Container, Clipping, AudioEncoding, total=False):
    """Arguments of ``audio/concat``."""

    align: Align
    before: Before
    after: After


class AudioConvert(Specification):
    """Transcode audio."""

    operation = "audio/convert"
    task_type = "MediaConvert"
    parameters = AudioConvertParameters

    def errors(self) -> Iterator[str]:
        """Yield what the format cannot hold."""
        return audio_errors(self.values, self.values["container"])


class AudioConcat(Specification):
    """Merge audio files into one; at most 11 with the source."""

    operation = "audio/concat"
    task_type = "MediaConvert"
    parameters = AudioConcatParameters
    segment_fields = (("before", "pre"), ("after", "sur"))

    def errors(self) -> Iterator[str]:
        """Yield what the format cannot hold, and a wrong number of objects."""
        yield from audio_errors(self.values, self.values["container"])
        yield from merge_errors(self.values)

    def warnings(self) -> Iterator[str]:
        """Yield a note where the source's own rate and channels may not fit the result."""
        yield from super().warnings()
        if not {"sample_rate", "channels"} <= self.values.keys():
            yield "a merge can fail where the format does not take the source's rate or channels; set both"
