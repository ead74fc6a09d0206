"""The jobs: a table of what was accepted, kept in a file, and a bounded pool that does the work.

``jobs.jsonl`` in the data directory holds one line per change of a job, the last one counts;
``accepted.jsonl`` is an append-only log of accepted submissions. A job that was not finished when the server
died starts anew with the next server.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import logging
import random
import re
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.output_keys import output_of
from airflow_provider_oss_async.local.processing.result import JobFailed, Produced
from airflow_provider_oss_async.process import ObjectURI, Specification, parse_process, read_specification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.local.server.faults import Fault, Faults
    from airflow_provider_oss_async.local.server.store import Store

log = logging.getLogger(__name__)

#: The work: specification, source, merged objects by key, an empty directory to write to.
Processor = Callable[[Specification, Path, Mapping[str, Path], Path], Produced]
#: How long the service keeps the record of a job, in seconds from its start.
RETENTION = 7 * 24 * 3600


@dataclass(slots=True)
class JobRecord:
    """One accepted job.

    :param task_id: id as OSS answered it.
    :param task_type: IMM task type.
    :param project: IMM project the bucket was attached to.
    :param bucket: bucket of the source.
    :param key: key of the source.
    :param process: process string, a style already expanded.
    :param definition: the request as IMM's ``CreateMediaConvertTask`` would have it, JSON; empty for other
        types.
    :param topic: SMQ topic to notify; empty for none.
    :param started: nanoseconds since the epoch.
    :param ended: nanoseconds since the epoch; 0 while running.
    :param status: ``Running`` (also while queued), ``Succeeded`` or ``Failed``.
    :param content: decoded watermark.
    :param outputs: URIs of the written objects.
    """

    task_id: str
    task_type: str
    project: str
    event_id: str
    request_id: str
    bucket: str
    key: str
    process: str
    definition: str
    topic: str
    started: int
    ended: int = 0
    status: str = "Running"
    code: str = ""
    message: str = ""
    content: str = ""
    outputs: list[str] = field(default_factory=list)

    @property
    def subjects(self) -> tuple[str, str]:
        """What a fault can be aimed at: the operation and the source."""
        return self.process.partition("|")[0].partition(",")[0], f"oss://{self.bucket}/{self.key}"


def iso(nanoseconds: int) -> str:
    """Return a moment as IMM writes it: UTC, with nine digits of fraction; empty for 0."""
    if not nanoseconds:
        return ""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


class JobTable:
    """Every job record, by id and in the orders that ``ListTasks`` knows.

    :param root: the data directory.
    """

    def __init__(self, root: Path) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._order: dict[str, dict[str, list[tuple[Any, str]]]] = {}
        path = root / "jobs.jsonl"
        if path.exists():
            self._load(path)
        self._file = path.open("a")
        self._accepted = (root / "accepted.jsonl").open("a")

    def add(self, job: JobRecord) -> None:
        """Take in an accepted job."""
        self._accepted.write(
            json.dumps(
                {
                    "time": iso(job.started),
                    "task_id": job.task_id,
                    "source": f"oss://{job.bucket}/{job.key}",
                    "process": job.process,
                },
                ensure_ascii=False,
            )
            + "\n"
        )
        self._accepted.flush()
        self._index(job)
        self.save(job)

    def save(self, job: JobRecord) -> None:
        """Write down a job's present state."""
        if job.ended:
            bisect.insort(self._orders(job.project)["EndTime"], (job.ended, job.task_id))
        self._file.write(json.dumps(asdict(job), ensure_ascii=False) + "\n")
        self._file.flush()

    def get(self, task_id: str) -> JobRecord | None:
        """Return a job, ``None`` if it is not known or its record has expired."""
        job = self._jobs.get(task_id)
        return None if job is None or _expired(job) else job

    def forget(self, task_id: str) -> None:
        """Drop a job's record, as the service does after seven days."""
        self._jobs.pop(task_id, None)

    def all(self) -> list[JobRecord]:
        """Return all jobs, in the order of acceptance."""
        return list(self._jobs.values())

    def projects(self) -> set[str]:
        """Return the projects that have or had a job."""
        return set(self._order)

    def ordered(
        self, project: str, sort: str, descending: bool, after: tuple[Any, str] | None
    ) -> Iterator[tuple[tuple[Any, str], JobRecord]]:
        """Yield the jobs of a project with their places in the order.

        :param sort: ``TaskId``, ``StartTime`` or ``EndTime``; running jobs have no end and come first.
        :param after: begin behind this place; a bare time sorts before every job of that time.
        """
        places = self._orders(project)[sort]
        if sort == "EndTime":
            places = [(0, j.task_id) for j in self.all() if j.project == project and not j.ended] + places
        if descending:
            end = len(places) if after is None else bisect.bisect_left(places, after)
            chosen = (places[i] for i in range(end - 1, -1, -1))
        else:
            begin = 0 if after is None else bisect.bisect_right(places, after)
            chosen = (places[i] for i in range(begin, len(places)))
        for place in chosen:
            job = self.get(place[1])
            if job is not None:
                yield place, job

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._accepted.close()

    def _orders(self, project: str) -> dict[str, list[tuple[Any, str]]]:
        return self._order.setdefault(project, {"TaskId": [], "StartTime": [], "EndTime": []})

    def _index(self, job: JobRecord) -> None:
        self._jobs[job.task_id] = job
        orders = self._orders(job.project)
        bisect.insort(orders["TaskId"], (job.task_id, job.task_id))
        bisect.insort(orders["StartTime"], (job.started, job.task_id))

    def _load(self, path: Path) -> None:
        last: dict[str, JobRecord] = {}
        for line in path.read_text().splitlines():
            try:
                job = JobRecord(**json.loads(line))
            except (ValueError, TypeError):
                continue  # the line a killed server was writing
            last[job.task_id] = job
        kept = [job for job in last.values() if not _expired(job)]
        for job in kept:
            self._index(job)
            if job.ended:
                bisect.insort(self._orders(job.project)["EndTime"], (job.ended, job.task_id))
        new = path.with_suffix(".new")
        new.write_text("".join(json.dumps(asdict(job), ensure_ascii=False) + "\n" for job in kept))
        new.replace(path)


class JobRunner:
    """Runs the jobs of a table, a few at a time.

    :param workers: how many jobs are worked on at once.
    :param seconds: least time from acceptance to end; a number, or a range to choose from at random.
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
        finished: Callable[[JobRecord], None],
    ) -> None:
        self._table, self._store, self._faults, self._processor = table, store, faults, processor
        self._seconds, self._finished = seconds, finished
        self._queue: asyncio.Queue[tuple[JobRecord, list[Fault]]] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="local-job")
        self._workers = workers
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers, and again what an earlier server did not finish."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        for job in self._table.all():
            if job.status == "Running":
                self.enqueue(job)

    async def stop(self) -> None:
        """Stop. A job at work is left as it is and starts anew with the next server."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def enqueue(self, job: JobRecord) -> None:
        """Line a job up."""
        delay = random.uniform(*self._seconds)  # noqa: S311
        delay += sum(fault.duration() for fault in self._faults.take("job_delay", *job.subjects))
        for fault in self._faults.take("job_forget", *job.subjects):
            asyncio.get_running_loop().call_later(fault.duration(), self._table.forget, job.task_id)
        failures = self._faults.take("job_fail", *job.subjects)
        asyncio.get_running_loop().call_later(delay, self._queue.put_nowait, (job, failures))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job, failures = await self._queue.get()
            try:
                for fault in failures:
                    raise JobFailed(
                        fault.code or "InternalError", fault.message or "The job was asked to fail."
                    )
                produced, job.outputs = await loop.run_in_executor(self._threads, self._process, job)
                job.content, job.status = produced.content or "", "Succeeded"
            except JobFailed as error:
                job.status, job.code, job.message = "Failed", error.code, error.message
            except Exception as error:
                log.exception("the job %s broke the stand-in", job.task_id)
                job.status, job.code = "Failed", "InternalError"
                job.message = f"The stand-in broke: {type(error).__name__}: {error}"
            job.ended = time.time_ns()
            self._table.save(job)
            self._finished(job)

    def _process(self, job: JobRecord) -> tuple[Produced, list[str]]:
        process = parse_process(job.process)
        workdir = self._store.temporary()
        (workdir / "out").mkdir(parents=True)
        try:
            stored = self._store.find(job.bucket, job.key)
            source = self._fetch(job.bucket, job.key, workdir / "source")
            segments = {
                segment.object: self._fetch(job.bucket, segment.object, workdir / f"segment{number}")
                for number, segment in enumerate(process.segments)
            }
            produced = self._processor(read_specification(process), source, segments, workdir / "out")
            if self._stopping:  # nobody waits for this thread any more, and the next server does the job anew
                raise JobFailed("InternalError", "The server stopped.")
            outputs = []
            for file in produced.files:
                output = output_of(
                    process,
                    ObjectURI(job.bucket, job.key),
                    file,
                    uploaded=stored.modified if stored else 0,
                    created=job.started / 1e9,
                )
                if self._store.bucket(output.bucket) is None:
                    raise JobFailed(
                        "ResourceNotFound", f"The specified resource Bucket is not found. [{output.bucket}]"
                    )
                self._store.save(output.bucket, output.key, file.path)
                outputs.append(str(output))
            return produced, list(dict.fromkeys(outputs))
        finally:
            shutil.rmtree(workdir, ignore_errors=True)

    def _fetch(self, bucket: str, key: str, to: Path) -> Path:
        # The extension tells some readers the format.
        suffix = re.sub(r"[^.A-Za-z0-9]", "", PurePosixPath(key).suffix)[:16]
        path = to.with_name(to.name + suffix)
        if not self._store.link(bucket, key, path):
            raise JobFailed(
                "ResourceNotFound", f"The specified resource Object is not found. [oss://{bucket}/{key}]"
            )
        return path


def _expired(job: JobRecord) -> bool:
    return time.time() - job.started / 1e9 > RETENTION
