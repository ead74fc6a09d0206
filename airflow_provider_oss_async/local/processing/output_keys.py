"""Which objects a job's files become, with the rules of :mod:`airflow_provider_oss_async.process.naming`."""

from __future__ import annotations

import posixpath
import time
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.process import ObjectURI, ProcessError
from airflow_provider_oss_async.process.naming import expand, source_variables

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.processing.result import ProducedFile
    from airflow_provider_oss_async.process import Process

_TIMES = {"year": "%Y", "mon": "%m", "day": "%d", "hour": "%H", "min": "%M", "sec": "%S"}


def output_of(
    process: Process,
    source: ObjectURI,
    file: ProducedFile,
    *,
    uploaded: float,
    created: float,
    frame_suffix: str = "_{stream}_{index}",
    index_digits: int = 1,
) -> ObjectURI:
    """Return the object that one produced file becomes.

    :param process: the instruction, with a saveas.
    :param uploaded: when the source was written, seconds since the epoch.
    :param created: when the job was accepted, seconds since the epoch.
    :param frame_suffix: what is appended to names of frames without ``{index}``.
    :param index_digits: least number of digits of ``{index}``.
    :raises JobFailed: the template names a variable that does not apply.
    """
    assert process.saveas is not None  # noqa: S101  (checked when the job was accepted)
    values = {
        **source_variables(source),
        "index": file.index_text.zfill(index_digits),
        "autoext": file.extension,
    }
    document = process.operation == "doc/convert"
    if not document:
        values["streamindex"] = str(file.stream_index)
    elif file.sheet is not None:
        values["sheetname"] = file.sheet
    for prefix, moment in (("", uploaded), ("t_", created)):
        values |= {prefix + part: time.strftime(form, time.gmtime(moment)) for part, form in _TIMES.items()}
    used: set[str] = set()

    def value_of(name: str) -> str:
        used.add(name)
        return values[name]

    try:
        key = expand(process.saveas.key, value_of)
        numbered = process.operation in ("video/snapshots", "video/sprite") and not used & {
            "index",
            "streamindex",
        }
        bucket = expand(process.saveas.bucket or source.bucket, value_of)
    except ProcessError as error:
        raise JobFailed("InvalidArgument", str(error)) from None
    if not document and "." not in posixpath.basename(process.saveas.key):
        if numbered:
            key += frame_suffix.format(stream=file.stream_index, index=file.index)
        key += f".{file.extension}"
    return ObjectURI(bucket, key.lstrip("/"))
