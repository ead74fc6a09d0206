"""What a job does: a specification and its input files in, result files or a text out.

The work is real but not the service's: encoders, rate control and page layout differ, names, counts, codecs,
containers, sizes and rates do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification


class JobFailed(Exception):
    """A job cannot be done with this input.

    :param code: short code in the service's manner, such as ``InvalidArgument``. The service's own codes for
        failed jobs are not documented.
    :param message: what is wrong, without local paths.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ProducedFile:
    """One result file.

    :param path: the file.
    :param index: number of the page, frame or sheet of tiles, from 1; in a workbook that of the worksheet.
    :param stream_index: number of the stream among the source's video streams, from 0.
    :param sheet: name of the worksheet; ``None`` for anything but a page of a workbook.
    :param extension: what ``{autoext}`` stands for, without the dot.
    :param part: number of the page within the worksheet, from 1; 0 for anything but a page of a workbook.
    """

    path: Path
    index: int = 1
    stream_index: int = 0
    sheet: str | None = None
    extension: str = ""
    part: int = 0

    @property
    def index_text(self) -> str:
        """What ``{index}`` stands for: ``3``, or for a workbook ``<sheet>_<part>``."""
        return f"{self.index}_{self.part}" if self.part else str(self.index)


@dataclass(frozen=True, slots=True)
class Produced:
    """The result of a job.

    :param files: the files, in order.
    :param content: decoded text of a watermark; ``None`` for any other job.
    """

    files: list[ProducedFile] = field(default_factory=list)
    content: str | None = None


def process_job(
    spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path, *, source_name: str = ""
) -> Produced:
    """Do one job. Blocks, for minutes where the input is long.

    :param spec: what is to be done.
    :param source: the job's object as a local file.
    :param segments: local files of the merged objects, by object key.
    :param workdir: directory for the results and for what is needed on the way.
    :param source_name: the object's key, whose extension tells a document's format; by default the file's
        name.
    :raises JobFailed: the input, or an argument with this input, does not allow it.
    """
    # The tools are loaded with the first job that needs them, and import JobFailed from here.
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
