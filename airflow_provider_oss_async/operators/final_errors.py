"""Errors that are final on every version of Airflow: the task fails at once, whatever its ``retries``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_oss_async.clients.errors import traceback_of
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSOutputMismatchError,
    OSSTargetExistsError,
    ProcessError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oss_async.exceptions import OSSAsyncError

log = logging.getLogger(__name__)

#: XComs of a failed task: the fields of its error.
FAILURE_XCOMS = ("code", "detail", "job")


class FinalProcessError(ProcessError, AirflowFailException):
    """An argument is wrong. Final."""


class FinalConnectionError(OSSConnectionError, AirflowFailException):
    """The Airflow connection is missing, lacks a setting or holds a wrong one. Final."""


class FinalTargetExistsError(OSSTargetExistsError, AirflowFailException):
    """The target exists. Final."""


class FinalJobFailedError(OSSJobFailedError, AirflowFailException):
    """The job has failed, and this task cannot submit another one. Final."""


class FinalJobLostError(OSSJobLostError, AirflowFailException):
    """The service no longer knows the job, and this task cannot submit another one. Final."""


class FinalOutputMismatchError(OSSOutputMismatchError, AirflowFailException):
    """The output is not what was asked for, and a retry could only inspect it again. Final."""


_FINAL: tuple[type[OSSAsyncError], ...] = (FinalProcessError, FinalConnectionError, FinalTargetExistsError)
_FINAL_WITHOUT_SUBMISSION: tuple[type[OSSAsyncError], ...] = (
    *_FINAL,
    FinalJobFailedError,
    FinalJobLostError,
    FinalOutputMismatchError,
)


def final(error: OSSAsyncError, *, submits: bool) -> OSSAsyncError:
    """Return the final form of an error; the error itself where it has none.

    :param submits: whether the task submits jobs, so that a retry can submit another one.
    """
    for kind in _FINAL if submits else _FINAL_WITHOUT_SUBMISSION:
        if type(error) is kind.__mro__[1]:
            return kind(error.message, **error.fields)
    return error


def failed(context: Context, error: OSSAsyncError, *, submits: bool) -> OSSAsyncError:
    """Push what is known of a failure to XCom, and return the error to raise.

    :param context: of the running task.
    :param error: what was raised.
    :param submits: whether the task submits jobs, so that a retry can submit another one.
    """
    from airflow_provider_oss_async.hooks.metrics import count

    if isinstance(error, OSSJobFailedError | OSSJobLostError):
        count("jobs_failed")
    if isinstance(error, OSSOutputMismatchError):
        count("outputs_mismatched")
    for name in FAILURE_XCOMS:
        try:
            context["ti"].xcom_push(key=name, value=getattr(error, name))
        except Exception as reason:
            # The error itself is what matters.
            log.warning("The XCom %s of the failure could not be pushed: %s", name, traceback_of(reason))
    return final(error, submits=submits)
