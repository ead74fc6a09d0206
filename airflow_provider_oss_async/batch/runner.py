"""Runs a batch: from its ledger, which it replays, to its manifest."""

from __future__ import annotations

import asyncio
import functools
import heapq
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.in_flight_limit import MAX_POLL_INTERVAL, InFlightLimit
from airflow_provider_oss_async.batch.ledger import (
    LINGER,
    LedgerWriter,
    encode_entry,
    read_blocks,
    refused,
)
from airflow_provider_oss_async.batch.manifest import iso, write_manifest
from airflow_provider_oss_async.batch.plan import TURN, RequestBuilder, make_plan
from airflow_provider_oss_async.batch.sources import may_vanish
from airflow_provider_oss_async.batch.state import FINAL, VERSION, BatchState, Row
from airflow_provider_oss_async.batch.summary import (
    GENERAL_KINDS,
    batch_error,
    counted,
    may_be_tried_again,
    progress_text,
    summarize,
)
from airflow_provider_oss_async.clients.errors import (
    PASSING_KINDS,
    diagnose,
    missing_resource,
    refuses_credentials,
)
from airflow_provider_oss_async.clients.rate_limiter import AdaptiveRate
from airflow_provider_oss_async.clients.retry import jitter, retry, warn_rate_limited
from airflow_provider_oss_async.exceptions import (
    LedgerError,
    LedgerFencedError,
    OSSAsyncError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    error_text,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.job_errors import diagnosis_for
from airflow_provider_oss_async.jobs.output_check import MISMATCH, NOT_VERIFIED, check_job
from airflow_provider_oss_async.jobs.reconciliation import UNKNOWN_TASK_ID, reconcile_many
from airflow_provider_oss_async.jobs.submission import INTENT_MAX_AGE, submit_attempt
from airflow_provider_oss_async.jobs.waiting import settle_project
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow_provider_oss_async.batch.specification import BatchSpecification
    from airflow_provider_oss_async.jobs.poller import PollSubscription
    from airflow_provider_oss_async.jobs.services import Services

log = logging.getLogger(__name__)

#: Requests that submit at once. The session has 100 connections.
SUBMIT_CONCURRENCY = 32
#: Refusals in a row for one reason that concerns all objects, after which the batch stops.
MAX_REFUSALS = 20
#: Characters of a message that the ledger keeps.
MAX_MESSAGE = 300
#: Entries of the plan that go into one block.
CHUNK = 1000
#: Objects that are being submitted, at once: each is a task of the event loop, and a running job is none.
MAX_SUBMITTING = 1024
#: Ended jobs that are worked on before others get their turn.
_ENDED_TURN = 50
#: Times that a writer tries to take over a ledger that others write.
_TAKEOVERS = 20


@dataclass(frozen=True, slots=True)
class RunnerTiming:
    """Intervals that tests shorten, in seconds.

    :param linger: that an entry of the ledger waits for others.
    :param progress: between two lines of progress in the log; the ledger grows by an entry as often.
    :param retry_delay: before the second attempt of an object; each further one doubles it.
    :param ledger_retry: for which an append is repeated while there is no answer.
    :param submit_timeout: for one submission.
    :param stop: that submissions under way get when the batch is stopped, and then the last entries.
    """

    linger: float = LINGER
    progress: float = 60.0
    retry_delay: float = 30.0
    ledger_retry: float = 300.0
    submit_timeout: float = 60.0
    stop: float = 5.0


class BatchRunner:
    """One writer of one ledger.

    :param services: open clients.
    :param spec: the batch.
    :param timing: intervals.
    :param killed: asked before anything is submitted; after ``True`` nothing is.
    :param count: called with the name of a metric.
    """

    def __init__(
        self,
        services: Services,
        spec: BatchSpecification,
        *,
        timing: RunnerTiming | None = None,
        killed: Callable[[], bool] = lambda: False,
        count: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._services = services
        self._spec = spec
        self._timing = timing or RunnerTiming()
        self._killed = killed
        self._count = count
        self._ledger_uri = ObjectURI.parse(spec.ledger, name="ledger")
        self._builder = RequestBuilder(spec)
        self.state = BatchState()
        self._writer = LedgerWriter(
            services.oss,
            self._ledger_uri,
            linger=self._timing.linger,
            retry_seconds=self._timing.ledger_retry,
            failed=self._abort,
        )
        self._projects: dict[str, str] = {}
        self._rate = AdaptiveRate(spec.max_submits_per_second)
        self._slots = asyncio.Semaphore(SUBMIT_CONCURRENCY)
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self._stopping = False
        self._submitting = 0
        #: Objects whose intent is stored or about to be, and whose request is certainly not sent.
        self._intents: set[int] = set()
        #: Index of the first object that was not considered since the batch was begun or resumed.
        self._next = 0
        #: Objects that an earlier writer had submitted or was about to submit.
        self._resumed: set[int] = set()
        #: Objects whose turn has come again.
        self._queue: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        #: Objects that a task is working on.
        self._active: dict[int, asyncio.Task[None]] = {}
        #: Objects whose jobs are waited for.
        self._followed: dict[int, tuple[PollSubscription, float]] = {}
        #: How jobs have ended, as far as that is not settled yet.
        self._ended_jobs: deque[tuple[int, JobStatus | OSSAsyncError]] = deque()
        self._doubtful: list[tuple[int, asyncio.Future[None]]] = []
        self._reconciler: asyncio.Task[None] | None = None
        self._refusals = 0
        #: Objects that were refused once for a reason that may concern all objects.
        self._denied: set[int] = set()
        self._limit = InFlightLimit(spec.max_in_flight)
        self._begun = time.monotonic()
        self._ended_here = 0

    async def run(self) -> dict[str, Any]:
        """Run to the end, and return the summary.

        :raises OSSBatchFailedError: too many objects failed, or the batch had not ended at its deadline.
        :raises ProcessError: the plan is not allowed; nothing was submitted.
        :raises LedgerFencedError: another writer has taken over.
        :raises OSSAsyncError: the batch cannot go on; a retry goes on where it was.
        """
        try:
            summary = await self._run()
        finally:
            await self._stop()
        if not summary["ok"]:
            raise batch_error(summary)
        return summary

    async def prepare(self) -> None:
        """Make the plan and store it in the ledger, if there is none yet; submit nothing.

        :raises ProcessError: the plan is not allowed.
        :raises OSSAsyncError: the ledger cannot be used, or OSS gives no answer.
        """
        try:
            await self._open()
            if self.state.phase in ("", "planning"):
                await self._plan()
        finally:
            await self._stop()

    async def _run(self) -> dict[str, Any]:
        await self._open()
        if self.state.phase == "finished" and self._is_settled():
            return dict(self.state.detail["summary"])
        progress = asyncio.create_task(self._report_progress(), name="oss-async-batch-progress")
        try:
            if self.state.phase in ("", "planning"):
                await self._plan()
            elif self.state.phase == "finished" or self.state.detail["try"] < self._spec.try_number:
                uncertain = self._spec.on_uncertain_submit
                again = [
                    index for index, row in enumerate(self.state.rows) if may_be_tried_again(row, uncertain)
                ]
                await self._phase("running", {"try": self._spec.try_number, "again": again})
            await self._settle_concurrency()
            await self._work()
            return await self._finish()
        finally:
            progress.cancel()
            await asyncio.gather(progress, return_exceptions=True)

    def _is_settled(self) -> bool:
        detail = self.state.detail
        return bool(detail["summary"]["ok"]) or detail["try"] >= self._spec.try_number

    # The ledger

    async def _open(self) -> None:
        """Replay the ledger and take it over, or create it."""
        oss, state, writer = self._services.oss, self.state, self._writer
        for number in range(_TAKEOVERS):
            await asyncio.sleep(0.2 * number * jitter())
            seconds = self._services.timing.retry_seconds
            try:
                blocks = read_blocks(oss, self._ledger_uri, writer.position, writer.number, seconds=seconds)
                async for writer.position, writer.number, entries in blocks:
                    state.apply_all(entries)
            except OSSServiceError as error:
                raise refused(self._ledger_uri, error) from None
            entries = [["o", writer.writer, round(time.time(), 3)]]
            if writer.number == 0:
                # What was made before the ledger says nothing about the right to write there.
                entries.insert(0, self._header())
            elif state.header.get("fingerprint") != self._spec.request_fingerprint:
                advice = "Clear the task to start anew, or restore the arguments to go on."
                raise LedgerError(
                    error_text(
                        "Nothing was submitted: the arguments of the batch have changed since its ledger was "
                        "begun",
                        advice,
                        ledger=self._ledger_uri,
                    ),
                    advice=advice,
                    code="Changed",
                )
            try:
                await writer.append([encode_entry(entry) for entry in entries])
            except LedgerFencedError:
                continue
            state.apply_all(entries)
            if writer.number > 1:
                log.info(
                    "Resuming the batch: %d objects, %s; ledger %s",
                    len(state.rows),
                    counted(state.counts()) or "no plan yet",
                    self._ledger_uri,
                )
            return
        raise LedgerFencedError(
            error_text(
                "The ledger could not be taken over: others write it all the time", ledger=self._ledger_uri
            )
        )

    def _header(self) -> Any:
        return {
            "oss_async_ledger": VERSION,
            "fingerprint": self._spec.request_fingerprint,
            "created": round(time.time(), 2),
            "bucket": self._spec.bucket,
        }

    async def _record(self, *entries: Any) -> None:
        """Store entries, and only then apply them."""
        await self._writer.record(*entries)
        self.state.apply_all(entries)

    def _post(self, *entries: Any) -> None:
        """Apply entries now; they are stored with the next block."""
        self._writer.post(*entries)
        self.state.apply_all(entries)

    async def _phase(self, phase: str, detail: dict[str, Any]) -> None:
        await self._record(["p", phase, round(time.time(), 3), detail])

    def _now(self) -> float:
        return round(time.time() - self.state.created, 2)

    # The plan

    async def _plan(self) -> None:
        if not self._spec.sources:
            raise LedgerError(
                error_text(
                    "The plan of the batch is not in its ledger any more",
                    "Clear the task to start anew.",
                    ledger=self._ledger_uri,
                )
            )
        plan = await make_plan(self._services, self._spec)
        for warning in plan.warnings:
            log.warning("%s", warning)
        if plan.rows:
            # Before anything is paid, and before the plan is stored.
            await self._project(self._source(plan.rows[0]).bucket)
        chunk: list[Any] = [["p", "planning", round(time.time(), 3)]]
        for entry in plan.entries():
            chunk.append(entry)
            if len(chunk) >= CHUNK:
                await self._writer.record(*chunk)
                chunk = []
        begun = ["p", "running", round(time.time(), 3), {"try": self._spec.try_number, **plan.summary()}]
        await self._writer.record(*chunk, begun)
        self.state.rows, self.state.set_aside = plan.rows, plan.set_aside
        self.state.apply(begun)
        log.info(
            "Planned: %d objects found, %d to submit (%d bytes), set aside: %s; ledger %s",
            plan.found,
            len(plan.rows),
            plan.size,
            counted(Counter(reason for _, reason in plan.set_aside)) or "none",
            self._ledger_uri,
        )

    def _source(self, row: Row) -> ObjectURI:
        bucket = self.state.header.get("bucket") or self._spec.bucket
        return ObjectURI.parse(row.source, default_bucket=bucket)

    async def _project(self, bucket: str) -> str:
        """Return the IMM project of a bucket."""
        if bucket not in self._projects:
            self._projects[bucket] = await settle_project(self._services, bucket, self._spec.imm_project)
        return self._projects[bucket]

    async def _settle_concurrency(self) -> None:
        if not self.state.rows:
            return
        project = await self._project(self._source(self.state.rows[0]).bucket)
        try:
            self._limit.engine_concurrency = await retry(
                lambda: self._services.imm.get_engine_concurrency(project),
                seconds=self._services.timing.retry_seconds,
                backoff=self._services.timing.call_backoff,
            )
        except OSSServiceError as error:
            log.info("The concurrency of IMM project %s is not known: %s", project, error)

    # The work

    async def _work(self) -> None:
        """Work on all objects until each has ended, the deadline has passed, or the batch cannot go on."""
        doubtful: list[int] = []
        if any(row.attempt for row in self.state.rows):
            for index, row in enumerate(self.state.rows):
                if index % 5000 == 0:
                    await asyncio.sleep(0)
                if row.state in ("t", "i"):
                    self._resumed.add(index)
                if row.state == "t":
                    await self._follow(index)
                elif row.state == "i":
                    doubtful.append(index)
        if doubtful:
            log.info("Reconciling %d submissions whose answer is not known", len(doubtful))
            for index in doubtful:
                self._start(index, self._settle_doubt(index))
        upcoming = self._take()
        while upcoming is not None or self._later or self._in_flight:
            if self._error is not None:
                raise self._error
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                self._queue.append(heapq.heappop(self._later)[1])
            upcoming = self._take() if upcoming is None else upcoming
            if self._killed():
                raise OSSAsyncError(
                    "Nothing more is submitted: the task was killed. A retry goes on where it was."
                )
            for _ in range(min(len(self._ended_jobs), _ENDED_TURN)):
                await self._settle_ended(*self._ended_jobs.popleft())
            if self._deadline_passed and not self._in_flight:
                break
            room = 0 if self._deadline_passed else self._limit.allowed(self._in_flight) - self._in_flight
            free = MAX_SUBMITTING - len(self._active)
            # Several at a time, so that this is not done for each object.
            room = min(room, free if free >= TURN else 0)
            for _ in range(min(room, TURN)):
                if upcoming is None:
                    break
                self._start(upcoming, self._submit_and_follow(upcoming))
                upcoming = self._take()
            if self._ended_jobs or (upcoming is not None and room > TURN):
                # So many are worked on at once; then others get their turn.
                await asyncio.sleep(0)
                continue
            self._changed.clear()
            pause = min(1.0, max(0.01, self._later[0][0] - now)) if self._later else 1.0
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass
        if self._error is not None:
            raise self._error

    def _take(self) -> int | None:
        """Return the next object to submit, ``None`` if there is none at the moment."""
        if self._queue:
            return self._queue.popleft()
        rows = self.state.rows
        while self._next < len(rows):
            self._next += 1
            index = self._next - 1
            if index not in self._resumed and rows[index].state in ("", "a"):
                return index
        return None

    @property
    def _in_flight(self) -> int:
        """Objects that are being submitted, or have a job that has not ended."""
        return len(self._active) + len(self._followed)

    @property
    def _deadline_passed(self) -> bool:
        return time.time() >= self._spec.deadline

    def _start(self, index: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="oss-async-batch-object")
        self._active[index] = task

        def ended(task: asyncio.Task[None]) -> None:
            # It may have been put back and started again.
            if self._active.get(index) is task:
                del self._active[index]
            self._changed.set()
            if not task.cancelled() and (error := task.exception()) is not None:
                self._abort(error)

        task.add_done_callback(ended)

    def _abort(self, error: BaseException) -> None:
        """End the batch with an error; the first one counts."""
        if self._error is None:
            self._error = error
        self._changed.set()

    async def _submit_and_follow(self, index: int) -> None:
        if await self._submit(index):
            await self._follow(index)

    async def _submit(self, index: int) -> bool:
        """Submit one object, and return whether it has a job now."""
        row = self.state.rows[index]
        source = self._source(row)
        request = self._builder.request(source, row.target, row.arguments, await self._project(source.bucket))
        await self._rate.acquire()
        self._intents.add(index)
        await self._record(["i", index, row.attempt + 1, self._now()])
        async with self._slots:
            await self._services.oss.prepare()
            while True:
                if self._stopping or self._killed() or self._error is not None or self._deadline_passed:
                    self._intents.discard(index)
                    self._post(["x", index])
                    return False
                # A process that was stopped in between may have been superseded: the ledger tells.
                if 0 <= time.time() - row.intent <= INTENT_MAX_AGE:
                    break
                await self._record(["i", index, row.attempt, self._now()])
            self._intents.discard(index)
            self._submitting += 1
            sent = time.monotonic()
            try:
                job = await submit_attempt(
                    self._services.oss, request, timeout=self._timing.submit_timeout, intent_at=row.intent
                )
            except OSSSubmitUncertainError as error:
                log.warning("%s Reconciling.", error)
            except OSSSubmitError as error:
                self._refused(index, error, sent)
                return False
            else:
                self._accepted(index, job)
                return True
            finally:
                self._submitting -= 1
        await self._settle_doubt(index)
        return False

    def _accepted(self, index: int, job: OSSJob) -> None:
        self._rate.speed_up()
        self._refusals = 0
        self._count("jobs_submitted")
        submitted = job.submitted if job.submitted is not None else time.time()
        self._post(["t", index, job.task_id, round(submitted - self.state.created, 2)])

    def _refused(self, index: int, error: OSSSubmitError, sent: float) -> None:
        """Settle an object for which there is no job."""
        diagnosis = diagnosis_for(error)
        throttled = isinstance(error, OSSSubmitRefusedError) and diagnosis.kind == "throttled"
        never_sent = isinstance(error, OSSSubmitNotSentError) and diagnosis.kind != "argument"
        if throttled or never_sent:
            # Nothing was accepted, and this passes: no attempt is used up.
            warn_rate_limited("Submissions are slowed down: %s", error)
            self._rate.slow_down(error.retry_after, sent)
            self._post(["x", index])
            self._put_back(index, self._timing.retry_delay / 4)
            return
        if diagnosis.kind == "missing" and error.code in ("NoSuchKey", "SymlinkTargetNotExist"):
            self._refusals = 0
            self._end(
                index, "g" if may_vanish(self._spec.sources) else "r", code=error.code, message=error.detail
            )
            return
        general = diagnosis.kind in GENERAL_KINDS
        self._refusals = self._refusals + 1 if general else 0
        if general and index not in self._denied:
            # It may be about all objects: then they are left as they are.
            self._denied.add(index)
            self._post(["x", index])
            self._put_back(index, self._timing.retry_delay)
        else:
            self._end(index, "r", code=error.code, message=error.detail or str(error))
        if self._refusals >= MAX_REFUSALS:
            advice = (
                error.advice or "Correct the connection or its rights; a retry goes on where the batch was."
            )
            self._abort(
                error.replace(
                    message=error_text(
                        f"The batch stops, because OSS refused {self._refusals} objects in a row: "
                        f"{error.detail}",
                        advice,
                        ledger=self._ledger_uri,
                        code=error.code,
                    )
                )
            )

    def _end(
        self,
        index: int,
        state: str,
        *,
        code: str = "",
        message: str = "",
        content: str | None = None,
        finished: float = 0.0,
    ) -> None:
        ended = round(finished - self.state.created, 2) if finished else self._now()
        entry: list[Any] = ["e", index, state, ended]
        if code or message or content is not None:
            entry += [code, message[:MAX_MESSAGE]]
        if content is not None:
            entry.append(content)
        self._post(entry)
        if state in FINAL:
            self._ended_here += 1

    def _put_back(self, index: int, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds * jitter(), index))
        self._changed.set()

    async def _follow(self, index: int) -> None:
        """Have the end of an object's job put into the queue of those that are settled."""
        row = self.state.rows[index]
        source = self._source(row)
        job = self._job(row, source, await self._project(source.bucket))
        begun = row.submitted or time.time()
        limit = min(begun + self._spec.object_timeout, begun + MAX_TIMEOUT)
        if row.budget or limit < time.time():
            limit = max(limit, min(time.time() + self._spec.object_timeout, begun + MAX_TIMEOUT))
        interval = self._limit.poll_interval(self._services.timing.min_poll_interval)
        following = self._services.poller.follow(
            job,
            functools.partial(self._note_end, index),
            deadline=min(limit, self._spec.deadline),
            min_interval=interval,
            max_interval=MAX_POLL_INTERVAL,
            # Not all at one moment, where they are polled one by one.
            first_poll=interval * jitter(),
        )
        self._followed[index] = following, limit

    def _note_end(self, index: int, outcome: JobStatus | OSSAsyncError) -> None:
        """Take what the poller tells; it is worked on where the log is that of this batch."""
        self._ended_jobs.append((index, outcome))
        self._changed.set()

    async def _settle_ended(self, index: int, outcome: JobStatus | OSSAsyncError) -> None:
        """Store how a job has ended, or what prevents that it is known."""
        following, limit = self._followed.pop(index)
        if isinstance(outcome, JobStatus):
            # What takes further requests is not awaited here.
            more = following.job.task_type == "DecodeBlindWatermark" or self._spec.verify_output
            if outcome.state == "succeeded" and more:
                self._start(index, self._ended(index, following.job, outcome))
            else:
                await self._ended(index, following.job, outcome)
        elif isinstance(outcome, OSSJobTimeoutError):
            if (
                limit < self._spec.deadline
                or (following.job.submitted or time.time()) + MAX_TIMEOUT <= time.time()
            ):
                self._end(index, "o", code="ObjectTimeout", message="The job had not ended in object_timeout")
        elif isinstance(outcome, OSSServiceError) and not (
            refuses_credentials(outcome) or missing_resource(outcome) == "project"
        ):
            self._end(index, "u", code=outcome.code, message=outcome.detail or str(outcome))
        else:
            raise outcome

    def _job(self, row: Row, source: ObjectURI, project: str) -> OSSJob:
        return OSSJob(
            task_id=row.task_id,
            task_type=self._builder.task_type,
            source=str(source),
            imm_project=project,
            submitted_at=iso(row.submitted),
        )

    async def _verified(self, row: Row, job: OSSJob) -> tuple[str, str, str]:
        """Return state, code and message of an object whose job has succeeded."""
        if not self._spec.verify_output or not self._builder.writes_object:
            return "s", "", ""
        request = self._builder.request(ObjectURI.parse(job.source), row.target, row.arguments)
        job = replace(job, process=request.process.encode())
        report = await check_job(self._services, job, self._spec.verify_output)
        if report.differences:
            self._count("outputs_mismatched")
            message = report.text
            warn_rate_limited("An output of the batch is not what was asked for: %s", message)
            return "s" if self._spec.if_output_differs == "warn" else "f", MISMATCH, message
        if report.reasons:
            message = "; ".join(report.reasons)
            warn_rate_limited("An output of the batch could not be verified: %s", message)
            return "s", NOT_VERIFIED, message
        return "s", "", ""

    async def _ended(self, index: int, job: OSSJob, status: JobStatus) -> None:
        row = self.state.rows[index]
        finished = _epoch(status.finished_at)
        if status.state == "succeeded":
            self._limit.note_duration((finished or time.time()) - row.submitted)
            content = None
            if job.task_type == "DecodeBlindWatermark":
                try:
                    content = await retry(
                        lambda: self._services.imm.get_watermark(job.imm_project, job.task_id),
                        seconds=self._services.timing.retry_seconds,
                    )
                except OSSServiceError as error:
                    self._end(index, "u", code=error.code, message=error.detail or str(error))
                    return
            state, code, text = await self._verified(row, job)
            self._end(index, state, code=code, message=text, content=content, finished=finished)
            return
        self._count("jobs_failed")
        if status.state == "lost":
            self._end(index, "l", code="JobLost", message="IMM does not know the job any more")
            return
        kind = diagnose("job", status.code, status.detail).kind
        if kind == "queue_timeout":
            self._limit.note_queue_timeout()
        if kind in PASSING_KINDS and row.attempt - row.budget < self._spec.attempts:
            self._end(index, "a", code=status.code, message=status.detail, finished=finished)
            self._put_back(index, self._timing.retry_delay * 2 ** (row.attempt - row.budget - 1))
        else:
            self._end(index, "f", code=status.code, message=status.detail, finished=finished)

    # Doubt

    async def _settle_doubt(self, index: int) -> None:
        """Find out whether a request has started a job, together with all others in doubt; then go on."""
        if self._stopping:
            # The next try reconciles it; here nobody would any more.
            return
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._doubtful.append((index, settled))
        if self._reconciler is None or self._reconciler.done():
            self._reconciler = asyncio.create_task(self._reconcile(), name="oss-async-batch-reconciler")
            self._reconciler.add_done_callback(self._reconciled)
        await settled
        if self.state.rows[index].state == "t":
            await self._follow(index)

    def _reconciled(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._abort(error)

    async def _reconcile(self) -> None:
        while self._doubtful:
            # Those that come together are settled together.
            await asyncio.sleep(self._timing.linger)
            doubtful, self._doubtful = self._doubtful, []
            rows = self.state.rows
            requests = []
            for index, _ in doubtful:
                row, source = rows[index], self._source(rows[index])
                project = await self._project(source.bucket)
                requests.append(
                    (self._builder.request(source, row.target, row.arguments, project), row.intent)
                )
            known = {task_id for row in rows for task_id in (row.task_id, *row.earlier) if task_id}
            found = await reconcile_many(
                self._services, requests, known, deadline=min(self._spec.deadline, time.time() + 3600)
            )
            for (index, settled), result in zip(doubtful, found, strict=True):
                if result.job is not None:
                    self._count("jobs_reconciled")
                    log.info("Found job %s of %s: %s", result.job.task_id, rows[index].source, result.reason)
                    submitted = result.job.submitted or rows[index].intent
                    task_id = result.job.task_id
                    self._post(["t", index, task_id, round(submitted - self.state.created, 2)])
                    if task_id == UNKNOWN_TASK_ID:
                        self._end(index, "s")
                elif result.certain or self._spec.on_uncertain_submit == "resubmit":
                    log.info("Submitting %s again: %s", rows[index].source, result.reason)
                    self._post(["x", index])
                    self._put_back(index, 0.0)
                else:
                    self._end(index, "u", code="SubmitUncertain", message=result.reason)
                if not settled.done():
                    settled.set_result(None)

    # The end

    async def _finish(self) -> dict[str, Any]:
        """Write the manifest and the last entry, and return the summary."""
        await self._writer.flush()
        suffix = f"{self._spec.try_number}-{self._writer.writer}.{self._spec.manifest_format}"
        manifest = ObjectURI(
            self._ledger_uri.bucket, f"{self._ledger_uri.key.rpartition('/')[0]}/manifest-{suffix}"
        )
        await write_manifest(self._services, self.state, self._builder, manifest)
        summary = await summarize(self.state, self._spec, str(manifest))
        log.info("%s", self._progress_text)
        await self._phase("finished", {"try": self._spec.try_number, "summary": summary})
        return summary

    async def _report_progress(self) -> None:
        while True:
            await asyncio.sleep(self._timing.progress)
            if self.state.rows:
                log.info("%s", self._progress_text)
            try:
                self._writer.post(["h", self._now()])
            except LedgerError:
                return

    @property
    def _progress_text(self) -> str:
        return progress_text(self.state, self._ended_here, time.monotonic() - self._begun)

    async def _stop(self) -> None:
        """Let submissions under way end, and store what is known."""
        self._stopping = True
        for following, _ in self._followed.values():
            following.stop()
        until = time.monotonic() + self._timing.stop
        if not isinstance(self._error, LedgerError):
            while self._submitting and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        tasks: list[asyncio.Task[None]] = [*self._active.values()]
        if self._reconciler is not None:
            tasks.append(self._reconciler)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._intents and self._writer.error is None:
            self._writer.post(*(["x", index] for index in sorted(self._intents)))
        await self._writer.close(self._timing.stop)


def _epoch(text: str) -> float:
    """Return epoch seconds of a time of the service; 0 where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
