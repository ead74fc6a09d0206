"""Following an accepted job until it has ended, by one of several strategies."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_oss_async.exceptions import (
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.jobs import outcome
from airflow_provider_oss_async.jobs.job import CEILING, Completion, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.oss import ObjectState, head
from airflow_provider_oss_async.jobs.watcher import FLOOR, GROWTH
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.submission import Submission
    from airflow_provider_oss_async.jobs.watcher import Watcher


class Clients(outcome.Clients, Protocol):
    """What following needs of the open clients of a connection."""

    @property
    def watcher(self) -> Watcher:
        """Watcher over the IMM client."""


@dataclass(frozen=True, slots=True)
class Following:
    """A job and how to follow it: everything a trigger has to remember. Holds no secret.

    :param job: the job.
    :param completion: see :data:`Completion`.
    :param deadline: when waiting ends, in epoch seconds.
    :param poll_interval: seconds between two looks at most.
    :param baseline: for ``object``: the state of the target before the submission, ``None`` if there was
        no object.
    """

    job: OSSJob
    completion: Completion
    deadline: float
    poll_interval: float = CEILING
    baseline: ObjectState | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a form of JSON natives."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Following:
        """Read what :meth:`to_dict` wrote."""
        baseline = data.get("baseline")
        return cls(
            job=OSSJob.from_dict(data["job"]),
            completion=data["completion"],
            deadline=float(data["deadline"]),
            poll_interval=float(data.get("poll_interval") or CEILING),
            baseline=ObjectState(**baseline) if baseline else None,
        )


async def settle_project(clients: Clients, bucket: str, project: str) -> str:
    """Return the IMM project a job of this bucket will run in, looked up where it is not given.

    :raises OSSServiceError: the bucket is not bound, or the look-up is not allowed; says what to do.
    """
    if project:
        return project
    try:
        return await clients.imm.get_bucket_project(bucket)
    except OSSServiceError as error:
        raise type(error)(
            f"{error} Nothing was submitted. Waiting needs the IMM project of bucket {bucket}: "
            "set imm_project on the task or the connection, or use completion='object'.",
            **{key: value for key, value in vars(error).items() if key not in ("message", "_fields")},
        ) from None


def predictable_output(submission: Submission) -> ObjectURI:
    """Return the one object whose appearance tells that a job is done.

    :raises ProcessError: the job has several outputs, none, or one whose name only the service knows.
    """
    outputs = outputs_of(submission.process, submission.source)
    if outputs is None or not outputs.key or outputs.overwrites:
        raise ProcessError(
            "completion='object' needs exactly one output whose name can be told beforehand, and "
            f"{submission.process.operation} with target {submission.target or '(none)'} has not; "
            "use completion='imm'."
        )
    return ObjectURI(outputs.bucket, outputs.key)


async def follow(clients: Clients, following: Following) -> JobStatus:
    """Wait until a job has ended.

    :return: a final status.
    :raises OSSJobTimeoutError: it had not ended at the deadline.
    :raises OSSServiceError: the service refuses to tell.
    """
    if following.completion == "object":
        return await _wait_for_object(clients, following)
    return await clients.watcher.wait(
        following.job, deadline=following.deadline, ceiling=following.poll_interval
    )


async def look(clients: Clients, following: Following) -> JobStatus:
    """Ask once, now.

    :raises OSSServiceError: no answer, or a refusal.
    """
    if following.completion == "object":
        return await _look_for_object(clients, following)
    return await clients.watcher.look(following.job)


async def _look_for_object(clients: Clients, following: Following) -> JobStatus:
    source = ObjectURI.parse(following.job.source)
    expected = outputs_of(parse_process(following.job.process), source)
    if expected is None or not expected.key:
        raise ProcessError(f"job {following.job.task_id} has no output whose name can be told beforehand")
    await clients.ready()
    state = await head(clients.oss, expected.bucket, expected.key)
    before = following.baseline
    # A result that equals the old object keeps its ETag; then only its time or version moves.
    if state is None or (before is not None and state == before):
        return JobStatus("running")
    return JobStatus("succeeded", finished_at=datetime.fromtimestamp(state.modified, UTC).isoformat())


async def _wait_for_object(clients: Clients, following: Following) -> JobStatus:
    interval = min(FLOOR, following.poll_interval)
    refusals = 0
    while True:
        last = time.time() >= following.deadline
        try:
            status = await _look_for_object(clients, following)
            refusals = 0
            if status.final:
                return status
        except (OSSThrottledError, OSSUnavailableError):
            pass
        except OSSServiceError:
            refusals += 1
            if refusals >= 3:
                raise
        if last:
            raise outcome.timeout_error(following.job)
        pause = min(interval * random.uniform(0.8, 1.0), max(0.0, following.deadline - time.time()))  # noqa: S311
        await asyncio.sleep(pause)
        interval = min(interval * GROWTH, following.poll_interval)


async def take_baseline(clients: Clients, output: ObjectURI) -> ObjectState | None:
    """Return what stands at the target before the submission, ``None`` if nothing.

    :raises OSSServiceError: the object cannot be looked at, so nothing could be waited for.
    """
    await clients.ready()
    return await head(clients.oss, output.bucket, output.key)
