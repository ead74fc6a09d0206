"""The processing language of OSS: pure values to and from process strings. No Airflow, no SDK, no I/O."""

from __future__ import annotations

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.audio import AudioConcat, AudioConvert
from airflow_provider_oss_async.process.document import DocumentConvert
from airflow_provider_oss_async.process.frames import VideoAnimation, VideoSnapshots, VideoSprite
from airflow_provider_oss_async.process.grammar import Process, SaveAs, Segment, parse_process
from airflow_provider_oss_async.process.image import DecodeBlindWatermark
from airflow_provider_oss_async.process.specification import Specification
from airflow_provider_oss_async.process.style import Style
from airflow_provider_oss_async.process.uri import ObjectURI
from airflow_provider_oss_async.process.video import VideoConcat, VideoConvert

#: One specification per asynchronous operation, by the operation's name.
SPECIFICATIONS: dict[str, type[Specification]] = {
    spec.operation: spec
    for spec in (
        DocumentConvert,
        VideoConvert,
        VideoAnimation,
        VideoSnapshots,
        VideoSprite,
        VideoConcat,
        AudioConvert,
        AudioConcat,
        DecodeBlindWatermark,
    )
}


def read_specification(process: Process) -> Specification:
    """Read the typed arguments back from an instruction.

    :raises ProcessError: an argument is missing or not allowed, or the instruction is a style, whose
        arguments only the service knows.
    """
    spec = SPECIFICATIONS.get(process.operation)
    if spec is None:
        raise ProcessError(f"{process.operation} is a style: its arguments are stored in OSS")
    return spec.from_process(process)


__all__ = [
    "SPECIFICATIONS",
    "AudioConcat",
    "AudioConvert",
    "DecodeBlindWatermark",
    "DocumentConvert",
    "ObjectURI",
    "Process",
    "ProcessError",
    "SaveAs",
    "Segment",
    "Specification",
    "Style",
    "VideoAnimation",
    "VideoConcat",
    "VideoConvert",
    "VideoSnapshots",
    "VideoSprite",
    "parse_process",
    "read_specification",
]
