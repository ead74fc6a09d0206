"""The waiting jobs of one project and task type, and when each of them is polled and how."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import logging
import math
import time
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

from airflow_provider_oss_async.clients.errors import (
    is_task_not_found,
    missing_resource,
    refuses_credentials,
    traceback_of,
    unexpected,
)
from airflow_provider_oss_async.clients.retry import Backoff, jitter, warn_rate_limited
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.end_time_cursor import CursorTiming, EndTimeCursor, epoch
from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from airflow_provider_oss_async.clients.imm import IMMClient, TaskInfo
    from airflow_provider_oss_async.clients.rate_limiter import RateLimiter
    from airflow_provider_oss_async.jobs.timing import Timing

log = logging.getLogger(__name__)

#: Answers in a row that must not know a job before it counts as lost.
GRACE_ANSWERS = 3
#: Jobs that make a batch poll worthwhile, as long as a page (100 tasks) holds this many of them.
BATCH_FROM, BATCH_YIELD = 20, 5
#: Pages of 100 tasks that one batch poll reads at most.
MAX_BATCH_PAGES = 1000
#: Part of its interval by which a job's poll may be brought forward to take part in a batch poll.
EARLY = 0.25
#: Seconds after which a refused ``ListTasks`` is tried again, for rights can be granted meanwhile, and one
#: that got no usable answer. Until then jobs are polled one by one.
LIST_AFTER_REFUSAL, LIST_AFTER_OUTAGE = 600.0, 60.0
#: Refusals in a row, and minimum poll intervals, that a refusal must last before it ends the waits it
#: concerns.
MAX_REFUSALS, REFUSED_INTERVALS = 3, 5.0
#: Times in a row that a page of a batch poll may get no usable answer before the batch poll is given up.
MAX_PAGE_FAILURES = 3
#: Seconds from one round to the next at least, so that jobs that come together are polled together.
ROUND_INTERVAL = 0.25
#: Part of that interval within which lines that are due come together.
PROGRESS_STEP = 0.01
#: Seconds until the waits end whose deadlines have come, at least: those that come together end together.
#: And at most, since not all clocks run on while a machine is suspended.
MIN_DEADLINE_PAUSE, MAX_DEADLINE_PAUSE = 0.02, 600.0
#: Seconds by which the service's clock may differ between OSS (submission) and IMM (task).
_CLOCK_SKEW = 120.0


class GroupKey(NamedTuple):
    """Jobs that one ``ListTasks`` request can cover."""

    project: str
    task_type: str


class Moment(Enum):
    """What a waiter may learn beside the end of its job."""

    #: The job is running, and it is time to log that.
    PROGRESS = auto()
    #: The deadline has come.
    DEADLINE = auto()


class JobWaiter(Protocol):
    """What is told how a job has ended.

    :param deadline: epoch seconds.
    :param log_at: on the monotonic clock, when the next line of progress is due.
    """

    deadline: float
    log_at: float

    def end(self, outcome: JobStatus | OSSAsyncError | Moment) -> None:
        """Take the end of the job, or that the deadline has come."""

    def tell_progress(self) -> None:
        """Log that the job is running."""


class PollEntry:
    """A job that is waited for."""

    __slots__ = (
        "announced",
        "backoff",
        "covered",
        "due",
        "ended",
        "interval",
        "job",
        "missed_since",
        "misses",
        "polled_at",
        "refusals",
        "submitted",
        "unlisted",
        "urgent",
        "waiting",
    )

    def __init__(self, job: OSSJob, backoff: Backoff, first_poll: float) -> None:
        now = time.monotonic()
        self.job = job
        self.backoff = backoff
        self.submitted = job.submitted
        self.due = now + first_poll
        self.interval = 0.0
        #: A single waiter needs no list of its own, which collections of garbage would visit.
        self.waiting: tuple[JobWaiter, ...] = ()
        #: Polled before all others: not polled yet, or a message has come.
        self.urgent = True
        #: A batch poll has not found it, so it is polled by itself.
        self.unlisted = False
        #: A message says that it has ended.
        self.announced = False
        #: The end-time cursor is certain to show its end.
        self.covered = False
        #: When it was last polled by itself.
        self.polled_at = now
        self.missed_since = 0.0
        self.misses = 0
        self.refusals = 0
        #: Its waiters have been notified and are about to leave.
        self.ended = False

    def near(self, now: float) -> bool:
        """Whether it is due, or so soon that it may take part in a batch poll."""
        return self.due - EARLY * self.interval <= now

    def reschedule(self, since: float | None = None, part: float | None = None) -> None:
        """Make it due again after its interval, which grows with each poll that was due.

        :param since: when the poll began, if not now.
        :param part: of the interval to wait, random by default.
        """
        now = time.monotonic()
        if self.near(now):
            self.interval = self.backoff.after(self.interval)
        pause = (self.interval or self.backoff.min_interval) * (part or jitter())
        self.due = max((since or now) + pause, now + pause / 2)
        self.urgent = self.unlisted = False

    def end(self, outcome: JobStatus | OSSAsyncError) -> None:
        """Tell all who wait."""
        self.ended = True
        for waiter in self.waiting:
            waiter.end(outcome)


@functools.lru_cache(maxsize=256)
def shared_backoff(min_interval: float, max_interval: float) -> Backoff:
    """Return the same object for the same intervals, since thousands of jobs have them."""
    return Backoff(min_interval, max_interval)


class PollGroup:
    """The waiting jobs of one project and task type, and the asyncio task that polls them."""

    def __init__(
        self,
        key: GroupKey,
        imm: IMMClient,
        limiter: RateLimiter,
        timing: Timing,
        cursor_timing: CursorTiming,
        progress_interval: float,
    ) -> None:
        self.key = key
        self._imm = imm
        self._limiter = limiter
        self._timing = timing
        self._entries: dict[str, PollEntry] = {}
        self._woken = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._refusals = 0
        self._refused_since = 0.0
        self._list_from = 0.0
        #: Part of the listed tasks that were waited for, at the last batch polls.
        self._density = 1.0
        self._cursor = EndTimeCursor(self._ended_page, cursor_timing)
        self._cursor_timing = cursor_timing
        self._progress_interval = progress_interval
        self._cursor_from = 0.0
        self._single_polled_at = 0.0
        self._next_progress = math.inf
        self._next_deadline = math.inf
        self._deadline_timer: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not self._entries

    def join(self, job: OSSJob, waiter: JobWaiter, backoff: Backoff, first_poll: float = 0.0) -> None:
        """Begin to poll a job.

        :param waiter: is told its end.
        :param backoff: intervals between two polls.
        :param first_poll: seconds before the first one; default none.
        """
        entry = self._entries.get(job.task_id)
        if entry is None:
            entry = self._entries[job.task_id] = PollEntry(job, backoff, first_poll)
        if entry.ended:
            # The notified waiter has not left yet; the new one is notified at the next poll.
            entry.ended = entry.covered = False
            entry.due = min(entry.due, time.monotonic() + first_poll)
        entry.waiting = (*entry.waiting, waiter)
        self._next_progress = min(self._next_progress, waiter.log_at)
        if waiter.deadline < self._next_deadline:
            self._expire_at(waiter.deadline)
        if entry.backoff is not backoff:
            entry.backoff = shared_backoff(
                min(entry.backoff.min_interval, backoff.min_interval),
                min(entry.backoff.max_interval, backoff.max_interval),
            )
        self._woken.set()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="oss-async-poller")

    def leave(self, job: OSSJob, waiter: JobWaiter) -> None:
        """Tell a waiter nothing more; a job that nobody waits for is not polled."""
        entry = self._entries.get(job.task_id)
        if entry is None or waiter not in entry.waiting:
            return
        entry.waiting = tuple(other for other in entry.waiting if other is not waiter)
        if entry.waiting:
            return
        del self._entries[job.task_id]
        if not self._entries:
            # At once, because the last one to leave may close the session.
            if self._runner is not None:
                self._runner.cancel()
                self._runner = None
            if self._deadline_timer is not None:
                self._deadline_timer.cancel()
                self._next_deadline = math.inf

    def _expire_at(self, moment: float) -> None:
        """Have waits end at their deadlines, the first of which is at ``moment``: one timer for all."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._next_deadline = moment
        pause = min(max(MIN_DEADLINE_PAUSE, moment - time.time()), MAX_DEADLINE_PAUSE)
        self._deadline_timer = asyncio.get_running_loop().call_later(pause, self._expire)

    def _expire(self) -> None:
        now, following = time.time(), math.inf
        for entry in list(self._entries.values()):
            for waiter in entry.waiting:
                if waiter.deadline <= now:
                    waiter.end(Moment.DEADLINE)
                    # Once is enough: the waiter leaves after one more poll.
                    waiter.deadline = math.inf
                else:
                    following = min(following, waiter.deadline)
        if following < math.inf:
            self._expire_at(following)
        else:
            self._next_deadline = math.inf

    def wake(self, task_id: str) -> None:
        """Poll a job now: a message says that it has ended."""
        if (entry := self._entries.get(task_id)) is not None:
            entry.due, entry.urgent, entry.announced, entry.interval = time.monotonic(), True, True, 0.0
            # The message may come before IMM's own record changes: poll again soon.
            soon = min(entry.backoff.min_interval, self._timing.min_poll_interval)
            entry.backoff = Backoff(soon, entry.backoff.max_interval)
            self._woken.set()

    async def _run(self) -> None:
        try:
            while self._entries:
                self._woken.clear()
                now = time.monotonic()
                due = [entry for entry in self._entries.values() if entry.due <= now]
                self._log_progress(now)
                if not due:
                    soonest = min(min(entry.due for entry in self._entries.values()), self._next_progress)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), soonest - now)
                    continue
                if len(self._entries) >= BATCH_FROM and now >= self._cursor_from:
                    await self._poll_ended(due)
                elif batch := self._select_for_batch(due, now):
                    await self._poll_batch(batch)
                else:
                    # A few at a time, so that a new job does not wait until thousands have been polled.
                    await self._poll_each(
                        heapq.nsmallest(BATCH_FROM, due, key=lambda e: (not e.urgent, e.due))
                    )
                await asyncio.sleep(min(ROUND_INTERVAL, self._timing.min_poll_interval))
        except Exception as error:
            # A defect must end the waits: nothing polls for them any more.
            log.error("Polling jobs of IMM project %s failed: %s", self.key.project, traceback_of(error))
            self._runner = None
            self._end_all(OSSAsyncError(unexpected("Polling the job failed", error)))

    async def _ended_page(self, start: datetime, token: str | None) -> tuple[list[TaskInfo], str | None]:
        """Read a page, again where it gets no answer: starting over would never reach a distant end."""
        for failures in range(1, MAX_PAGE_FAILURES + 1):
            try:
                return await self._limiter.run(
                    lambda: self._imm.list_tasks(
                        self.key.project,
                        task_types=[self.key.task_type],
                        ended_from=start,
                        next_token=token,
                    )
                )
            except (OSSThrottledError, OSSUnavailableError):
                if failures == MAX_PAGE_FAILURES:
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    async def _poll_ended(self, due: list[PollEntry]) -> None:
        """Read the end-time cursor, and poll those one by one whose end it is not certain to show."""
        # A message may come before the task is listed as ended.
        single = [entry for entry in due if entry.announced and entry.covered]
        # Also those that are not due yet: else there would soon be another read for them.
        for entry in list(self._entries.values()):
            if not entry.covered and entry.submitted is not None and self._cursor.covers(entry.submitted):
                entry.covered = True
                if (info := self._cursor.recent(entry.job.task_id)) is not None:
                    self._settle(entry, status_of(info))
        due = [entry for entry in due if self._entries.get(entry.job.task_id) is entry and not entry.ended]
        uncovered = [entry for entry in due if not entry.covered]
        listable = [entry for entry in uncovered if entry.submitted is not None]
        if len(listable) >= BATCH_FROM:
            # Their ends may be behind the cursor: fewer requests read those again than poll each of them.
            self._cursor.rewind(min(entry.submitted for entry in listable if entry.submitted is not None))
            for entry in listable:
                entry.covered = True
            uncovered = [entry for entry in uncovered if entry.submitted is None]
        single += uncovered
        if len(single) < len(due) or not single:
            await self._read_cursor()
        now = time.monotonic()
        if len(single) < BATCH_FROM and now - self._single_polled_at >= self._cursor_timing.single_interval:
            # Lost jobs, and a cursor that does not show all, are noticed only this way.
            oldest = min(self._entries.values(), key=lambda entry: entry.polled_at, default=None)
            if oldest is not None and now - oldest.polled_at >= self._cursor_timing.unseen_after:
                self._single_polled_at = now
                single.append(oldest)
        if single:
            await self._poll_each(heapq.nsmallest(BATCH_FROM, single, key=lambda e: (not e.urgent, e.due)))

    async def _read_cursor(self) -> None:
        # All stay together for the next read, however long this one takes.
        since, part = time.monotonic(), jitter()
        try:
            async for tasks in self._cursor.read():
                for info in tasks:
                    if (entry := self._entries.get(info.task_id)) is not None:
                        self._settle(entry, status_of(info), since, part)
        except (OSSThrottledError, OSSUnavailableError) as error:
            warn_rate_limited("Jobs are polled one by one, because ListTasks gives no answer: %s", error)
            self._cursor_from = self._list_from = time.monotonic() + LIST_AFTER_OUTAGE
            return
        except (OSSServiceError, OSSConnectionError) as error:
            if isinstance(error, OSSConnectionError) or _is_refusal(error):
                log.warning("Jobs are polled one by one, because ListTasks was refused: %s", error)
                self._cursor_from = self._list_from = time.monotonic() + LIST_AFTER_REFUSAL
                return
            log.warning(
                "Tasks are listed by their start, because listing them by their end was refused: %s", error
            )
            self._cursor_from = time.monotonic() + LIST_AFTER_REFUSAL
            return
        self._refusals = 0
        for entry in self._entries.values():
            # A job that a message has announced stays due: IMM may list it later.
            if entry.covered and not (entry.urgent and entry.announced):
                entry.reschedule(since, part)

    def _suspend_cursor(self, entry: PollEntry, info: TaskInfo) -> None:
        """Where the cursor has not shown a job that has ended, have it read again, or stop using it."""
        ended_at = epoch(info.end_time)
        if not entry.covered or ended_at is None or self._cursor.recent(info.task_id) is not None:
            return
        if self._cursor.passed(ended_at):
            log.info("Listing tasks by their end again: the end of job %s came late", info.task_id)
            self._cursor.widen(ended_at)
        elif self._cursor.should_have_shown(ended_at):
            warn_rate_limited(
                "Tasks are listed by their start: listing them by their end did not show job %s",
                entry.job.task_id,
            )
            self._cursor_from = time.monotonic() + self._cursor_timing.suspension

    def _log_progress(self, now: float) -> None:
        """Have long waits logged, a number of them at a time."""
        if now < self._next_progress:
            return
        soonest = math.inf
        for entry in self._entries.values():
            for waiter in entry.waiting:
                if waiter.log_at <= now:
                    waiter.log_at = now + self._progress_interval
                    waiter.tell_progress()
                soonest = min(soonest, waiter.log_at)
        self._next_progress = max(soonest, now + self._progress_interval * PROGRESS_STEP)

    def _select_for_batch(self, due: list[PollEntry], now: float) -> list[PollEntry]:
        """Return the jobs for a batch poll; none where polling one by one takes fewer requests."""
        if now < self._list_from or all(entry.unlisted for entry in due):
            return []
        near = [
            entry
            for entry in self._entries.values()
            if entry.near(now) and entry.submitted is not None and not entry.unlisted
        ]
        if len(near) < BATCH_FROM:
            return []
        first, last = _span(near)
        between = sum(1 for e in self._entries.values() if e.submitted and first <= e.submitted <= last)
        pages = 1 + between / (100 * self._density)
        if len(near) < BATCH_YIELD * pages:
            # The share of foreign tasks in the project may have changed: trust the estimate less each time.
            self._density = min(1.0, self._density * 1.05)
            return []
        return near

    async def _poll_batch(self, wanted: list[PollEntry]) -> None:
        """Poll many jobs by listing the tasks that were started when they were, newest first."""
        missing = {entry.job.task_id: entry for entry in wanted}
        first, last = _span(wanted)
        start, end = (
            datetime.fromtimestamp(moment, UTC) for moment in (first - _CLOCK_SKEW, last + _CLOCK_SKEW)
        )
        # Jobs of one batch poll stay together for the next one, however long it takes.
        since, part = time.monotonic(), jitter()
        token: str | None = None
        seen: set[str] = set()
        met: set[str] = set()
        pages = listed = failures = 0
        while missing and self._entries:

            def page(token: str | None = token) -> Awaitable[tuple[list[TaskInfo], str | None]]:
                return self._imm.list_tasks(
                    self.key.project,
                    task_types=[self.key.task_type],
                    start=start,
                    end=end,
                    next_token=token,
                    newest_first=True,
                )

            try:
                tasks, token = await self._limiter.run(page)
            except (OSSThrottledError, OSSUnavailableError) as error:
                # Repeat the page: starting over would never reach the end of a long list.
                failures += 1
                if failures < MAX_PAGE_FAILURES:
                    continue
                warn_rate_limited("Jobs are polled one by one, because ListTasks gives no answer: %s", error)
                self._list_from = time.monotonic() + LIST_AFTER_OUTAGE
                break
            except (OSSServiceError, OSSConnectionError) as error:
                log.warning("Jobs are polled one by one, because ListTasks was refused: %s", error)
                self._list_from = time.monotonic() + LIST_AFTER_REFUSAL
                break
            pages, listed, failures = pages + 1, listed + len(tasks), 0
            for info in tasks:
                if (entry := self._entries.get(info.task_id)) is not None:
                    met.add(info.task_id)
                    missing.pop(info.task_id, None)
                    self._settle(entry, status_of(info), since, part)
            # Where foreign tasks fill the pages, polling one by one takes fewer requests.
            if token is None or len(met) < BATCH_YIELD * pages:
                break
            if token in seen or pages >= MAX_BATCH_PAGES:
                warn_rate_limited("ListTasks does not end; jobs are polled one by one: page %s", pages)
                self._list_from = time.monotonic() + LIST_AFTER_REFUSAL
                break
            seen.add(token)
        if listed:
            self._density = max(len(met) / listed, 0.001)
        for entry in missing.values():
            entry.unlisted = True

    async def _poll_each(self, due: list[PollEntry]) -> None:
        """Poll jobs one by one."""
        errors = await asyncio.gather(*(self._get(entry) for entry in due))
        refusal = next((e for e in errors if isinstance(e, OSSConnectionError) or _is_refusal(e)), None)
        if refusal is not None:
            self._note_refusal(refusal)
        elif None in errors:
            self._refusals = 0
        now = time.monotonic()
        # Where no job got an answer, none will now.
        for entry in due if None in errors else list(self._entries.values()):
            if entry.due <= now:
                entry.reschedule()

    def _note_refusal(self, error: OSSAsyncError) -> None:
        now = time.monotonic()
        self._refused_since = self._refused_since if self._refusals else now
        self._refusals += 1
        lasting = now - self._refused_since >= REFUSED_INTERVALS * self._timing.min_poll_interval
        if self._refusals >= MAX_REFUSALS and lasting:
            self._refusals = 0
            self._end_all(error)

    async def _get(self, entry: PollEntry) -> OSSAsyncError | None:
        """Poll one job; return the error if it is not about this job alone."""
        job = entry.job
        if self._entries.get(job.task_id) is not entry:
            return None
        try:
            info = await self._limiter.run(
                lambda: self._imm.get_task(job.imm_project, job.task_type, job.task_id)
            )
        except (OSSThrottledError, OSSUnavailableError, OSSConnectionError) as error:
            return error
        except OSSServiceError as error:
            if _is_refusal(error):
                return error
            if is_task_not_found(error):
                self._miss(entry)
            else:
                self._refuse(entry, error)
        else:
            status = status_of(info)
            entry.polled_at, entry.announced = time.monotonic(), False
            if status.final:
                self._suspend_cursor(entry, info)
            else:
                # What ends from now on is behind the cursor's position.
                entry.covered = True
            self._settle(entry, status)
        return None

    def _settle(
        self, entry: PollEntry, status: JobStatus, since: float | None = None, part: float | None = None
    ) -> None:
        entry.misses = entry.refusals = 0
        entry.reschedule(since, part)
        if status.final:
            entry.end(status)

    def _miss(self, entry: PollEntry) -> None:
        now = time.monotonic()
        entry.missed_since = now if not entry.misses else entry.missed_since
        entry.misses += 1
        entry.covered = False
        entry.reschedule()
        if entry.misses >= GRACE_ANSWERS and now - entry.missed_since >= self._timing.unknown_task_grace:
            entry.end(JobStatus("lost"))

    def _refuse(self, entry: PollEntry, error: OSSServiceError) -> None:
        entry.refusals += 1
        entry.reschedule()
        if entry.refusals >= MAX_REFUSALS:
            entry.end(error)

    def _end_all(self, error: OSSAsyncError) -> None:
        for entry in list(self._entries.values()):
            entry.end(error)


def _is_refusal(error: OSSAsyncError | None) -> bool:
    """Whether a right or the project is missing, or the keys are wrong: for all jobs of the group."""
    return isinstance(error, OSSServiceError) and (
        refuses_credentials(error) or missing_resource(error) == "project"
    )


def status_of(info: TaskInfo) -> JobStatus:
    """Return what an answer of IMM means. Undocumented states count as running."""
    state = info.status.lower()
    if state == "succeeded":
        return JobStatus("succeeded", finished_at=info.end_time)
    if state == "failed":
        return JobStatus("failed", info.code, info.message, info.end_time)
    return JobStatus("running")


def _span(entries: Iterable[PollEntry]) -> tuple[float, float]:
    """Return when the first and the last of the jobs were submitted."""
    moments = [entry.submitted for entry in entries if entry.submitted is not None]
    return min(moments), max(moments)
