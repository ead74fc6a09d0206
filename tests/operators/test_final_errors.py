from __future__ import annotations

import pickle
from typing import Any

import pytest
import structlog.testing
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_oss_async import exceptions
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSOutputMismatchError,
    OSSSubmitUncertainError,
    OSSTargetExistsError,
    OSSThrottledError,
    ProcessError,
)
from airflow_provider_oss_async.operators import final_errors
from airflow_provider_oss_async.operators.final_errors import FAILURE_XCOMS, failed, final
from tests.support.tasks import new_context

JOB = {"task_id": "T-1", "source": "oss://media/a", "target": "oss://media/b", "request_id": "R"}
CERTAIN = (ProcessError, OSSConnectionError, OSSTargetExistsError)


@pytest.mark.parametrize("kind", CERTAIN)
@pytest.mark.parametrize("submits", [True, False])
def test_what_is_certain_is_final_on_every_version(kind: type[OSSAsyncError], submits: bool) -> None:
    error = final(kind("wrong", advice="correct it", source="oss://media/a"), submits=submits)
    assert isinstance(error, kind)
    assert isinstance(error, AirflowFailException)
    assert (str(error), error.advice, error.source) == ("wrong", "correct it", "oss://media/a")


@pytest.mark.parametrize("kind", [OSSJobFailedError, OSSJobLostError, OSSOutputMismatchError])
def test_a_failed_job_is_final_only_where_no_other_one_can_be_submitted(kind: type[OSSAsyncError]) -> None:
    error = kind("failed", job=JOB)
    assert final(error, submits=True) is error
    assert isinstance(final(error, submits=False), AirflowFailException)


@pytest.mark.parametrize("kind", [OSSThrottledError, OSSSubmitUncertainError, OSSAsyncError])
def test_everything_else_stays_as_it_is(kind: type[OSSAsyncError]) -> None:
    error = kind("x")
    assert final(error, submits=False) is error


def all_classes() -> list[type[OSSAsyncError]]:
    return [
        kind
        for module in (exceptions, final_errors)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, OSSAsyncError)
    ]


@pytest.mark.parametrize("kind", all_classes())
def test_every_error_survives_pickling_and_an_event(kind: type[OSSAsyncError]) -> None:
    fields: dict[str, Any] = {
        "code": "C",
        "detail": "d",
        "advice": "a",
        "job": JOB,
        "service": "OSS",
        "action": "GetTask",
        "status": 403,
        "ec": "0015-1",
        "retry_after": 1.5,
    }
    error = kind("message", **fields)
    for again in (
        pickle.loads(pickle.dumps(error)),
        OSSAsyncError.from_dict(error.to_dict()),
        error.replace(),
    ):
        assert type(again) is kind
        assert again.fields == error.fields
        assert str(again) == "message"
        # What is not given is taken from the job.
        assert (again.source, again.target, again.request_id) == ("oss://media/a", "oss://media/b", "R")


@pytest.mark.parametrize("kind", all_classes())
def test_every_field_is_there_on_every_error(kind: type[OSSAsyncError]) -> None:
    error = kind("message")
    assert (error.code, error.detail, error.advice, error.source, error.target) == ("",) * 5
    assert (error.request_id, error.service, error.action, error.ec) == ("",) * 4
    assert (error.job, error.status, error.retry_after) == ({}, None, None)


def test_what_is_known_of_a_failure_goes_to_xcom() -> None:
    context = new_context()
    error = OSSJobFailedError("failed", code="InvalidFile", detail="not a video", job=JOB)
    assert failed(context, error, submits=True) is error
    assert context["ti"].xcoms == {"code": "InvalidFile", "detail": "not a video", "job": JOB}
    assert set(FAILURE_XCOMS) == set(context["ti"].xcoms)


def test_an_xcom_that_cannot_be_pushed_does_not_hide_the_error() -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("no API server")

    context = new_context()
    context["ti"].xcom_push = broken
    error = OSSJobFailedError("failed", job=JOB)
    with structlog.testing.capture_logs():
        assert failed(context, error, submits=True) is error
