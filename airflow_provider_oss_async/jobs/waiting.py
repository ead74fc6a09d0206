"""Following an accepted job until it has ended, by one of several strategies."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_oss_async.clients.oss import ObjectState, head
from airflow_provider_oss_async.clients.retry import pauses, persist, seldom
from airflow_provider_oss_async.exceptions import (
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.job import (
    CEILING,
    MAX_TIMEOUT,
    SMQ_CEILING,
    SMQ_FLOOR,
    Completion,
    JobStatus,
    OSSJob,
)
from airflow_provider_oss_async.jobs.poller import REFUSALS
from airflow_provider_oss_async.jobs.result import OutcomeClients, result_of, timeout_error
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.poller import Watcher
    from airflow_provider_oss_async.jobs.queue_consumer import Mailbox
    from airflow_provider_oss_async.jobs.submission import Submission


class Clients(OutcomeClients, Protocol):
    """What following needs of the open clients of a connection."""

    @property
    def watcher(self) -> Watcher:
        """Watcher over the IMM client."""

    @property
    def mailbox(self) -> Mailbox | None:
        """Completion messages of the connection's queue; ``None`` where it names no queue."""


@dataclass(frozen=True, slots=True)
class Following:
    """A job and how to follow it: everything a trigger has to remember. Holds no secret.

    :param job: the job.
    :param completion: see :data:`Completion`.
    :param deadline: when waiting ends, in epoch seconds.
    :param poll_interval: seconds between two looks at most; ``None`` for the strategy's own.
    :param baseline: for ``object``: the state of the target before the submission, ``None`` if there was
        no object.
    """

    job: OSSJob
    completion: Completion
    deadline: float
    poll_interval: float | None = None
    baseline: ObjectState | None = None

    @property
    def ceiling(self) -> float:
        """Seconds between two looks at most."""
        return self.poll_interval or (SMQ_CEILING if self.completion == "smq" else CEILING)

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
            poll_interval=data.get("poll_interval"),
            baseline=ObjectState(**baseline) if baseline else None,
        )


async def settle_project(clients: Clients, bucket: str, project: str) -> str:
    """Return the IMM project a job of this bucket will run in, looked up where it is not given.

    :raises OSSServiceError: the bucket is not bound, or the look-up is not allowed; says what to do.
    """
    if project:
        return project
    try:
        return await persist(lambda: clients.imm.get_bucket_project(bucket))
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


async def see_through(
    clients: Clients, following: Following, known: JobStatus | None = None
) -> dict[str, Any]:
    """Wait until a job has ended, and return what came of it, see :func:`outcome.result_of`.

    :param known: what a look has shown; nobody is asked again where that was final.
    :raises OSSJobError: the job did not succeed, or had not ended at the deadline.
    :raises OSSServiceError: the service refuses to tell.
    """
    final = known if known is not None and known.final else await follow(clients, following)
    return await persist(lambda: result_of(clients, following.job, final), following.deadline)


async def acknowledge(clients: Clients, following: Following) -> None:
    """Delete the messages about a job, whose outcome is in the hands of its task now."""
    if following.completion == "smq" and clients.mailbox is not None:
        await clients.mailbox.delete(following.job.task_id)


async def follow(clients: Clients, following: Following) -> JobStatus:
    """Wait until a job has ended.

    :return: a final status.
    :raises OSSJobTimeoutError: it had not ended at the deadline.
    :raises OSSServiceError: the service refuses to tell.
    """
    if following.completion == "object":
        return await _wait_for_object(clients, following)
    job, watcher, deadline = following.job, clients.watcher, following.deadline
    if job.submitted is not None:
        # Retries follow a job with new deadlines, but IMM's record of it has an end.
        deadline = min(deadline, job.submitted + MAX_TIMEOUT)
    if following.completion == "imm":
        return await watcher.wait(job, deadline=deadline, ceiling=following.ceiling)
    wait = watcher.wait(job, deadline=deadline, ceiling=following.ceiling, floor=SMQ_FLOOR)
    if clients.mailbox is None:
        seldom("The connection names no SMQ queue any more: only IMM is asked for job %s", job.task_id)
        return await wait
    with clients.mailbox.reading(job.task_id, functools.partial(watcher.nudge, job)):
        return await wait


async def look(clients: Clients, following: Following, known_since: float | None = None) -> JobStatus:
    """Ask once, now.

    :param known_since: see :meth:`Watcher.look`.
    :raises OSSServiceError: no answer, or a refusal.
    """
    if following.completion == "object":
        return await _look_for_object(clients, following)
    return await clients.watcher.look(following.job, known_since)


async def _look_for_object(clients: Clients, following: Following) -> JobStatus:
    source = ObjectURI.parse(following.job.source)
    expected = outputs_of(parse_process(following.job.process), source)
    if expected is None or not expected.key:
        raise ProcessError(f"job {following.job.task_id} has no output whose name can be told beforehand")
    async with clients.gate:
        await clients.ready()
        state = await head(clients.oss, expected.bucket, expected.key)
    before = following.baseline
    # A result that equals the old object keeps its ETag; then only its time or version moves.
    if state is None or (before is not None and state == before):
        return JobStatus("running")
    return JobStatus("succeeded", finished_at=datetime.fromtimestamp(state.modified, UTC).isoformat())


async def _wait_for_object(clients: Clients, following: Following) -> JobStatus:
    refusals = 0
    floor = min(clients.watcher.floor, following.ceiling)
    async for _ in pauses(following.deadline, floor, following.ceiling):
        try:
            status = await _look_for_object(clients, following)
            refusals = 0
            if status.final:
                return status
        except (OSSThrottledError, OSSUnavailableError):
            pass
        except OSSServiceError:
            refusals += 1
            if refusals >= REFUSALS:
                raise
    raise timeout_error(following.job)


async def take_baseline(clients: Clients, output: ObjectURI) -> ObjectState | None:
    """Return what stands at the target before the submission, ``None`` if nothing.

    :raises OSSServiceError: the object cannot be looked at, so nothing could be waited for.
    """

    async def look() -> ObjectState | None:
        await clients.ready()
        return await head(clients.oss, output.bucket, output.key)

    return await persist(look)
