"""Errors about a submitted job. All of them name the job, since it has been billed or will be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_oss_async.clients.errors import Diagnosis, diagnose, diagnosis_of, is_task_not_found
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitNotSentError,
    OSSSubmitUncertainError,
    OSSThrottledError,
    OSSUnavailableError,
    error_text,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob


def raise_unless_succeeded(job: OSSJob, status: JobStatus) -> None:
    """Raise the error that a final status stands for, if it is not success.

    :raises OSSJobFailedError: the job failed.
    :raises OSSJobLostError: the service no longer knows the job.
    """
    if status.state == "succeeded":
        return
    if status.state == "lost":
        advice = (
            "Check whether the bucket was bound to another project meanwhile, or the task type is wrong, and "
            "whether the target is there, before running the task again."
        )
        raise OSSJobLostError(
            error_text("The job is lost: IMM does not know it", advice, task_type=job.task_type, **job.facts),
            job=job.to_dict(),
            advice=advice,
        )
    diagnosis = diagnose("job", status.code, status.detail)
    raise OSSJobFailedError(
        error_text(
            f"The job failed: {status.detail or status.code or 'the service gives no reason'}",
            diagnosis.advice,
            code=status.code,
            **job.facts,
        ),
        job=job.to_dict(),
        code=status.code,
        detail=status.detail,
        advice=diagnosis.advice,
    )


def timeout_error(job: OSSJob) -> OSSJobTimeoutError:
    """Return the error for a job that had not ended at its deadline."""
    if job.submitted is not None and time.time() - job.submitted >= MAX_TIMEOUT:
        advice = "IMM soon forgets it, so it is not polled any longer: clear the task to submit it anew."
    else:
        advice = "Raise timeout, or wait for the job with OSSAsyncTaskSensor."
    reason = "The job had not ended at the deadline. It may still be running, since OSS cannot cancel jobs"
    return OSSJobTimeoutError(error_text(reason, advice, **job.facts), job=job.to_dict(), advice=advice)


def still_running_text(job: OSSJob) -> str:
    """Return what to log where waiting ends and the job does not."""
    return error_text("The job goes on and will be billed, because OSS cannot cancel jobs", **job.facts)


def with_job(error: OSSAsyncError, job: OSSJob) -> OSSAsyncError:
    """Return an error that occurred after the submission, with the job that has been submitted."""
    if error.job:
        return error
    if isinstance(error, OSSServiceError) and is_task_not_found(error):
        return error.replace(job=job.to_dict())
    reason = error.message.rstrip()
    if not reason.endswith((".", ")")):
        reason += "."
    message = f"{reason} {error_text('The job was submitted and will be billed', **job.facts)}"
    return error.replace(message=message, job=job.to_dict())


def diagnosis_for(error: BaseException) -> Diagnosis:
    """Return what an error of this package means; empty for all others."""
    if isinstance(error, OSSJobFailedError):
        return diagnose("job", error.code, error.detail)
    if isinstance(error, OSSSubmitUncertainError) or not isinstance(error, OSSServiceError):
        return Diagnosis()
    if isinstance(error, OSSThrottledError):
        return Diagnosis("throttled", error.advice)
    if isinstance(error, OSSSubmitNotSentError) and (found := diagnosis_of(error)).kind == "argument":
        return found
    if isinstance(error, OSSUnavailableError | OSSSubmitNotSentError):
        # Without an answer there is no diagnosis; trying again later is all there is.
        return Diagnosis("outage", error.advice or "Try again later.")
    return diagnosis_of(error)
