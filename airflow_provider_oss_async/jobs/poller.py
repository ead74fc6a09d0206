"""Many waiting jobs, few requests: one watcher serves all jobs of one event loop, endpoint and account.

Few jobs are asked for one by one (``GetTask``); many become sweeps over ``ListTasks``, 100 tasks a request,
whenever that costs less. The time between two looks at a job grows from its floor to its ceiling. Throttling
slows all requests of the watcher, an outage is waited out, and only what no waiting can mend (a missing
right, a wrong project) ends the jobs it concerns.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import heapq
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_oss_async.clients.http import refuses_credentials
from airflow_provider_oss_async.clients.imm import is_task_not_found, missing_resource
from airflow_provider_oss_async.clients.rate_limiter import Line
from airflow_provider_oss_async.clients.retry import GROWTH, jitter, seldom
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.job import CEILING, FLOOR, RATE, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.result import timeout_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from airflow_provider_oss_async.clients.imm import IMMClient, TaskInfo

log = logging.getLogger(__name__)

#: A job that the service does not know is lost after this many seconds and answers. The API promises no
#: read-after-write, so a fresh id may be unknown for a moment.
GRACE, GRACE_ANSWERS = 60.0, 3
#: So many jobs at least are worth a sweep, as long as a page (100 tasks) holds this many of them.
SWEEP_FROM, SWEEP_YIELD = 20, 5
#: Part of its interval by which a job's look may be brought forward to take part in a sweep.
EARLY = 0.25
#: Seconds after which a refused ``ListTasks`` is tried again, for rights can be granted meanwhile, and one
#: that got no usable answer. Until then jobs are asked for one by one.
LIST_AGAIN_AFTER, LIST_AGAIN_SOON = 600.0, 60.0
#: Rounds in a row and seconds that a refusal must outlast before it ends the jobs it concerns.
REFUSALS, REFUSED_FOR = 3, 10.0
#: Times in a row that a page of a sweep may get no usable answer before the sweep is given up.
PAGE_FAILURES = 3
#: Seconds for the last look at a job, after its deadline.
LAST_LOOK = 30.0
#: Seconds from one round to the next at least, so that jobs that come together are asked for together.
TICK = 0.25
#: Seconds by which the service's clock may differ between OSS (submission) and IMM (task).
_CLOCK_SLACK = 120.0


class Group(NamedTuple):
    """Jobs that one ``ListTasks`` request can cover."""

    project: str
    task_type: str


class Watcher:
    """Waits for jobs through IMM, on one event loop. Works from the first waiting job to the last.

    :param imm: the client to ask with.
    :param rate: requests a second at most. IMM's limit is not documented.
    :param floor: seconds between the first two looks at a job.
    """

    def __init__(self, imm: IMMClient, *, rate: float = RATE, floor: float = FLOOR) -> None:
        self.floor = floor
        self._imm = imm
        self._line = Line(rate)
        self._crowds: dict[Group, _Crowd] = {}

    async def look(self, job: OSSJob, known_since: float | None = None) -> JobStatus:
        """Ask for one job once, now. A job the service does not know counts as running.

        :param known_since: epoch seconds since which the service must know it. When the grace period is over,
            an unknown job is asked for a few times more, and then counts as lost.
        :raises OSSServiceError: no answer, or a refusal.
        """
        for left in reversed(range(GRACE_ANSWERS)):
            try:
                return status_of(
                    await self._line.ask(
                        lambda: self._imm.get_task(job.imm_project, job.task_type, job.task_id)
                    )
                )
            except OSSServiceError as error:
                if not is_task_not_found(error):
                    raise
            if known_since is None or time.time() - known_since < GRACE:
                return JobStatus("running")
            if left:
                await asyncio.sleep(self.floor)
        return JobStatus("lost")

    async def wait(
        self, job: OSSJob, *, deadline: float, ceiling: float = CEILING, floor: float | None = None
    ) -> JobStatus:
        """Wait until a job has ended; looks at once.

        :param deadline: epoch seconds.
        :param ceiling: seconds between two looks at most.
        :param floor: seconds between the first two looks; default the watcher's.
        :return: a final status.
        :raises OSSJobTimeoutError: the job had not ended at the deadline.
        :raises OSSServiceError: the service refuses to tell; the message names what is missing.
        """
        group = Group(job.imm_project, job.task_type)
        if (crowd := self._crowds.get(group)) is None:
            crowd = self._crowds[group] = _Crowd(group, self._imm, self._line)
        future: asyncio.Future[JobStatus] = asyncio.get_running_loop().create_future()
        crowd.join(job, future, self.floor if floor is None else floor, ceiling)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.time())):
                return await future
        except TimeoutError:
            pass
        finally:
            crowd.leave(job, future)
            if crowd.empty and self._crowds.get(group) is crowd:
                del self._crowds[group]
        with contextlib.suppress(OSSAsyncError, TimeoutError):
            # Others' last looks may stand in line before this one.
            async with asyncio.timeout(LAST_LOOK):
                status = await self.look(job)
            if status.final:
                return status
        raise timeout_error(job)

    def nudge(self, job: OSSJob) -> None:
        """Look at a waiting job now: there is news of it."""
        if (crowd := self._crowds.get(Group(job.imm_project, job.task_type))) is not None:
            crowd.nudge(job.task_id, self.floor)


@dataclass(slots=True, eq=False)
class _Entry:
    """A job that is waited for."""

    job: OSSJob
    floor: float
    ceiling: float
    submitted: float | None
    due: float = field(default_factory=time.monotonic)
    interval: float = 0.0
    waiting: set[asyncio.Future[JobStatus]] = field(default_factory=set)
    urgent: bool = True  # asked for before all others: nobody has looked yet, or there is news
    passed_over: bool = False  # a sweep has not met it, so it is asked for by itself
    missed_since: float = 0.0
    misses: int = 0
    refusals: int = 0

    def near(self, now: float) -> bool:
        """Whether it is due, or so soon that it may take part in a sweep."""
        return self.due - EARLY * self.interval <= now

    def put_off(self, since: float | None = None, part: float | None = None) -> None:
        """Make it due again after its interval, which grows with each look that was not out of turn.

        :param since: when the look began, if not now.
        :param part: of the interval to wait, by default drawn at random.
        """
        now = time.monotonic()
        if self.near(now):
            self.interval = min(max(self.floor, self.interval * GROWTH), self.ceiling)
        pause = min(self.interval or self.floor, self.ceiling) * (part or jitter())
        self.due = max((since or now) + pause, now + pause / 2)
        self.urgent = self.passed_over = False

    def end(self, outcome: JobStatus | OSSAsyncError) -> None:
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(outcome, JobStatus):
                future.set_result(outcome)
            else:
                # Each waiter raises its own copy: a shared one would collect all their tracebacks.
                future.set_exception(copy.copy(outcome))


class _Crowd:
    """The waiting jobs of one group, and the task that looks at them."""

    def __init__(self, group: Group, imm: IMMClient, line: Line) -> None:
        self._group = group
        self._imm = imm
        self._line = line
        self._entries: dict[str, _Entry] = {}
        self._woken = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._refusals = 0
        self._refused_since = 0.0
        self._list_from = 0.0
        #: Part of the listed tasks that were waited for, at the last sweeps.
        self._density = 1.0

    @property
    def empty(self) -> bool:
        return not self._entries

    def join(self, job: OSSJob, future: asyncio.Future[JobStatus], floor: float, ceiling: float) -> None:
        entry = self._entries.get(job.task_id)
        if entry is None:
            entry = self._entries[job.task_id] = _Entry(job, floor, ceiling, job.submitted)
        entry.waiting.add(future)
        entry.floor, entry.ceiling = min(entry.floor, floor), min(entry.ceiling, ceiling)
        self._woken.set()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="oss-async-watcher")

    def leave(self, job: OSSJob, future: asyncio.Future[JobStatus]) -> None:
        entry = self._entries.get(job.task_id)
        if entry is None or future not in entry.waiting:
            return
        entry.waiting.discard(future)
        if not entry.waiting:
            del self._entries[job.task_id]
            if not self._entries and self._runner is not None:
                # At once, because the last one to leave may close the session.
                self._runner.cancel()
                self._runner = None

    def nudge(self, task_id: str, floor: float) -> None:
        if (entry := self._entries.get(task_id)) is not None:
            entry.due, entry.urgent, entry.interval = time.monotonic(), True, 0.0
            # The message may be ahead of the record: look again soon, whatever the strategy's floor.
            entry.floor = min(entry.floor, floor)
            self._woken.set()

    async def _run(self) -> None:
        try:
            while self._entries:
                self._woken.clear()
                now = time.monotonic()
                due = [entry for entry in self._entries.values() if entry.due <= now]
                if not due:
                    soonest = min(entry.due for entry in self._entries.values())
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), soonest - now)
                    continue
                if sweep := self._worth_sweeping(due, now):
                    await self._sweep(sweep)
                else:
                    # In small lots, so that one who has just come does not wait for thousands.
                    await self._ask(heapq.nsmallest(SWEEP_FROM, due, key=lambda e: (not e.urgent, e.due)))
                await asyncio.sleep(TICK)
        except Exception as error:
            # A defect must reach those who wait, not leave them waiting for a task that has died.
            log.exception("Looking at jobs of IMM project %s failed", self._group.project)
            self._runner = None
            self._end_all(OSSAsyncError(f"Looking at the job failed: {type(error).__name__}: {error}"))

    def _worth_sweeping(self, due: list[_Entry], now: float) -> list[_Entry]:
        """Return the jobs to look for in a sweep; none where asking one by one costs less."""
        if now < self._list_from or all(entry.passed_over for entry in due):
            return []
        near = [
            entry
            for entry in self._entries.values()
            if entry.near(now) and entry.submitted is not None and not entry.passed_over
        ]
        if len(near) < SWEEP_FROM:
            return []
        first, last = _span(near)
        between = sum(1 for e in self._entries.values() if e.submitted and first <= e.submitted <= last)
        pages = 1 + between / (100 * self._density)
        if len(near) < SWEEP_YIELD * pages:
            # What others do in the project may have changed: believe the estimate less each time.
            self._density = min(1.0, self._density * 1.05)
            return []
        return near

    async def _sweep(self, wanted: list[_Entry]) -> None:
        """Look at many jobs by listing the tasks of their time, newest first."""
        missing = {entry.job.task_id: entry for entry in wanted}
        first, last = _span(wanted)
        start, end = (
            datetime.fromtimestamp(moment, UTC) for moment in (first - _CLOCK_SLACK, last + _CLOCK_SLACK)
        )
        # What was met in one sweep stays together for the next one, however long the sweep takes.
        since, part = time.monotonic(), jitter()
        token: str | None = None
        pages = listed = met = failures = 0
        while missing and self._entries:

            def page(token: str | None = token) -> Awaitable[tuple[list[TaskInfo], str | None]]:
                return self._imm.list_tasks(
                    self._group.project,
                    task_types=[self._group.task_type],
                    start=start,
                    end=end,
                    next_token=token,
                    newest_first=True,
                )

            try:
                tasks, token = await self._line.ask(page)
            except (OSSThrottledError, OSSUnavailableError) as error:
                # To begin anew would never reach the end of a long list.
                failures += 1
                if failures < PAGE_FAILURES:
                    continue
                seldom("Jobs are asked for one by one, because ListTasks cannot be had: %s", error)
                self._list_from = time.monotonic() + LIST_AGAIN_SOON
                break
            except (OSSServiceError, OSSConnectionError) as error:
                log.warning("Jobs are asked for one by one, because ListTasks was refused: %s", error)
                self._list_from = time.monotonic() + LIST_AGAIN_AFTER
                break
            pages, listed, failures = pages + 1, listed + len(tasks), 0
            for info in tasks:
                if (entry := self._entries.get(info.task_id)) is not None:
                    met += 1
                    missing.pop(info.task_id, None)
                    self._settle(entry, status_of(info), since, part)
            # Where others' tasks fill the pages, asking one by one is cheaper.
            if token is None or met < SWEEP_YIELD * pages:
                break
        if listed:
            self._density = max(met / listed, 0.001)
        for entry in missing.values():
            entry.passed_over = True

    async def _ask(self, due: list[_Entry]) -> None:
        """Look at jobs one by one."""
        errors = await asyncio.gather(*(self._get(entry) for entry in due))
        refusal = next((e for e in errors if isinstance(e, OSSConnectionError) or _is_refusal(e)), None)
        if refusal is not None:
            self._note_refusal(refusal)
        elif None in errors:
            self._refusals = 0
        now = time.monotonic()
        # Where nobody got an answer, nobody will now.
        for entry in due if None in errors else list(self._entries.values()):
            if entry.due <= now:
                entry.put_off()

    def _note_refusal(self, error: OSSAsyncError) -> None:
        now = time.monotonic()
        self._refused_since = self._refused_since if self._refusals else now
        self._refusals += 1
        if self._refusals >= REFUSALS and now - self._refused_since >= REFUSED_FOR:
            self._refusals = 0
            self._end_all(error)

    async def _get(self, entry: _Entry) -> OSSAsyncError | None:
        """Look at one job; return the error if it is not about this job alone."""
        job = entry.job
        if self._entries.get(job.task_id) is not entry:
            return None
        try:
            info = await self._line.ask(
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
            self._settle(entry, status_of(info))
        return None

    def _settle(
        self, entry: _Entry, status: JobStatus, since: float | None = None, part: float | None = None
    ) -> None:
        entry.misses = entry.refusals = 0
        entry.put_off(since, part)
        if status.final:
            entry.end(status)

    def _miss(self, entry: _Entry) -> None:
        now = time.monotonic()
        entry.missed_since = now if not entry.misses else entry.missed_since
        entry.misses += 1
        entry.put_off()
        if entry.misses >= GRACE_ANSWERS and now - entry.missed_since >= GRACE:
            entry.end(JobStatus("lost"))

    def _refuse(self, entry: _Entry, error: OSSServiceError) -> None:
        entry.refusals += 1
        entry.put_off()
        if entry.refusals >= REFUSALS:
            entry.end(error)

    def _end_all(self, error: OSSAsyncError) -> None:
        for entry in self._entries.values():
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


def _span(entries: Iterable[_Entry]) -> tuple[float, float]:
    """Return when the first and the last of the jobs were submitted."""
    moments = [entry.submitted for entry in entries if entry.submitted is not None]
    return min(moments), max(moments)
