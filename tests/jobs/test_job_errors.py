from __future__ import annotations

import pickle
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.job_errors import (
    diagnosis_for,
    raise_unless_succeeded,
    still_running_text,
    timeout_error,
    with_job,
)

JOB = OSSJob(
    "MediaConvert-1",
    "MediaConvert",
    "oss://media/in.mov",
    "oss://media/out.mp4",
    "video/convert,f_mp4",
    imm_project="project",
    request_id="R-1",
)
FACTS = (
    "(source oss://media/in.mov, target oss://media/out.mp4, IMM project project, task id MediaConvert-1, "
    "request id R-1)"
)


def test_success_raises_nothing() -> None:
    raise_unless_succeeded(JOB, JobStatus("succeeded"))


def test_a_failed_job_says_why_first_and_the_ids_last() -> None:
    with pytest.raises(OSSJobFailedError) as caught:
        raise_unless_succeeded(JOB, JobStatus("failed", "UnsupportedFormat", "not a video"))
    error = caught.value
    assert str(error) == f"The job failed: not a video. {error.advice} (code UnsupportedFormat, {FACTS[1:]}"
    assert error.advice.startswith("Check that the source is whole")
    assert (error.code, error.detail) == ("UnsupportedFormat", "not a video")
    assert (error.source, error.target, error.request_id) == (JOB.source, JOB.target, "R-1")
    assert error.job == JOB.to_dict()
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


@pytest.mark.parametrize(
    ("code", "detail", "reason"),
    [("C", "", "The job failed: C."), ("", "", "The job failed: the service gives no reason.")],
)
def test_a_failed_job_without_a_message(code: str, detail: str, reason: str) -> None:
    with pytest.raises(OSSJobFailedError) as caught:
        raise_unless_succeeded(JOB, JobStatus("failed", code, detail))
    assert str(caught.value).startswith(reason)


def test_a_lost_job() -> None:
    with pytest.raises(OSSJobLostError, match="IMM does not know it") as caught:
        raise_unless_succeeded(JOB, JobStatus("lost"))
    assert "bound to another project" in caught.value.advice
    assert caught.value.job == JOB.to_dict()


@pytest.mark.parametrize(
    ("age", "advice"), [(None, "Raise timeout"), (60.0, "Raise timeout"), (MAX_TIMEOUT + 1, "clear the task")]
)
def test_a_timeout_says_what_can_be_done(age: float | None, advice: str) -> None:
    submitted = "" if age is None else datetime.fromtimestamp(time.time() - age, UTC).isoformat()
    error = timeout_error(replace(JOB, submitted_at=submitted))
    assert isinstance(error, OSSJobTimeoutError)
    assert advice in error.advice
    assert str(error) == (
        "The job had not ended at the deadline. It may still be running, since OSS cannot cancel jobs. "
        f"{error.advice} {FACTS}"
    )


def test_what_goes_on_is_said() -> None:
    assert still_running_text(JOB) == (
        f"The job goes on and will be billed, because OSS cannot cancel jobs. {FACTS}"
    )


class TestWithJob:
    def test_the_job_is_added(self) -> None:
        error = with_job(OSSUnavailableError("No answer.", status=503, service="IMM"), JOB)
        assert type(error) is OSSUnavailableError
        assert str(error) == f"No answer. The job was submitted and will be billed. {FACTS}"
        assert (error.status, error.job, error.source) == (503, JOB.to_dict(), JOB.source)

    def test_an_error_that_names_a_job_keeps_it(self) -> None:
        error = OSSServiceError("x", job={"task_id": "other"})
        assert with_job(error, JOB) is error

    def test_a_job_that_is_not_known_is_not_said_to_be_billed(self) -> None:
        error = OSSServiceError("No such task.", service="IMM", code="ResourceNotFound", detail="Task")
        assert str(with_job(error, JOB)) == "No such task."
        assert with_job(error, JOB).job == JOB.to_dict()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSSJobFailedError("", code="InternalError"), "outage"),
        (OSSJobFailedError("", detail="queue time over"), "queue_timeout"),
        (OSSJobFailedError("", code="Whatever"), ""),
        (OSSServiceError("", service="OSS", code="NoSuchKey", status=404), "missing"),
        (OSSSubmitRefusedError("", service="OSS", code="AccessDenied", status=403), "rights"),
        (OSSThrottledError("", service="IMM"), "throttled"),
        (OSSUnavailableError("", service="IMM"), "outage"),
        (OSSSubmitNotSentError("", service="OSS"), "outage"),
        (OSSSubmitNotSentError("", service="OSS", code="BucketNameInvalidError"), "argument"),
        # There may be a job, whatever the answer says.
        (OSSSubmitUncertainError("", service="OSS", code="NoSuchKey", status=404), ""),
        (OSSConnectionError(""), ""),
        (OSSJobTimeoutError(""), ""),
        (OSSAsyncError(""), ""),
        (ValueError(), ""),
    ],
)
def test_what_an_error_means(error: Exception, kind: str) -> None:
    found = diagnosis_for(error)
    assert found.kind == kind
    assert found.advice or kind in ("", "throttled")
