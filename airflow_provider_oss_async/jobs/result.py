"""The result of a job, or the error that says why there is none; and both as the event of a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.jobs.job_errors import raise_unless_succeeded
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
    from airflow_provider_oss_async.jobs.services import Services

#: Submission and object times have a resolution of one second.
_RESOLUTION = 1.0
#: Version of a trigger's event.
EVENT_VERSION = 1


@dataclass(frozen=True, slots=True)
class OutputObject:
    """An object that a job has written.

    :param size: in bytes; -1 where not known.
    :param modified: when it was written, in epoch seconds; 0 where not known.
    """

    uri: ObjectURI
    size: int = -1
    modified: float = 0.0


async def result_of(services: Services, job: OSSJob, status: JobStatus) -> dict[str, Any]:
    """Return the result of :func:`result_and_outputs`."""
    return (await result_and_outputs(services, job, status))[0]


async def result_and_outputs(
    services: Services, job: OSSJob, status: JobStatus
) -> tuple[dict[str, Any], list[OutputObject]]:
    """Return the job with what came of it, which is what an operator returns, and the objects it has written.

    :return: the job's fields, ``status``, ``finished_at``, and ``outputs`` (``oss://`` URIs that exist
        now) or, for a watermark, ``content``.
    :raises OSSJobError: the job did not succeed.
    :raises OSSServiceError: its outputs could not be listed.
    """
    raise_unless_succeeded(job, status)
    outputs: list[OutputObject] = []
    result: dict[str, Any] = {**job.to_dict(), "status": status.state, "finished_at": status.finished_at}
    async with services.output_searches:
        if job.task_type == "DecodeBlindWatermark":
            result["content"] = await services.imm.get_watermark(job.imm_project, job.task_id)
        else:
            outputs = await find_outputs(services, job)
    result["outputs"] = [str(output.uri) for output in outputs]
    return result, outputs


async def find_outputs(services: Services, job: OSSJob) -> list[OutputObject]:
    """Return the objects that a job has written, as far as its process tells what they are called.

    :raises OSSServiceError: they could not be listed.
    """
    if not job.process:
        return []
    expected = outputs_of(parse_process(job.process), ObjectURI.parse(job.source))
    if expected is None:
        return []
    if expected.key:
        state = await services.oss.head(expected.bucket, expected.key)
        if state is None:
            return []
        return [OutputObject(ObjectURI(expected.bucket, expected.key), state.size, state.modified)]
    since = job.submitted - _RESOLUTION if job.submitted is not None else 0.0
    found = [
        OutputObject(ObjectURI(expected.bucket, item.key), item.size, item.modified)
        async for item in services.oss.list_objects(expected.bucket, expected.prefix)
        if (not item.modified or item.modified >= since) and expected.pattern.fullmatch(item.key)
    ]
    return sorted(found, key=lambda output: _natural_order(output.uri.key))


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
