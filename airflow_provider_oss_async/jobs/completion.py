"""Completion strategies: the ways of learning that a job has ended. One registry, which everybody asks."""

from __future__ import annotations

import functools
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_oss_async.clients.retry import Backoff, backoff_attempts, retry, warn_rate_limited
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT, JobStatus
from airflow_provider_oss_async.jobs.job_errors import timeout_error
from airflow_provider_oss_async.jobs.poll_group import MAX_REFUSALS
from airflow_provider_oss_async.jobs.poller import PROGRESS_INTERVAL
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.naming import check_outputs, outputs_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from airflow_provider_oss_async.clients.oss import ObjectState
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.submission import JobRequest
    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a strategy has to know of a task and its connection before anything is submitted.

    :param conn_id: the connection.
    :param waits: whether the task waits for the job at all.
    :param deferrable: whether it waits in the triggerer.
    :param smq_endpoint: of the connection; empty if not set.
    :param smq_queue: of the connection; empty if not set.
    :param smq_topic: of the connection; empty if not set.
    """

    conn_id: str
    waits: bool
    deferrable: bool
    smq_endpoint: str = ""
    smq_queue: str = ""
    smq_topic: str = ""


class CompletionStrategy(ABC):
    """How the end of a job is learned."""

    #: What users write.
    name: ClassVar[str]
    #: One sentence for the reference.
    summary: ClassVar[str]
    #: Seconds between two polls at most, unless the task says otherwise.
    max_poll_interval: ClassVar[float] = 30.0
    #: Whether the IMM project must be known.
    needs_project: ClassVar[bool] = True
    #: Whether it tells that a job has failed, and why.
    learns_of_failure: ClassVar[bool] = True
    #: Whether jobs that were submitted elsewhere can be waited for.
    for_sensor: ClassVar[bool] = True

    def check(self, circumstances: Circumstances, *, request: JobRequest | None = None) -> Iterator[str]:
        """Yield what is wrong with using this strategy.

        :param request: the request of an operator; a sensor has none.
        """
        return iter(())

    def prepare_request(self, request: JobRequest, circumstances: Circumstances) -> JobRequest:
        """Return the request with what the strategy needs in it.

        :raises ProcessError: that cannot be done.
        """
        return request

    def on_worker(self) -> CompletionStrategy:
        """Return the strategy for waiting on a worker."""
        return self

    async def baseline(self, services: Services, request: JobRequest) -> ObjectState | None:
        """Return what has to be known of the target before the submission."""
        return None

    @abstractmethod
    async def poll(
        self, services: Services, spec: WaitSpecification, known_since: float | None = None
    ) -> JobStatus:
        """Return the state of a job now.

        :param known_since: epoch seconds since which the service must know the job.
        :raises OSSServiceError: no answer, or a refusal.
        """

    @abstractmethod
    async def wait(self, services: Services, spec: WaitSpecification) -> JobStatus:
        """Wait until a job has ended, and return its final state.

        :raises OSSJobTimeoutError: it had not ended at the deadline.
        :raises OSSServiceError: the service refuses to tell.
        """

    async def acknowledge(self, services: Services, spec: WaitSpecification) -> None:  # noqa: B027
        """Release what announced the end of a job, now that its task has the result."""


class IMMStrategy(CompletionStrategy):
    """Polls IMM."""

    name = "imm"
    summary = "IMM's ``GetTask`` and ``ListTasks`` are polled"

    async def poll(
        self, services: Services, spec: WaitSpecification, known_since: float | None = None
    ) -> JobStatus:
        """Poll IMM once."""
        return await services.poller.poll_once(spec.job, known_since)

    def wait(self, services: Services, spec: WaitSpecification) -> Coroutine[Any, Any, JobStatus]:
        """Poll IMM at growing intervals."""
        # Thousands wait here: one coroutine less for each.
        return services.poller.wait(
            spec.job, deadline=_deadline(spec), max_interval=spec.max_poll_interval or self.max_poll_interval
        )


class SMQStrategy(IMMStrategy):
    """Polls IMM when a message says that the job has ended, and rarely otherwise."""

    name = "smq"
    summary = "a message in the connection's SMQ queue says when to poll IMM; in deferrable mode only"
    max_poll_interval = 300.0
    #: Seconds between the first two polls: they only cover lost messages.
    min_poll_interval: ClassVar[float] = 15.0

    def check(self, circumstances: Circumstances, *, request: JobRequest | None = None) -> Iterator[str]:
        """Yield what the connection or the task lacks."""
        on = f"on the connection {circumstances.conn_id!r}"
        if request is None and not circumstances.deferrable:
            yield (
                "completion='smq' needs deferrable=True: a worker that reads the queue takes messages from "
                "others"
            )
        if not circumstances.waits or not circumstances.deferrable:
            return
        for field in ("smq_endpoint", "smq_queue"):
            if not getattr(circumstances, field):
                yield f"completion='smq' needs {field} {on}"
        if request is not None and not request.process.topic:
            yield (
                "completion='smq' needs a topic that the queue subscribes to: notify_topic here, or "
                f"smq_topic {on}"
            )

    def prepare_request(self, request: JobRequest, circumstances: Circumstances) -> JobRequest:
        """Add the connection's topic where the request names none."""
        if request.process.topic or not circumstances.smq_topic:
            return request
        process = replace(request.process, topic=circumstances.smq_topic)
        check_outputs(process, request.source)
        return replace(request, process=process)

    def on_worker(self) -> CompletionStrategy:
        """Poll IMM: each worker would be one more consumer, and take messages that others wait for."""
        return STRATEGIES["imm"]

    async def wait(self, services: Services, spec: WaitSpecification) -> JobStatus:
        """Poll IMM when a message has come."""
        poller, job = services.poller, spec.job
        polling = poller.wait(
            job,
            deadline=_deadline(spec),
            max_interval=spec.max_poll_interval or self.max_poll_interval,
            min_interval=self.min_poll_interval,
        )
        if services.queue_consumer is None:
            warn_rate_limited(
                "The connection names no SMQ queue: IMM alone is polled for job %s", job.task_id
            )
            return await polling
        with services.queue_consumer.subscribed(job.task_id, functools.partial(poller.wake, job)):
            return await polling

    async def acknowledge(self, services: Services, spec: WaitSpecification) -> None:
        """Delete the messages about the job."""
        if services.queue_consumer is not None:
            await services.queue_consumer.delete(spec.job.task_id)


class ObjectStrategy(CompletionStrategy):
    """Waits for the target object.

    :param progress_interval: seconds between two lines of the log that the target is not there yet; default
        300.
    """

    name = "object"
    summary = "the target object appears; for accounts without rights on IMM. A failed job is not noticed"
    needs_project = False
    learns_of_failure = False
    for_sensor = False

    def __init__(self, progress_interval: float = PROGRESS_INTERVAL) -> None:
        self._progress_interval = progress_interval

    def check(self, circumstances: Circumstances, *, request: JobRequest | None = None) -> Iterator[str]:
        """Yield that the job has no single output whose name can be told beforehand."""
        if request is not None and circumstances.waits and _single_output(request) is None:
            yield (
                "completion='object' needs exactly one output whose name can be told beforehand, and "
                f"{request.process.operation} with target {request.target or '(none)'} has not: "
                "use completion='imm'"
            )

    async def baseline(self, services: Services, request: JobRequest) -> ObjectState | None:
        """Return the state of the target before the submission, ``None`` if there is none.

        :raises OSSServiceError: the object cannot be read, so nothing could be waited for.
        """
        output = _single_output(request)
        if output is None:
            return None
        return await retry(
            lambda: services.oss.head(output.bucket, output.key),
            seconds=services.timing.retry_seconds,
            backoff=services.timing.call_backoff,
        )

    async def poll(
        self, services: Services, spec: WaitSpecification, known_since: float | None = None
    ) -> JobStatus:
        """Compare the target with its state before the submission."""
        source = ObjectURI.parse(spec.job.source)
        expected = outputs_of(parse_process(spec.job.process), source)
        if expected is None or not expected.key:
            raise ProcessError(f"job {spec.job.task_id} has no output whose name can be told beforehand")
        async with services.output_searches:
            state = await services.oss.head(expected.bucket, expected.key)
        # A result that equals the old object keeps its ETag; then only its time or version moves.
        if state is None or state == spec.baseline:
            return JobStatus("running")
        # 0 where the answer did not say when the object was written.
        written = datetime.fromtimestamp(state.modified, UTC).isoformat() if state.modified else ""
        return JobStatus("succeeded", finished_at=written)

    async def wait(self, services: Services, spec: WaitSpecification) -> JobStatus:
        """Poll the target at growing intervals."""
        refusals = 0
        log_at = time.monotonic() + self._progress_interval
        longest = spec.max_poll_interval or self.max_poll_interval
        backoff = Backoff(min(services.timing.min_poll_interval, longest), longest)
        async for _ in backoff_attempts(spec.deadline, backoff):
            try:
                status = await self.poll(services, spec)
                refusals = 0
                if status.final:
                    return status
            except (OSSThrottledError, OSSUnavailableError) as error:
                warn_rate_limited("The target is polled again later: %s", error)
            except (OSSServiceError, OSSConnectionError):
                refusals += 1
                if refusals >= MAX_REFUSALS:
                    raise
            if time.monotonic() >= log_at:
                log_at = time.monotonic() + self._progress_interval
                left = max(0.0, spec.deadline - time.time())
                log.info(
                    "The target is not written yet, %.0f minutes before the deadline: job %s",
                    left / 60,
                    spec.job.task_id,
                )
        raise timeout_error(spec.job)


#: Every strategy by its name; the first one is the default.
STRATEGIES: dict[str, CompletionStrategy] = {
    strategy.name: strategy for strategy in (IMMStrategy(), SMQStrategy(), ObjectStrategy())
}


def strategy_of(name: str) -> CompletionStrategy:
    """Return a strategy by its name.

    :raises ProcessError: there is none of that name.
    """
    strategy = STRATEGIES.get(name) if isinstance(name, str) else None
    if strategy is None:
        raise ProcessError(f"completion={name!r} is not allowed: expected {' or '.join(STRATEGIES)}")
    return strategy


def _deadline(spec: WaitSpecification) -> float:
    """Return when waiting ends: retries wait with new deadlines, but IMM forgets a task after 7 days."""
    if spec.job.submitted is None:
        return spec.deadline
    return min(spec.deadline, spec.job.submitted + MAX_TIMEOUT)


def _single_output(request: JobRequest) -> ObjectURI | None:
    """Return the one object whose appearance tells that a job is done, ``None`` if there is none."""
    outputs = outputs_of(request.process, request.source)
    if outputs is None or not outputs.key or outputs.overwrites:
        return None
    return ObjectURI(outputs.bucket, outputs.key)
