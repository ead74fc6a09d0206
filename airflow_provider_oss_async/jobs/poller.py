"""Polling IMM for many waiting jobs: one poller serves all jobs of one event loop, endpoint and account.

Few jobs are polled one by one (``GetTask``). Many are polled by a cursor over the end times of the project's
tasks (``ListTasks``), whose cost is what ended and not what waits; jobs that it has not shown for long are
polled one by one, at a bounded rate. Where the service does not support the cursor, tasks are listed by the
time of their start, whenever that takes fewer requests than polling one by one. The interval between two
polls of a job grows. Throttling slows all requests of the poller, an outage is waited out, and only what does
not pass by itself (a missing right, a wrong project) ends the waits that it concerns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING

from airflow_provider_oss_async.clients.errors import is_task_not_found, traceback_of, unexpected
from airflow_provider_oss_async.clients.rate_limiter import DEFAULT_RATE, RateLimiter
from airflow_provider_oss_async.clients.retry import jitter
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSServiceError
from airflow_provider_oss_async.jobs.end_time_cursor import CursorTiming
from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
from airflow_provider_oss_async.jobs.job_errors import timeout_error
from airflow_provider_oss_async.jobs.poll_group import (
    GRACE_ANSWERS,
    GroupKey,
    Moment,
    PollGroup,
    shared_backoff,
    status_of,
)
from airflow_provider_oss_async.jobs.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.clients.imm import IMMClient

log = logging.getLogger(__name__)

#: Seconds for the last poll of a job, after its deadline.
LAST_POLL_TIMEOUT = 30.0
#: Seconds between two lines of the log that say that a job is still running.
PROGRESS_INTERVAL = 300.0


class JobPoller:
    """Polls IMM for jobs, on one event loop. Works from the first waiting job to the last.

    :param imm: the client.
    :param rate: requests a second at most; default 20.
    :param timing: configured intervals.
    :param cursor_timing: intervals of the end-time cursor; its overlap is by default the time that tasks may
        be listed late (``task_listing_delay``), at least 15 s.
    :param progress_interval: seconds between two lines of the log on a job that is running; default 300.
    :param last_poll_timeout: seconds for the poll after the deadline of a job; default 30.
    :param count: called with the name of a metric for each request and each throttled one.
    """

    def __init__(
        self,
        imm: IMMClient,
        *,
        rate: float = DEFAULT_RATE,
        timing: Timing | None = None,
        cursor_timing: CursorTiming | None = None,
        progress_interval: float = PROGRESS_INTERVAL,
        last_poll_timeout: float = LAST_POLL_TIMEOUT,
        count: Callable[[str], None] | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.limiter = RateLimiter(rate, count=count)
        self._imm = imm
        self._cursor_timing = cursor_timing or CursorTiming(
            overlap=max(CursorTiming().overlap, self.timing.task_listing_delay)
        )
        self._progress_interval = progress_interval
        self._last_poll_timeout = last_poll_timeout
        self._groups: dict[GroupKey, PollGroup] = {}

    async def poll_once(self, job: OSSJob, known_since: float | None = None) -> JobStatus:
        """Poll one job now. A job the service does not know counts as running.

        :param known_since: epoch seconds since which the service must know it. When the grace period is over,
            an unknown job is polled a few times more, and then counts as lost.
        :raises OSSServiceError: no answer, or a refusal.
        """
        for left in reversed(range(GRACE_ANSWERS)):
            try:
                return status_of(
                    await self.limiter.run(
                        lambda: self._imm.get_task(job.imm_project, job.task_type, job.task_id)
                    )
                )
            except OSSServiceError as error:
                if not is_task_not_found(error):
                    raise
            if known_since is None or time.time() - known_since < self.timing.unknown_task_grace:
                return JobStatus("running")
            if left:
                await asyncio.sleep(self.timing.min_poll_interval)
        return JobStatus("lost")

    async def wait(
        self, job: OSSJob, *, deadline: float, max_interval: float = 30.0, min_interval: float | None = None
    ) -> JobStatus:
        """Wait until a job has ended; polls at once.

        :param deadline: epoch seconds.
        :param max_interval: seconds between two polls at most; default 30.
        :param min_interval: seconds between the first two polls; default the configured one.
        :return: a final status.
        :raises OSSJobTimeoutError: the job had not ended at the deadline.
        :raises OSSServiceError: the service refuses to tell; the message names what is missing.
        """
        waiter = _Waiter(deadline, self._progress_interval)
        group = self._join(job, waiter, min_interval, max_interval)
        try:
            while (outcome := await waiter.future) is Moment.PROGRESS:
                left = max(0.0, deadline - time.time())
                log.info("Still running, %.0f minutes before the deadline: job %s", left / 60, job.task_id)
                waiter.renew()
        finally:
            self._leave(group, job, waiter)
        if isinstance(outcome, JobStatus):
            return outcome
        return await self._last_poll(job)

    def follow(
        self,
        job: OSSJob,
        ended: Callable[[JobStatus | OSSAsyncError], None],
        *,
        deadline: float,
        max_interval: float = 30.0,
        min_interval: float | None = None,
        first_poll: float = 0.0,
    ) -> PollSubscription:
        """Have a function called when a job has ended: waiting without an asyncio task for each job.

        :param ended: called once, on the event loop but in no particular context: with a final status, or
            with what :meth:`wait` would raise.
        :param deadline: epoch seconds.
        :param max_interval: seconds between two polls at most; default 30.
        :param min_interval: seconds between the first two polls; default the configured one.
        :param first_poll: seconds before the first poll; default none.
        """
        following = PollSubscription(self, job, deadline, ended)
        following.group = self._join(job, following, min_interval, max_interval, first_poll)
        return following

    def _join(
        self,
        job: OSSJob,
        waiter: _Waiter | PollSubscription,
        min_interval: float | None,
        max_interval: float,
        first_poll: float = 0.0,
    ) -> PollGroup:
        key = GroupKey(job.imm_project, job.task_type)
        if (group := self._groups.get(key)) is None:
            group = self._groups[key] = PollGroup(
                key, self._imm, self.limiter, self.timing, self._cursor_timing, self._progress_interval
            )
        first = self.timing.min_poll_interval if min_interval is None else min_interval
        group.join(job, waiter, shared_backoff(min(first, max_interval), max_interval), first_poll)
        return group

    def _leave(self, group: PollGroup, job: OSSJob, waiter: _Waiter | PollSubscription) -> None:
        group.leave(job, waiter)
        if group.empty and self._groups.get(group.key) is group:
            del self._groups[group.key]

    async def _last_poll(self, job: OSSJob) -> JobStatus:
        """Poll a job whose deadline has come.

        :raises OSSJobTimeoutError: it has not ended.
        """
        with contextlib.suppress(OSSAsyncError, TimeoutError):
            # The last polls of other jobs may come before this one.
            async with asyncio.timeout(self._last_poll_timeout):
                status = await self.poll_once(job)
            if status.final:
                return status
        raise timeout_error(job)

    def wake(self, job: OSSJob) -> None:
        """Poll a waiting job now: a message says that it has ended."""
        if (group := self._groups.get(GroupKey(job.imm_project, job.task_type))) is not None:
            group.wake(job.task_id)


class _Waiter:
    """One caller that waits for a job.

    :param deadline: epoch seconds.
    :param log_interval: seconds between two lines of the log that the job is still running.
    """

    __slots__ = ("deadline", "future", "log_at", "outcome")

    def __init__(self, deadline: float, log_interval: float) -> None:
        self.deadline = deadline
        self.log_at = time.monotonic() + log_interval * jitter()
        self.outcome: JobStatus | OSSAsyncError | Moment | None = None
        self.renew()

    def renew(self) -> None:
        """Wait again, for the end of the job or the next line of progress."""
        self.future: asyncio.Future[JobStatus | Moment] = asyncio.get_running_loop().create_future()
        if self.outcome is not None:
            self.end(self.outcome)

    def end(self, outcome: JobStatus | OSSAsyncError | Moment) -> None:
        """End the wait; where it is just about to log, as soon as it waits again."""
        self.outcome = outcome
        if self.future.done():
            return
        if isinstance(outcome, OSSAsyncError):
            # Each waiter raises its own copy: a shared one would collect all their tracebacks.
            self.future.set_exception(outcome.replace())
        else:
            self.future.set_result(outcome)

    def tell_progress(self) -> None:
        """Have it logged that the job is running, in the context of the task that waits: in its own log."""
        if not self.future.done():
            self.future.set_result(Moment.PROGRESS)


class PollSubscription:
    """One job whose end is reported to a function: what :meth:`JobPoller.follow` returns."""

    __slots__ = ("_ended", "_last_poll", "_poller", "deadline", "group", "job", "log_at")

    def __init__(
        self,
        poller: JobPoller,
        job: OSSJob,
        deadline: float,
        ended: Callable[[JobStatus | OSSAsyncError], None],
    ) -> None:
        self._poller = poller
        self._ended: Callable[[JobStatus | OSSAsyncError], None] | None = ended
        self._last_poll: asyncio.Task[None] | None = None
        self.job = job
        self.deadline = deadline
        self.log_at = math.inf
        self.group: PollGroup | None = None

    def stop(self) -> None:
        """Follow the job no longer; the function is not called any more."""
        self._ended = None
        if self.group is not None:
            self._poller._leave(self.group, self.job, self)
            self.group = None
        if self._last_poll is not None:
            self._last_poll.cancel()

    def end(self, outcome: JobStatus | OSSAsyncError | Moment) -> None:
        """Tell how the job has ended; at the deadline, after one more poll."""
        if isinstance(outcome, Moment):
            if self._last_poll is None and self._ended is not None:
                self._last_poll = asyncio.create_task(self._poll(), name="oss-async-last-poll")
            return
        ended = self._ended
        self.stop()
        if ended is not None:
            ended(outcome)

    def tell_progress(self) -> None:
        """Log nothing: who follows many jobs tells the progress of all."""

    async def _poll(self) -> None:
        outcome: JobStatus | OSSAsyncError
        try:
            outcome = await self._poller._last_poll(self.job)
        except OSSAsyncError as error:
            outcome = error
        except Exception as error:
            log.error("The last poll of job %s failed: %s", self.job.task_id, traceback_of(error))
            outcome = OSSAsyncError(unexpected("Polling the job failed", error))
        self._last_poll = None
        self.end(outcome)
