"""Many waiting jobs, few requests: one watcher serves all jobs of one event loop, endpoint and account.

Few jobs are asked for one by one (``GetTask``); many become sweeps over ``ListTasks``, 100 tasks a request.
The time between two looks at a job grows from about 2 s to its ceiling. Throttling slows all requests of the
watcher, an outage is waited out, and only what no waiting can mend (a missing right, a wrong project) ends
the jobs it concerns.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_oss_async.exceptions import (
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.imm import is_task_not_found, missing_resource
from airflow_provider_oss_async.jobs.job import CEILING, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.outcome import timeout_error

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.imm import IMMClient, TaskInfo

log = logging.getLogger(__name__)

#: Seconds between the first two looks at a job, and how much longer each further wait is.
FLOOR, GROWTH = 2.0, 1.5
#: A job that the service does not know is lost after this many seconds and answers. The API promises no
#: read-after-write, so a fresh id may be unknown for a moment.
GRACE, GRACE_ANSWERS = 60.0, 3
#: So many jobs due at once are worth a sweep, as long as a page (100 tasks) holds this many of them.
SWEEP_FROM, SWEEP_YIELD = 20, 5
#: Rounds in a row that a refusal must outlast before it ends the jobs it concerns.
REFUSALS = 3
#: Requests a second at most. IMM's limit is not documented.
RATE = 20.0
#: Seconds from one round to the next at least, so that jobs that come together are asked for together.
TICK = 0.25
#: Seconds by which the service's clock may differ between OSS (submission) and IMM (task).
_CLOCK_SLACK = timedelta(seconds=120)
_PARALLEL = 8


class Group(NamedTuple):
    """Jobs that one ``ListTasks`` request can cover."""

    project: str
    task_type: str


_Key = tuple[Group, str]


@dataclass(slots=True, eq=False)
class _Entry:
    job: OSSJob
    ceiling: float
    future: asyncio.Future[JobStatus]
    due: float = field(default_factory=time.monotonic)
    interval: float = field(default_factory=lambda: FLOOR)
    waiters: int = 0
    missed_since: float = 0.0
    misses: int = 0
    refusals: int = 0

    @property
    def group(self) -> Group:
        return Group(self.job.imm_project, self.job.task_type)

    @property
    def key(self) -> _Key:
        # The id alone would let someone's wrong project or type decide for those who have the right one.
        return self.group, self.job.task_id


@dataclass(slots=True)
class _GroupState:
    refusals: int = 0
    may_list: bool = True


@dataclass(slots=True)
class Pace:
    """Spaces the requests of one account, and slows down when the service asks for it.

    :param rate: requests a second at most.
    """

    rate: float = RATE
    slowness: float = field(default=1.0, init=False)
    _next: float = field(default=0.0, init=False)

    async def turn(self) -> None:
        """Wait until the next request may go out."""
        now = time.monotonic()
        slot = max(now, self._next)
        self._next = slot + self.slowness / self.rate
        if slot > now:
            await asyncio.sleep(slot - now)

    def slow_down(self, retry_after: float | None) -> None:
        """Halve the rate and send nothing for a while.

        :param retry_after: seconds the service asked for, if it did.
        """
        self.slowness = min(self.slowness * 2, 64.0)
        pause = retry_after if retry_after is not None else self.slowness * random.uniform(0.5, 1.0)  # noqa: S311
        self._next = max(self._next, time.monotonic() + pause)

    def speed_up(self) -> None:
        """Return towards the full rate, a little for each answer."""
        self.slowness = max(1.0, self.slowness * 0.9)


class Watcher:
    """Waits for jobs through IMM, on one event loop. Works from the first waiting job to the last.

    :param imm: the client to ask with.
    :param rate: requests a second at most.
    """

    def __init__(self, imm: IMMClient, *, rate: float = RATE) -> None:
        self._imm = imm
        self._entries: dict[_Key, _Entry] = {}
        self._groups: dict[Group, _GroupState] = {}
        self._wake = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._parallel = asyncio.Semaphore(_PARALLEL)
        self._pace = Pace(rate)
        self._failing_since: float | None = None

    async def look(self, job: OSSJob) -> JobStatus:
        """Ask for one job once, now. A job the service does not know yet counts as running.

        :raises OSSServiceError: no answer, or a refusal.
        """
        try:
            return status_of(await self._imm.get_task(job.imm_project, job.task_type, job.task_id))
        except OSSServiceError as error:
            if is_task_not_found(error):
                return JobStatus("running")
            raise

    async def wait(self, job: OSSJob, *, deadline: float, ceiling: float = CEILING) -> JobStatus:
        """Wait until a job has ended; looks at once.

        :param deadline: epoch seconds.
        :param ceiling: seconds between two looks at most.
        :return: a final status.
        :raises OSSJobTimeoutError: the job had not ended at the deadline.
        :raises OSSServiceError: the service refuses to tell; the message names what is missing.
        """
        entry = self._add(job, ceiling)
        try:
            return await asyncio.wait_for(asyncio.shield(entry.future), max(0.0, deadline - time.time()))
        except TimeoutError:
            pass
        finally:
            self._drop(entry)
        with contextlib.suppress(OSSServiceError):
            status = await self.look(job)
            if status.final:
                return status
        raise timeout_error(job)

    def _add(self, job: OSSJob, ceiling: float) -> _Entry:
        new = _Entry(job, ceiling, future=asyncio.get_running_loop().create_future())
        entry = self._entries.setdefault(new.key, new)
        if entry is new:
            # A result that nobody is waiting for any more is no error.
            entry.future.add_done_callback(lambda done: done.cancelled() or done.exception())
        entry.waiters += 1
        entry.ceiling = min(entry.ceiling, ceiling)
        self._wake.set()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name="oss-async-watcher")
        return entry

    def _drop(self, entry: _Entry) -> None:
        entry.waiters -= 1
        if entry.waiters <= 0 and self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
            self._wake.set()

    async def _run(self) -> None:
        while self._entries:
            self._wake.clear()
            now = time.monotonic()
            due: dict[Group, list[_Entry]] = {}
            soonest = now + CEILING
            for entry in self._entries.values():
                if entry.future.done():
                    continue
                if entry.due <= now:
                    due.setdefault(entry.group, []).append(entry)
                else:
                    soonest = min(soonest, entry.due)
            if due:
                await asyncio.gather(*(self._look_at_group(group, entries) for group, entries in due.items()))
                await asyncio.sleep(TICK)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), soonest - now)
                await asyncio.sleep(0)

    async def _look_at_group(self, group: Group, due: list[_Entry]) -> None:
        state = self._groups.setdefault(group, _GroupState())
        try:
            if len(due) >= SWEEP_FROM and state.may_list:
                due = await self._sweep(group, due, state)
            results = await asyncio.gather(*(self._get(entry) for entry in due), return_exceptions=True)
            if failures := [result for result in results if isinstance(result, BaseException)]:
                raise failures[0]
        except OSSThrottledError as error:
            log.warning("IMM asks to slow down; looking at %d jobs later", len(self._entries))
            self._pace.slow_down(error.retry_after)
        except OSSUnavailableError as error:
            self._note_outage(error)
        except OSSServiceError as error:
            state.refusals += 1
            if state.refusals >= REFUSALS:
                self._give_up(group, error)
        except Exception as error:
            # A defect must reach those who wait, not leave them waiting for a task that has died.
            log.exception("Looking at jobs of IMM project %s failed", group.project)
            self._give_up(group, error)
        else:
            state.refusals = 0
        finally:
            # Whatever was not answered gets its turn again, later.
            now = time.monotonic()
            for entry in due:
                if entry.due <= now:
                    self._put_off(entry)

    async def _sweep(self, group: Group, due: list[_Entry], state: _GroupState) -> list[_Entry]:
        """Look at many jobs by listing tasks, newest first; return the due ones that were not met."""
        missing = {entry.job.task_id: entry for entry in due}
        start = min((_submitted(entry.job) for entry in due), default=datetime.now(UTC)) - _CLOCK_SLACK
        token: str | None = None
        pages = met = 0
        while missing:
            await self._pace.turn()
            try:
                tasks, token = await self._imm.list_tasks(
                    group.project,
                    task_types=[group.task_type],
                    start=start,
                    next_token=token,
                    newest_first=True,
                )
            except (OSSThrottledError, OSSUnavailableError):
                raise
            except OSSServiceError as error:
                log.warning("Jobs are asked for one by one, because ListTasks was refused: %s", error)
                state.may_list = False
                break
            self._answered()
            pages += 1
            for info in tasks:
                if (entry := self._entries.get((group, info.task_id))) is not None:
                    met += 1
                    missing.pop(info.task_id, None)
                    self._settle(entry, status_of(info))
            # Where others' tasks fill the pages, asking one by one is cheaper.
            if token is None or met < SWEEP_YIELD * pages:
                break
        return list(missing.values())

    async def _get(self, entry: _Entry) -> None:
        async with self._parallel:
            await self._pace.turn()
            if entry.future.done() or not entry.waiters:
                return
            job = entry.job
            try:
                info = await self._imm.get_task(job.imm_project, job.task_type, job.task_id)
            except (OSSThrottledError, OSSUnavailableError):
                raise
            except OSSServiceError as error:
                if error.status in (401, 403) or missing_resource(error) == "project":
                    raise
                self._answered()
                if is_task_not_found(error):
                    self._miss(entry)
                else:
                    self._refuse(entry, error)
            else:
                self._answered()
                self._settle(entry, status_of(info))

    def _settle(self, entry: _Entry, status: JobStatus) -> None:
        entry.misses = entry.refusals = 0
        if status.final and not entry.future.done():
            entry.future.set_result(status)
        self._put_off(entry)

    def _miss(self, entry: _Entry) -> None:
        now = time.monotonic()
        entry.missed_since = now if not entry.misses else entry.missed_since
        entry.misses += 1
        self._put_off(entry)
        if entry.misses >= GRACE_ANSWERS and now - entry.missed_since >= GRACE and not entry.future.done():
            entry.future.set_result(JobStatus("lost"))

    def _refuse(self, entry: _Entry, error: OSSServiceError) -> None:
        entry.refusals += 1
        self._put_off(entry)
        if entry.refusals >= REFUSALS and not entry.future.done():
            entry.future.set_exception(error)

    def _put_off(self, entry: _Entry) -> None:
        pause = min(entry.interval, entry.ceiling)
        entry.due = time.monotonic() + pause * random.uniform(0.8, 1.0)  # noqa: S311
        entry.interval = pause * GROWTH

    def _answered(self) -> None:
        self._pace.speed_up()
        if self._failing_since is not None:
            log.info("IMM answers again after %.0f s", time.monotonic() - self._failing_since)
            self._failing_since = None

    def _note_outage(self, error: OSSUnavailableError) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("%d jobs wait on, although IMM cannot be asked: %s", len(self._entries), error)

    def _give_up(self, group: Group, error: Exception) -> None:
        for entry in list(self._entries.values()):
            if entry.group == group and not entry.future.done():
                # Each waiter raises its own copy: a shared one would collect all their tracebacks.
                entry.future.set_exception(copy.copy(error))


def status_of(info: TaskInfo) -> JobStatus:
    """Return what an answer of IMM means. Undocumented states count as running."""
    state = info.status.lower()
    if state == "succeeded":
        return JobStatus("succeeded", finished_at=info.end_time)
    if state == "failed":
        return JobStatus("failed", info.code, info.message, info.end_time)
    return JobStatus("running")


def _submitted(job: OSSJob) -> datetime:
    try:
        moment = datetime.fromisoformat(job.submitted_at)
    except ValueError:
        # A job known by its id alone: records are kept for 7 days.
        return datetime.now(UTC) - timedelta(days=7)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
