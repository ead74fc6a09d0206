"""The processing language of OSS: pure values to and from process strings. No Airflow, no SDK, no I/O."""

from __future__ import annotations

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.audio import AudioConcat, AudioConvert
from airflow_provider_oss_async.process.document import DocumentConvert
from airflow_provider_oss_async.process.frames import VideoAnimation, VideoSnapshots, VideoSprite
from airflow_provider_oss_async.process.grammar import Process, SaveAs, Segment, parse_process
from airflow_provider_oss_async.process.image import DecodeBlindWatermark
from airflow_provider_oss_async.process.operations import SPECIFICATIONS, task_types
from airflow_provider_oss_async.process.specification import Specification, SpecificationTemplate
from airflow_provider_oss_async.process.style import Style
from airflow_provider_oss_async.process.uri import ObjectURI
from airflow_provider_oss_async.process.video import VideoConcat, VideoConvert

#: IMM task types that an operation, and so a style, can have.
TASK_TYPES = task_types()


def read_specification(process: Process, *, allow_ignored: bool = True) -> Specification:
    """Read the typed arguments back from a process.

    :param process: a process of any operation.
    :param allow_ignored: take arguments that are certain to have no effect, as the service does.
    :raises ProcessError: an argument is missing or not allowed, or the process is a style, whose
        arguments only the service knows.
    """
    spec = SPECIFICATIONS.get(process.operation)
    if spec is None:
        raise ProcessError(f"{process.operation} is a style: its arguments are stored in OSS")
    return spec.from_process(process, allow_ignored=allow_ignored)


def name_errors(process: Process, source: ObjectURI, target: ObjectURI | None, topic: str) -> list[str]:
    """Return what is wrong with the names of a request whose arguments are wrong, too.

    :param process: a process of any operation but a style.
    :param source: the object to process; with an empty bucket where it is not known.
    :param target: where the result goes.
    :param topic: SMQ topic to notify; empty for none.
    """
    specification = SPECIFICATIONS[process.operation]
    clips = {
        name: [segment.object for segment in process.segments if segment.kind == kind]
        for name, kind in specification.segment_fields
    }
    return specification.name_errors(clips, source, target, topic)


__all__ = [
    "SPECIFICATIONS",
    "TASK_TYPES",
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
    "SpecificationTemplate",
    "Style",
    "VideoAnimation",
    "VideoConcat",
    "VideoConvert",
    "VideoSnapshots",
    "VideoSprite",
    "name_errors",
    "parse_process",
    "read_specification",
]
