"""The result of a job, or the error that says why there is none; and both as the event of a trigger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.jobs.job_errors import raise_unless_succeeded
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
    from airflow_provider_oss_async.jobs.services import Services

#: Submission and object times have a resolution of one second.
_RESOLUTION = timedelta(seconds=1)
#: Version of a trigger's event.
EVENT_VERSION = 1


async def result_of(services: Services, job: OSSJob, status: JobStatus) -> dict[str, Any]:
    """Return the job with what came of it: what an operator returns.

    :return: the job's fields, ``status``, ``finished_at``, and ``outputs`` (``oss://`` URIs that exist
        now) or, for a watermark, ``content``.
    :raises OSSJobError: the job did not succeed.
    :raises OSSServiceError: its outputs could not be listed.
    """
    raise_unless_succeeded(job, status)
    result: dict[str, Any] = {**job.to_dict(), "status": status.state, "finished_at": status.finished_at}
    async with services.output_searches:
        if job.task_type == "DecodeBlindWatermark":
            result["content"] = await services.imm.get_watermark(job.imm_project, job.task_id)
            result["outputs"] = []
        else:
            result["outputs"] = [uri async for uri in _outputs(services, job)]
    return result


async def _outputs(services: Services, job: OSSJob) -> AsyncIterator[str]:
    if not job.process:
        return
    source = ObjectURI.parse(job.source)
    expected = outputs_of(parse_process(job.process), source)
    if expected is None:
        return
    if expected.key:
        if await services.oss.head(expected.bucket, expected.key) is not None:
            yield f"oss://{expected.bucket}/{expected.key}"
        return
    since = datetime.fromtimestamp(job.submitted, UTC) - _RESOLUTION if job.submitted is not None else None
    found = services.oss.matching_keys(expected.bucket, expected.prefix, expected.pattern, since)
    for key in sorted([key async for key in found], key=_natural_order):
        yield f"oss://{expected.bucket}/{key}"


def _natural_order(key: str) -> list[tuple[int, str]]:
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


def event_of(outcome: Mapping[str, Any] | OSSAsyncError) -> dict[str, Any]:
    """Return the outcome of waiting as JSON natives: what a trigger tells its task.

    :param outcome: what :func:`result_of` returned, or what it or the wait raised.
    """
    if isinstance(outcome, OSSAsyncError):
        return {"version": EVENT_VERSION, "status": "error", "error": outcome.to_dict()}
    return {"version": EVENT_VERSION, "status": "success", "result": dict(outcome)}


def result_from(event: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the result that :func:`event_of` was given, or raise its error anew: same class, same fields.

    :raises OSSJobError: the job did not succeed.
    :raises OSSAsyncError: waiting failed.
    """
    if not isinstance(event, dict) or event.get("version") != EVENT_VERSION:
        raise OSSAsyncError(
            "The trigger ended without a result that can be read; the job may still be running. Install the "
            "same release of the provider on workers and triggerers."
        )
    if event["status"] == "success":
        return dict(event["result"])
    raise OSSAsyncError.from_dict(event["error"])
