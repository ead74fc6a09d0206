"""Which failures are worth a retry: the operators' default ``retry_policy`` (Airflow 3.3 and later)."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.errors import FINAL_KINDS, PASSING_KINDS
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSJobFailedError,
    OSSOutputMismatchError,
    OSSTargetExistsError,
    ProcessError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
else:
    try:
        from airflow.sdk.definitions.retry_policy import RetryPolicy
    except ImportError:  # Airflow 3.2 has none
        RetryPolicy = object

#: Whether this Airflow knows retry policies.
HAS_RETRY_POLICY = RetryPolicy is not object
#: Seconds between two tries at most.
MAX_DELAY = 3600.0


class OSSRetryPolicy(RetryPolicy):
    """Decides by the service's own reason.

    What no retry can mend (wrong arguments, connections and rights, missing objects, unreadable content, an
    output that is not what was asked for) fails at once, so that no second job is paid for. Throttling,
    outages and queue time-outs are retried with growing delays, starting with the task's ``retry_delay``.
    Everything else is left to Airflow. The table of service errors (``clients/errors.py``) says which is
    which.

    :param retry_failed_job: retry after any failure of a job, which submits and pays for a new one; default
        ``False``.
    """

    def __init__(self, retry_failed_job: bool = False) -> None:
        self.retry_failed_job = retry_failed_job

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide on a failure; called by Airflow on the worker."""
        from airflow.sdk.definitions.retry_policy import RetryDecision

        from airflow_provider_oss_async.jobs.job_errors import diagnosis_for

        if isinstance(exception, ProcessError | OSSConnectionError | OSSTargetExistsError):
            return RetryDecision.fail("Not retried: an argument or the connection is wrong")
        if isinstance(exception, OSSJobFailedError | OSSOutputMismatchError) and self.retry_failed_job:
            return RetryDecision.retry(reason="Retried: retry_failed_job asks for a new job after a failure")
        if isinstance(exception, OSSOutputMismatchError):
            return RetryDecision.fail("Not retried: the same job is found again, with the same output")
        diagnosis = diagnosis_for(exception)
        if diagnosis.kind in FINAL_KINDS:
            return RetryDecision.fail(f"Not retried, because no retry can mend this: {diagnosis.advice}")
        if diagnosis.kind in PASSING_KINDS:
            delay = timedelta(seconds=self._delay(try_number, context))
            return RetryDecision.retry(delay, f"Retried later, because this passes: {diagnosis.advice}")
        return RetryDecision.default()

    @staticmethod
    def _delay(try_number: int, context: Context | None) -> float:
        """Return the task's delay, doubled with each try, with jitter."""
        task: Any = context["task"] if context is not None else None
        first = getattr(task, "retry_delay", None)
        seconds = first.total_seconds() if isinstance(first, timedelta) else 60.0
        grown = seconds * 2.0 ** min(max(try_number - 1, 0), 20)
        return min(grown, MAX_DELAY) * random.uniform(0.8, 1.0)  # noqa: S311

    def serialize(self) -> dict[str, Any]:
        """Return what :meth:`deserialize` takes."""
        return {"retry_failed_job": self.retry_failed_job}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> OSSRetryPolicy:
        """Return the policy that :meth:`serialize` described."""
        return cls(retry_failed_job=bool(data.get("retry_failed_job")))
