"""Waiting for an accepted job until it has ended, by the strategy that its task names."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.errors import missing_resource
from airflow_provider_oss_async.clients.retry import backoff_attempts, retry
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSUnavailableError,
    ProcessError,
    error_text,
)
from airflow_provider_oss_async.jobs.completion import strategy_of
from airflow_provider_oss_async.jobs.job_errors import with_job
from airflow_provider_oss_async.jobs.output_check import verify
from airflow_provider_oss_async.jobs.result import result_and_outputs

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.job import JobStatus
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

log = logging.getLogger(__name__)


async def settle_project(services: Services, bucket: str, project: str) -> str:
    """Return the IMM project in which the jobs of a bucket run.

    :param project: what the user has set; compared with the binding of the bucket.
    :raises ProcessError: the bucket is bound to another project.
    :raises OSSServiceError: the bucket is not bound; or no project was set, and the binding could not be
        read.
    """
    try:
        bound = await retry(
            lambda: services.imm.get_bucket_project(bucket),
            seconds=services.timing.retry_seconds,
            backoff=services.timing.call_backoff,
        )
    except OSSServiceError as error:
        if project and missing_resource(error) is None:
            log.warning(
                "It could not be checked that the bucket %s is bound to IMM project %r: %s",
                bucket,
                project,
                error,
            )
            return project
        advice = (
            "Bind the bucket to an IMM project of its region, or set imm_project on the task or the "
            "connection, or use completion='object'."
        )
        raise error.replace(
            message=f"Nothing was submitted: waiting needs the IMM project of bucket {bucket}. {advice} "
            f"{error}",
            advice=advice,
        ) from None
    if project and bound != project:
        raise ProcessError(
            error_text(
                f"Nothing was submitted: imm_project={project!r} is not the project of bucket {bucket}, "
                f"which is bound to {bound!r}",
                f"Set imm_project={bound!r}, or leave it out.",
            ),
            advice=f"Set imm_project={bound!r}, or leave it out.",
        )
    return bound


async def wait_for_result(
    services: Services,
    spec: WaitSpecification,
    known: JobStatus | None = None,
) -> dict[str, Any]:
    """Wait until a job has ended, check its output where that is asked for, and return its result.

    :param known: the state at the last poll; there is no other one where that was final.
    :return: see :func:`.result.result_of`; with ``verification`` where the output was checked.
    :raises OSSOutputMismatchError: the output is not what was asked for.
    :raises OSSJobError: the job did not succeed, or had not ended at the deadline.
    :raises OSSServiceError: the service refuses to tell; ``job`` names the job.
    """
    try:
        if known is not None and known.final:
            final = known
        else:
            final = await strategy_of(spec.completion).wait(services, spec)
        seconds = services.timing.retry_seconds
        # Beyond the last attempt there is time for one search of outputs.
        async with asyncio.timeout(max(spec.deadline - time.time(), seconds) + seconds):
            result, outputs = await retry(
                lambda: result_and_outputs(services, spec.job, final),
                until=spec.deadline,
                seconds=seconds,
                backoff=services.timing.call_backoff,
            )
    except TimeoutError:
        raise with_job(
            OSSUnavailableError(
                "The job has ended, but its outputs could not be found in time.", service="OSS"
            ),
            spec.job,
        ) from None
    except (OSSServiceError, OSSConnectionError) as error:
        raise with_job(error, spec.job) from None
    return await verify(services, spec, result, outputs)


async def poll_once(
    services: Services, spec: WaitSpecification, known_since: float | None = None
) -> JobStatus:
    """Return the state of a job now.

    :param known_since: epoch seconds since which the service must know the job.
    :raises OSSServiceError: no answer, or a refusal.
    """
    try:
        return await strategy_of(spec.completion).poll(services, spec, known_since)
    except (OSSServiceError, OSSConnectionError) as error:
        raise with_job(error, spec.job) from None


async def poll_before_deferral(services: Services, spec: WaitSpecification) -> JobStatus:
    """Return the state of a new job, once it has ended or ``Timing.poll_before_deferral`` has passed.

    :raises OSSServiceError: no answer, or a refusal.
    """
    timing = services.timing
    until = min(time.time() + timing.poll_before_deferral, spec.deadline)
    async for last in backoff_attempts(until, timing.first_polls):
        status = await poll_once(services, spec)
        if last or status.final:
            return status
    raise AssertionError("unreachable")  # pragma: no cover


async def acknowledge(services: Services, spec: WaitSpecification) -> None:
    """Delete the messages about a job, whose task has the result now."""
    await strategy_of(spec.completion).acknowledge(services, spec)
