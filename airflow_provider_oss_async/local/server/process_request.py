"""Accepting or refusing one asynchronous processing request, as OSS and IMM do.

OSS wraps an error of IMM into the code ``Imm Client``, with IMM's own code at the beginning of the
message. Not documented, and chosen here: the answer for a target bucket that does not exist or is elsewhere,
for an unknown style, and for a process string that does not follow the grammar.
"""

from __future__ import annotations

import secrets
import time
import uuid
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.server.job_table import JobRecord
from airflow_provider_oss_async.local.server.notifications import request_definition
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    ObjectURI,
    ProcessError,
    parse_process,
    read_specification,
)
from airflow_provider_oss_async.process.naming import expand, source_variables

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.server.cloud import Cloud
    from airflow_provider_oss_async.local.server.store import Bucket
    from airflow_provider_oss_async.process import Process

_ID_PREFIX = {"OfficeConversion": "formatconvert"}
_H264 = "video/convert,f_mp4,vcodec_h264,fps_{},fpsopt_1,s_{}x,sopt_1,scaletype_fit,arotate_1,crf_{},g_250"
#: Built-in styles. Second-hand: names and content as other people's code has them; the service shows them in
#: its console only.
BUILT_IN_STYLES = {
    "h264-mp4-360p": _H264.format(25, 640, 25) + ",acodec_aac,ar_44100,ac_2,ab_64000,abopt_1",
    "h264-mp4-540p": _H264.format(25, 960, 25) + ",acodec_aac,ar_44100,ac_2,ab_96000,abopt_1",
    "h264-mp4-720p": _H264.format(25, 1280, 26) + ",acodec_aac,ar_44100,ac_2,ab_128000,abopt_1",
    "h264-mp4-1080p": _H264.format(25, 1920, 26) + ",acodec_aac,ar_44100,ac_2,ab_160000,abopt_1",
    "h264-mp4-1440p": _H264.format(60, 2560, 26) + ",acodec_aac,ar_48000,ab_320000,abopt_1",
    "h264-mp4-2160p": _H264.format(60, 3840, 26) + ",acodec_aac,ar_48000,ab_512000,abopt_1",
}


def accept(cloud: Cloud, bucket: Bucket, key: str, text: str) -> JobRecord:
    """Accept a job and enqueue it.

    :param bucket: bucket of the source; the source exists.
    :param text: the process string.
    :raises Refusal: with the code of OSS.
    """
    request_id = str(uuid.uuid4()).upper()
    if bucket.imm_project is None:
        raise _imm(404, f"ResourceNotFound, The specified resource Attachment is not found. [{request_id}]")
    text = _expand_style(bucket, text)
    operation = text.partition("|")[0].partition(",")[0].partition("/pre")[0].partition("/sur")[0]
    if operation not in SPECIFICATIONS:
        raise _imm(404, f"ResourceNotFound, The specified resource Route is not found. [{request_id}]")
    try:
        process = parse_process(text)
        spec = SPECIFICATIONS[operation]
        for field in spec.fields():
            if field.required and process.param(field.param.key) is None:
                raise _imm(400, f"InvalidArgument, [{field.param.key}]:is required. {request_id}")
        read_specification(process)
        if spec.writes_object:
            _check_target(cloud, process, ObjectURI(bucket.name, key), request_id)
    except ProcessError as error:
        problems = "; ".join(error.problems or [str(error)])
        raise _imm(400, f"InvalidArgument, {problems}. {request_id}") from None
    job = JobRecord(
        task_id=f"{_ID_PREFIX.get(spec.task_type, spec.task_type)}-{uuid.uuid4()}",
        task_type=spec.task_type,
        project=bucket.imm_project,
        event_id=f"{secrets.token_hex(2).upper()}-{secrets.token_urlsafe(20)}",
        request_id=request_id,
        bucket=bucket.name,
        key=key,
        process=text,
        definition=request_definition(bucket.imm_project, bucket.name, key, process, spec.task_type),
        topic=process.topic,
        started=time.time_ns() + round(cloud.behaviour.task_clock_offset * 10**9),
    )
    cloud.table.add(job)
    cloud.runner.enqueue(job)
    return job


def _expand_style(bucket: Bucket, text: str) -> str:
    head, bar, tail = text.partition("|")
    category, _, name = head.partition("/")
    if category != "style":
        return text
    built_in = name.startswith("::")
    styles = BUILT_IN_STYLES if built_in else bucket.styles
    style = styles.get(name.removeprefix("::"))
    if style is None:
        raise Refusal(400, "InvalidArgument", f"The style {name} does not exist.")
    return style + bar + tail


def _check_target(cloud: Cloud, process: Process, source: ObjectURI, request_id: str) -> None:
    if process.saveas is None:
        raise _imm(400, f"InvalidArgument, [saveas]:is required. {request_id}")
    if process.saveas.key.endswith("/"):
        raise _imm(400, f"InvalidArgument, [saveas]:the target key must not end in /. {request_id}")
    name = expand(process.saveas.bucket or source.bucket, source_variables(source).__getitem__)
    target = cloud.store.bucket(name)
    if target is None or target.region != cloud.region or target.owner != cloud.owner:
        raise _imm(404, f"ResourceNotFound, The specified resource Bucket is not found. [{request_id}]")


def _imm(status: int, message: str) -> Refusal:
    return Refusal(status, "Imm Client", message)
