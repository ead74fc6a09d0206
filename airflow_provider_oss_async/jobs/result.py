"""What comes of a job: its result, or the error that says why there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_oss_async.clients.oss import head, matching_keys
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSJobError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSJobTimeoutError,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from alibabacloud_oss_v2.aio import AsyncClient

    from airflow_provider_oss_async.clients.imm import IMMClient
    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob

#: Submission and object times have a resolution of one second.
_RESOLUTION = timedelta(seconds=1)


class OutcomeClients(Protocol):
    """What finding the outputs needs of the open clients of a connection."""

    @property
    def oss(self) -> AsyncClient:
        """Client of OSS."""

    @property
    def imm(self) -> IMMClient:
        """Client of IMM."""

    @property
    def gate(self) -> asyncio.Semaphore:
        """Lets so many look for their outputs at once that there are connections left for others."""

    async def ready(self) -> None:
        """Load the credentials that ``oss`` will use."""


async def result_of(clients: OutcomeClients, job: OSSJob, status: JobStatus) -> dict[str, Any]:
    """Return the job with what came of it: what an operator returns.

    :return: the job's fields, ``status``, ``finished_at``, and ``outputs`` (``oss://`` URIs that exist
        now) or, for a watermark, ``content``.
    :raises OSSJobError: the job did not succeed.
    :raises OSSServiceError: its outputs could not be listed.
    """
    raise_unless_succeeded(job, status)
    result: dict[str, Any] = {**job.to_dict(), "status": status.state, "finished_at": status.finished_at}
    async with clients.gate:
        if job.task_type == "DecodeBlindWatermark":
            result["content"] = await clients.imm.get_watermark(job.imm_project, job.task_id)
            result["outputs"] = []
        else:
            result["outputs"] = [uri async for uri in _outputs(clients, job)]
    return result


def raise_unless_succeeded(job: OSSJob, status: JobStatus) -> None:
    """Raise the error that a final status stands for, if it is not success.

    :raises OSSJobFailedError: the job failed.
    :raises OSSJobLostError: the service no longer knows the job.
    """
    if status.state == "succeeded":
        return
    kind: type[OSSJobError]
    if status.state == "lost":
        kind = OSSJobLostError
        text = (
            f"Job {job.task_id} ({job.task_type}) on {job.source} is lost: IMM project {job.imm_project} "
            "does not know it. Was the bucket bound to another project, or is the task type wrong? Check the "
            f"target {job.target or '(none)'} before running the task again."
        )
    else:
        kind = OSSJobFailedError
        text = (
            f"Job {job.task_id} on {job.source} failed: {status.code or 'no code'}: "
            f"{status.detail or 'no message'} (target {job.target or 'none'}, "
            f"request id {job.request_id or 'unknown'})."
        )
    raise kind(text, job=job.to_dict(), code=status.code, detail=status.detail)


async def _outputs(clients: OutcomeClients, job: OSSJob) -> AsyncIterator[str]:
    if not job.process:
        return
    source = ObjectURI.parse(job.source)
    expected = outputs_of(parse_process(job.process), source)
    if expected is None:
        return
    await clients.ready()
    if expected.key:
        if await head(clients.oss, expected.bucket, expected.key) is not None:
            yield f"oss://{expected.bucket}/{expected.key}"
        return
    since = datetime.fromtimestamp(job.submitted, UTC) - _RESOLUTION if job.submitted is not None else None
    keys = [
        key
        async for key in matching_keys(clients.oss, expected.bucket, expected.prefix, expected.pattern, since)
    ]
    for key in sorted(keys, key=_natural):
        yield f"oss://{expected.bucket}/{key}"


def _natural(key: str) -> list[tuple[int, str]]:
    """Sort ``page-2`` before ``page-10``."""
    parts: list[tuple[int, str]] = []
    digits = ""
    for char in f"{key}\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((int(digits), ""))
            digits = ""
        parts.append((-1, char))
    return parts


def timeout_error(job: OSSJob) -> OSSJobTimeoutError:
    """Return the error for a job that had not ended at its deadline."""
    if job.submitted is not None and time.time() - job.submitted >= MAX_TIMEOUT:
        advice = "IMM soon forgets it, so it is not followed any longer: clear the task to submit it anew."
    else:
        advice = "Raise timeout, or follow the job with OSSAsyncTaskSensor."
    return OSSJobTimeoutError(
        f"Job {job.task_id} on {job.source} had not ended at the deadline. It may still be running, since "
        f"OSS jobs cannot be cancelled, and write {job.target or 'nothing'}. {advice}",
        job=job.to_dict(),
    )


def goes_on(job: OSSJob) -> str:
    """Return what there is to say when waiting for a job is broken off."""
    return (
        f"Job {job.task_id} on {job.source} cannot be cancelled and goes on; "
        f"it will write {job.target or 'nothing'}."
    )


def event_of(job: OSSJob, outcome: dict[str, Any] | OSSAsyncError) -> dict[str, Any]:
    """Return the outcome of waiting as JSON natives: what a trigger tells its task.

    :param outcome: what :func:`result_of` returned, or what it or the wait raised.
    """
    if isinstance(outcome, dict):
        return {"status": "succeeded", "result": outcome}
    kind = next((name for name, cls in _ERRORS.items() if isinstance(outcome, cls)), "error")
    details = {name: getattr(outcome, name, "") or "" for name in ("code", "detail")}
    return {"status": kind, "job": job.to_dict(), "message": str(outcome), **details}


def result_from(event: dict[str, Any] | None) -> dict[str, Any]:
    """Return the result that :func:`event_of` was given, or raise its error anew.

    :raises OSSJobError: the job did not end well.
    :raises OSSAsyncError: waiting failed.
    """
    if not event or "status" not in event:
        raise OSSAsyncError("The trigger ended without an outcome; the job may still be running.")
    if event["status"] == "succeeded":
        return dict(event["result"])
    kind = _ERRORS.get(event["status"])
    if kind is None:
        raise OSSAsyncError(str(event.get("message", "")))
    raise kind(event["message"], job=event["job"], code=event["code"], detail=event["detail"])


_ERRORS: dict[str, type[OSSJobError]] = {
    "failed": OSSJobFailedError,
    "lost": OSSJobLostError,
    "timeout": OSSJobTimeoutError,
}
