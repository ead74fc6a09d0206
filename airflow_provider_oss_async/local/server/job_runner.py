"""Runs the accepted jobs: a limited number per IMM project at once, in the order of acceptance.

A job that was not finished when the server stopped starts again with the next server.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.processing.output_keys import output_of
from airflow_provider_oss_async.local.processing.result import JobFailed, Produced
from airflow_provider_oss_async.local.processing.wrong_output import change, first_clip
from airflow_provider_oss_async.local.server.behaviour import Behaviour
from airflow_provider_oss_async.local.server.faults import OUTPUT_KINDS
from airflow_provider_oss_async.process import ObjectURI, Specification, parse_process, read_specification

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.server.faults import Fault, Faults
    from airflow_provider_oss_async.local.server.job_table import JobRecord, JobTable
    from airflow_provider_oss_async.local.server.store import Store, StoredObject

log = logging.getLogger(__name__)

#: Does the work of one job: specification, source, merged objects by key, an empty directory for the results.
Processor = Callable[[Specification, Path, Mapping[str, Path], Path], Produced]
#: Operators that a project runs at once, unless it is told otherwise: IMM's default.
ENGINE_CONCURRENCY = 100
#: Seconds that a job may be queued. IMM says "typically tens of minutes".
QUEUE_SECONDS = 1800.0


class Engine:
    """The slots of one IMM project.

    :param concurrency: jobs that run at once, 1 or more.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._running = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def concurrency(self) -> int:
        """How many jobs run at once."""
        return self._concurrency

    def resize(self, concurrency: int) -> None:
        """Change the number of slots; running jobs are not stopped."""
        self._concurrency = concurrency
        self._admit()

    async def acquire(self, seconds: float) -> None:
        """Wait for a slot.

        :param seconds: how long at most.
        :raises TimeoutError: there was none for so long.
        """
        admission = asyncio.get_running_loop().create_future()
        self._queue.append(admission)
        self._admit()
        try:
            async with asyncio.timeout(seconds):
                await admission
        except BaseException:
            if admission.done() and not admission.cancelled():
                self.release()
            elif admission in self._queue:
                self._queue.remove(admission)
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._running < self._concurrency:
            admission = self._queue.popleft()
            if not admission.done():
                self._running += 1
                admission.set_result(None)


class JobRunner:
    """Runs the jobs of a table.

    :param workers: how many jobs are processed at once on this machine, whatever their projects allow.
    :param seconds: least and greatest run time of a job; it is chosen at random from this range.
    :param queue_seconds: how long a job may be queued before it fails.
    :param behaviour: returns the switches for what is not documented.
    :param written: called on the loop with the bucket and each object that a job has written.
    :param finished: called on the loop when a job has ended.
    """

    def __init__(
        self,
        table: JobTable,
        store: Store,
        faults: Faults,
        processor: Processor,
        *,
        workers: int,
        seconds: tuple[float, float],
        queue_seconds: float,
        behaviour: Callable[[], Behaviour] = Behaviour,
        written: Callable[[str, StoredObject], None],
        finished: Callable[[JobRecord], None],
    ) -> None:
        self._table, self._store, self._faults, self._processor = table, store, faults, processor
        self._seconds, self._written, self._finished = seconds, written, finished
        self.queue_seconds = queue_seconds
        self._behaviour = behaviour
        self.engines: defaultdict[str, Engine] = defaultdict(lambda: Engine(ENGINE_CONCURRENCY))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="local-job")
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the jobs that an earlier server did not finish."""
        for job in self._table.all():
            if job.status == "Running":
                self.enqueue(job)

    async def stop(self) -> None:
        """Stop. Jobs that have not ended are left as they are and start again with the next server."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def enqueue(self, job: JobRecord) -> None:
        """Add a job to the queue of its project."""
        seconds = random.uniform(*self._seconds)  # noqa: S311
        seconds += sum(fault.duration() for fault in self._faults.take("job_delay", *job.subjects))
        for fault in self._faults.take("job_forget", *job.subjects):
            asyncio.get_running_loop().call_later(fault.duration(), self._table.forget, job.task_id)
        failures = self._faults.take("job_fail", *job.subjects)
        wrong = [kind for kind in OUTPUT_KINDS if self._faults.take(kind, *job.subjects)]
        task = asyncio.create_task(self._run(job, seconds, failures, wrong))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: JobRecord, seconds: float, failures: list[Fault], wrong: list[str]) -> None:
        engine = self.engines[job.project]
        try:
            await engine.acquire(self.queue_seconds)
        except TimeoutError:
            behaviour = self._behaviour()
            self._end(
                job,
                JobFailed(
                    behaviour.queue_timeout_code,
                    behaviour.queue_timeout_message
                    or f"The task was queued for longer than {self.queue_seconds:g} seconds, because "
                    f"{engine.concurrency} tasks of the project were running.",
                ),
            )
            return
        try:
            await asyncio.sleep(seconds)
            for fault in failures:
                raise JobFailed(fault.code or "InternalError", fault.message or "A fault was configured.")
            loop = asyncio.get_running_loop()
            produced, written = await loop.run_in_executor(self._threads, self._process, job, wrong)
            job.outputs = [str(output) for output in written]
            for output, stored in written.items():
                self._written(output.bucket, stored)
            job.content = produced.content or ""
            self._end(job, None)
        except JobFailed as error:
            self._end(job, error)
        except Exception as error:
            log.exception("internal error of the stand-in in the job %s", job.task_id)
            text = f"Internal error of the stand-in: {type(error).__name__}: {error}"
            self._end(job, JobFailed("InternalError", text))
        finally:
            engine.release()

    def _end(self, job: JobRecord, error: JobFailed | None) -> None:
        job.status = "Failed" if error else "Succeeded"
        job.code, job.message = (error.code, error.message) if error else ("", "")
        job.ended = time.time_ns()
        self._table.save(job)
        self._finished(job)

    def _process(self, job: JobRecord, wrong: list[str]) -> tuple[Produced, dict[ObjectURI, StoredObject]]:
        process = parse_process(job.process)
        workdir = self._store.temporary()
        (workdir / "out").mkdir(parents=True)
        try:
            stored = self._store.find(job.bucket, job.key)
            source = self._fetch(job.bucket, job.key, workdir / "source")
            segments: Mapping[str, Path] = {
                segment.object: self._fetch(job.bucket, segment.object, workdir / f"segment{number}")
                for number, segment in enumerate(process.segments)
            }
            spec = read_specification(process)
            if "output_first_clip" in wrong:
                spec, source, segments = first_clip(spec, source, segments)
            produced = self._processor(spec, source, segments, workdir / "out")
            if self._stopping:  # the next server runs the job again
                raise JobFailed("InternalError", "The server stopped.")
            written = {}
            for file in change(wrong, produced.files):
                output = output_of(
                    process,
                    ObjectURI(job.bucket, job.key),
                    file,
                    uploaded=stored.modified if stored else 0,
                    created=job.started / 1e9,
                    frame_suffix=self._behaviour().frame_suffix,
                    index_digits=self._behaviour().index_digits,
                )
                if self._store.bucket(output.bucket) is None:
                    raise JobFailed(
                        "ResourceNotFound", f"The specified resource Bucket is not found. [{output.bucket}]"
                    )
                written[output] = self._store.save(output.bucket, output.key, file.path)
            return produced, written
        finally:
            shutil.rmtree(workdir, ignore_errors=True)

    def _fetch(self, bucket: str, key: str, to: Path) -> Path:
        # Some readers tell the format by the extension.
        suffix = re.sub(r"[^.A-Za-z0-9]", "", PurePosixPath(key).suffix)[:16]
        path = to.with_name(to.name + suffix)
        if not self._store.link(bucket, key, path):
            raise JobFailed(
                "ResourceNotFound", f"The specified resource Object is not found. [oss://{bucket}/{key}]"
            )
        return path
