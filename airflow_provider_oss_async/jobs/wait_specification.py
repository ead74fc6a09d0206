"""A job and how to wait for it: what triggers and the task state store remember."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_oss_async.clients.oss import ObjectState
from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.jobs.job import OSSJob

#: Version of the stored form. Older forms that can be read are listed in :meth:`WaitSpecification.from_dict`.
VERSION = 1


@dataclass(frozen=True, slots=True)
class WaitSpecification:
    """Everything a trigger has to remember. Holds no secret.

    :param job: the job.
    :param completion: name of a completion strategy, see :mod:`airflow_provider_oss_async.jobs.completion`.
    :param deadline: when waiting ends, in epoch seconds (float).
    :param max_poll_interval: seconds (float) between two polls at most; ``None`` for the strategy's own.
    :param baseline: for ``object``: the state of the target before the submission, ``None`` if there was no
        object.
    :param verify_output: ``exists`` or ``media`` to check the output of the job; empty for no check.
    :param if_output_differs: ``fail`` or ``warn``.
    """

    job: OSSJob
    completion: str
    deadline: float
    max_poll_interval: float | None = None
    baseline: ObjectState | None = None
    verify_output: str = ""
    if_output_differs: str = "fail"

    def to_dict(self) -> dict[str, Any]:
        """Return a form of JSON natives."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WaitSpecification:
        """Read what :meth:`to_dict` wrote.

        :raises OSSAsyncError: it was written in a form that this version does not know.
        """
        if data.get("version") != VERSION:
            raise OSSAsyncError(
                f"What was stored of the job has version {data.get('version')!r}, and this release of the "
                f"provider reads version {VERSION}: install the same release on workers and triggerers, or "
                f"wait for the job with OSSAsyncTaskSensor. Stored: {str(data.get('job'))[:500]}"
            )
        baseline = data.get("baseline")
        return cls(
            job=OSSJob.from_dict(data["job"]),
            completion=str(data["completion"]),
            deadline=float(data["deadline"]),
            max_poll_interval=data.get("max_poll_interval"),
            baseline=ObjectState(**baseline) if baseline else None,
            # The same for thousands of jobs that wait in one process.
            verify_output=sys.intern(str(data.get("verify_output", ""))),
            if_output_differs=sys.intern(str(data.get("if_output_differs", "fail"))),
        )
