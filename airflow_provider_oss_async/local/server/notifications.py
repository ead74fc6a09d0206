"""What IMM returns about a job besides its state: the request definition and the completion message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.server.job_table import JobRecord, iso
from airflow_provider_oss_async.process import parse_process

if TYPE_CHECKING:
    from airflow_provider_oss_async.process import Process

#: Where ``CreateMediaConvertTask`` puts the images of an operation.
_IMAGE_KIND = {"video/snapshots": "Snapshots", "video/sprite": "Sprites", "video/animation": "Animations"}


def request_definition(project: str, bucket: str, key: str, process: Process, task_type: str) -> str:
    """Return the request as ``CreateMediaConvertTask`` would have it, JSON; empty for other task types."""
    if task_type != "MediaConvert" or process.saveas is None:
        return ""
    pre = [s.object for s in process.segments if s.kind == "pre"]
    sur = [s.object for s in process.segments if s.kind == "sur"]
    target = f"oss://{process.saveas.bucket or bucket}/{process.saveas.key}"
    return json.dumps(
        {
            "ProjectName": project,
            "Sources": [{"URI": f"oss://{bucket}/{name}"} for name in [*pre, key, *sur]],
            "Targets": _targets(process.operation, [target]),
        },
        ensure_ascii=False,
    )


def completion_message(job: JobRecord, *, region: str, owner: str) -> str:
    """Return the message that IMM publishes when a job has ended.

    The envelope and the fields of ``MediaConvert`` are documented ("Asynchronous notification message
    format"); for the other two types only the common fields are given, and ``Content`` for a watermark.
    """
    content: dict[str, Any] = {
        "ProjectName": job.project,
        "DatasetName": "",
        "RequestId": job.request_id,
        "StartTime": iso(job.started),
        "EndTime": iso(job.ended),
        "UserData": "",
        "TaskType": job.task_type,
        "TaskId": job.task_id,
        "Status": job.status,
        "Code": job.code,
        "Message": job.message,
        "EventSourceId": "",
    }
    if job.definition:
        content["Sources"] = json.loads(job.definition)["Sources"]
        content["Targets"] = _targets(parse_process(job.process).operation, job.outputs)
    if job.content:
        content["Content"] = job.content
    kind = f"imm:Task:{job.task_type}"
    return json.dumps(
        {
            "id": job.event_id,
            "source": "acs.imm",
            "type": kind,
            "subject": f"acs:imm:{region}:{owner}:{job.project}/{kind}",
            "time": str(job.ended // 10**6),
            "content": json.dumps(content, ensure_ascii=False),
        },
        ensure_ascii=False,
    )


def _targets(operation: str, uris: list[str]) -> list[dict[str, Any]]:
    kind = _IMAGE_KIND.get(operation)
    if kind is None:
        return [{"URI": uri} for uri in uris]
    return [{"URI": "", "Image": {kind: [{"URI": uri} for uri in uris]}}]
