"""Dispatch of a job: a specification and its input files in, result files or a text out.

The work is real but not the service's: encoders, rate control and page layout differ; names, counts, codecs,
containers, sizes and rates do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.processing.result import JobFailed, Produced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification


def process_job(
    spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path, *, source_name: str = ""
) -> Produced:
    """Do one job. Blocks, for minutes where the input is long.

    :param spec: what is to be done.
    :param source: the job's object as a local file.
    :param segments: local files of the merged objects, by object key.
    :param workdir: directory for the results and for intermediate files.
    :param source_name: the object's key, whose extension tells a document's format; by default the file's
        name.
    :raises JobFailed: the input, or an argument with this input, does not allow it.
    """
    # The libraries are imported with the first job that needs them.
    workdir.mkdir(parents=True, exist_ok=True)
    match spec.operation:
        case "doc/convert":
            from airflow_provider_oss_async.local.processing import documents

            return Produced(documents.convert(spec, source, workdir, source_name or source.name))
        case "image/deblindwatermark":
            from airflow_provider_oss_async.local.processing import watermark

            return Produced(content=watermark.decode(source, spec.get("strength", "low")))
        case "video/animation" | "video/snapshots" | "video/sprite":
            from airflow_provider_oss_async.local.processing import frames

            return Produced(frames.OPERATIONS[spec.operation](spec, source, workdir))
        case "video/convert" | "audio/convert":
            from airflow_provider_oss_async.local.processing import media

            return Produced([media.convert(spec, source, workdir)])
        case "video/concat" | "audio/concat":
            from airflow_provider_oss_async.local.processing import media

            return Produced([media.concat(spec, source, segments, workdir)])
    raise JobFailed("InvalidArgument", f"{spec.operation} is not an operation of the local stand-in")
