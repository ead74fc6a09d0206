"""The table of accepted jobs, kept in a file.

``jobs.jsonl`` in the data directory holds one line per change of a job, the last one counts;
``accepted.jsonl`` is an append-only log of accepted submissions.
"""

from __future__ import annotations

import bisect
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.process import ObjectURI, parse_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    def operation(self) -> str:
        """Such as ``video/convert``."""
        return self.process.partition("|")[0].partition(",")[0].partition("/pre")[0].partition("/sur")[0]

    @property
    def subjects(self) -> tuple[str, str]:
        """What the pattern of a fault is compared with: the operation and the source."""
        return self.operation, f"oss://{self.bucket}/{self.key}"

    def describe(self) -> dict[str, Any]:
        """Return the job with the names and values that the XCom of an operator has."""
        saveas = parse_process(self.process).saveas
        return {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "source": self.subjects[1],
            "target": str(ObjectURI(saveas.bucket or self.bucket, saveas.key)) if saveas else "",
            "process": self.process,
            "imm_project": self.project,
            "event_id": self.event_id,
            "request_id": self.request_id,
            "notify_topic": self.topic,
            "status": self.status.lower(),
            "code": self.code,
            "message": self.message,
            "outputs": list(self.outputs),
            "content": self.content,
            "submitted_at": iso(self.started),
            "finished_at": iso(self.ended),
        }


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
        #: Ids of the jobs that have not ended, by project.
        self._running: defaultdict[str, dict[str, None]] = defaultdict(dict)
        path = root / "jobs.jsonl"
        if path.exists():
            self._load(path)
        self._file = path.open("a")
        self._accepted = (root / "accepted.jsonl").open("a")

    def add(self, job: JobRecord) -> None:
        """Add an accepted job."""
        self._accepted.write(
            json.dumps(
                {
                    "time": iso(job.started),
                    "task_id": job.task_id,
                    "source": job.subjects[1],
                    "process": job.process,
                }
            )
            + "\n"
        )
        self._accepted.flush()
        self._index(job)
        self.save(job)

    def save(self, job: JobRecord) -> None:
        """Record the present state of a job."""
        self._index_end(job)
        self._file.write(json.dumps(asdict(job)) + "\n")
        self._file.flush()

    def get(self, task_id: str) -> JobRecord | None:
        """Return a job, ``None`` if it is not known or its record has expired."""
        job = self._jobs.get(task_id)
        return None if job is None or _expired(job) else job

    def forget(self, task_id: str) -> None:
        """Drop a job's record, as the service does after seven days."""
        job = self._jobs.pop(task_id, None)
        if job is not None:
            self._running[job.project].pop(task_id, None)

    def all(self) -> list[JobRecord]:
        """Return all jobs, in the order of acceptance."""
        return list(self._jobs.values())

    def projects(self) -> set[str]:
        """Return the projects that have or had a job."""
        return set(self._order)

    def ordered(
        self,
        project: str,
        sort: str,
        descending: bool,
        after: tuple[Any, str] | None,
        ended_before: int = 2**63,
    ) -> Iterator[tuple[tuple[Any, str], JobRecord]]:
        """Yield the jobs of a project with their places in the order.

        :param sort: ``TaskId``, ``StartTime`` or ``EndTime``; running jobs have no end and are first.
        :param after: begin after this place; a bare time sorts before every job of that time.
        :param ended_before: jobs that ended at this time or later, in nanoseconds since the epoch, are shown
            as still running.
        """
        places = self._orders(project)[sort]
        if sort == "EndTime":
            places = places[: bisect.bisect_left(places, (ended_before, ""))]
            if after is None or after[0] <= 0 or descending:
                jobs = (self._jobs[task_id] for task_id in self._unfinished(project, ended_before))
                places = sorted((0, job.task_id) for job in jobs) + places
        if descending:
            end = len(places) if after is None else bisect.bisect_left(places, after)
            chosen = (places[i] for i in range(end - 1, -1, -1))
        else:
            begin = 0 if after is None else bisect.bisect_right(places, after)
            chosen = (places[i] for i in range(begin, len(places)))
        for place in chosen:
            job = self.get(place[1])
            if job is not None:
                late = job.ended >= ended_before
                yield place, (replace(job, status="Running", ended=0, code="", message="") if late else job)

    def _unfinished(self, project: str, ended_before: int) -> list[str]:
        late = self._orders(project)["EndTime"]
        late = late[bisect.bisect_left(late, (ended_before, "")) :]
        return [task_id for _, task_id in late if task_id in self._jobs] + list(self._running[project])

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
        self._running[job.project][job.task_id] = None

    def _index_end(self, job: JobRecord) -> None:
        if job.ended:
            self._running[job.project].pop(job.task_id, None)
            bisect.insort(self._orders(job.project)["EndTime"], (job.ended, job.task_id))

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
            self._index_end(job)
        new = path.with_suffix(".new")
        new.write_text("".join(json.dumps(asdict(job)) + "\n" for job in kept))
        new.replace(path)


def _expired(job: JobRecord) -> bool:
    return time.time() - job.started / 1e9 > RETENTION
