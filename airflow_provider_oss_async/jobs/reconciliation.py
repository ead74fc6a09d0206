"""Finding the job of a request whose answer was lost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.imm import TaskInfo
from airflow_provider_oss_async.clients.oss import ObjectState, head, matching_keys
from airflow_provider_oss_async.clients.retry import pauses, persist
from airflow_provider_oss_async.exceptions import OSSServiceError
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.submission import Submission
    from airflow_provider_oss_async.jobs.waiting import Clients

#: Seconds around the request within which its task must have started, once the clocks are compared.
BEFORE, AFTER = 3.0, 180.0
#: Seconds for which an accepted task may still be missing from the list, and between two looks.
SETTLING, INTERVAL = 15.0, 3.0
#: Task id of a job that is known by its result alone.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Found:
    """What the search has shown.

    :param job: the job, if it was found.
    :param certain: with no job: whether there is none; otherwise it cannot be decided.
    :param reason: in words.
    """

    job: OSSJob | None
    certain: bool
    reason: str


async def find_job(
    clients: Clients, submission: Submission, intent_at: float, baseline: ObjectState | None = None
) -> Found:
    """Look for the job that a request may have started.

    Tasks of the same type that started around the request are compared with it. IMM returns the definition of
    media tasks only; for other tasks a freshly written target shows that the job ran.

    :param submission: the request; with the IMM project it ran in.
    :param intent_at: when it was sent, epoch seconds by the local clock.
    :param baseline: state of the target before; only looked at where there is no IMM project to ask.
    """
    try:
        if not submission.imm_project:
            return await _by_baseline(clients, submission, baseline)
        since = intent_at + await _clock_offset(clients, submission) - BEFORE

        async def search() -> Found:
            return await _compare(clients, submission, await _tasks(clients, submission, since), since)

        # Nothing is a finding only once an accepted task would have been listed; and when the request was
        # sent is not known, only that it was before now.
        async for last in pauses(time.time() + SETTLING, INTERVAL, INTERVAL):
            found = await persist(search)
            if found.job is not None or last:
                return found
    except OSSServiceError as error:
        return Found(None, certain=False, reason=f"the search failed: {error}")
    raise AssertionError("unreachable")  # pragma: no cover


async def _clock_offset(clients: Clients, submission: Submission) -> float:
    """Return by how many seconds the service's clock is ahead."""
    from alibabacloud_oss_v2.models import HeadObjectRequest

    await clients.ready()
    request = HeadObjectRequest(submission.source.bucket, submission.source.key)
    try:
        headers: Any = (await clients.oss.head_object(request)).headers
        return parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
    except Exception:
        # The source may be unreadable by now; the clocks of machines with time keeping agree well enough.
        return 0.0


async def _tasks(clients: Clients, submission: Submission, since: float) -> list[TaskInfo]:
    tasks: list[TaskInfo] = []
    token: str | None = None
    while True:
        page, token = await clients.imm.list_tasks(
            submission.imm_project,
            task_types=[submission.task_type],
            start=datetime.fromtimestamp(since, UTC),
            end=datetime.fromtimestamp(since, UTC) + timedelta(seconds=BEFORE + AFTER),
            definition=True,
            next_token=token,
        )
        tasks.extend(page)
        if token is None:
            return tasks


async def _compare(clients: Clients, submission: Submission, tasks: list[TaskInfo], since: float) -> Found:
    if not tasks:
        return Found(None, certain=True, reason=f"no {submission.task_type} task started around the request")
    source = str(submission.source)
    matching = [task for task in tasks if {source, submission.target} <= _uris(task.definition)]
    similar = [task for task in tasks if _may_be(task, source, submission.target)]
    if len(matching) == 1:
        return Found(
            _job(submission, matching[0]), certain=True, reason="source and target are those of the task"
        )
    if len(matching) > 1:
        ids = ", ".join(task.task_id for task in matching)
        return Found(None, certain=False, reason=f"several tasks have its source and target: {ids}")
    if not similar:
        return Found(
            None, certain=True, reason="no task that started around the request has its source and target"
        )
    return await _by_output(clients, submission, similar, since)


async def _by_output(clients: Clients, submission: Submission, tasks: list[TaskInfo], since: float) -> Found:
    """Tell by a freshly written target, where the service does not show what its tasks are about."""
    ids = ", ".join(task.task_id for task in tasks)
    expected = outputs_of(submission.process, submission.source)
    if expected is not None and len(tasks) == 1:
        fresh = matching_keys(
            clients.oss,
            expected.bucket,
            expected.prefix,
            expected.pattern,
            datetime.fromtimestamp(since, UTC),
        )
        async for _ in fresh:
            return Found(_job(submission, tasks[0]), certain=True, reason="the target was written by then")
    return Found(
        None, certain=False, reason=f"it may be one of the tasks {ids}, which do not show their source"
    )


async def _by_baseline(clients: Clients, submission: Submission, baseline: ObjectState | None) -> Found:
    """Tell by the target alone; the task's id stays unknown."""
    expected = outputs_of(submission.process, submission.source)
    if expected is not None and expected.key:
        await clients.ready()
        state = await head(clients.oss, expected.bucket, expected.key)
        if state is not None and state != baseline:
            written = datetime.fromtimestamp(state.modified, UTC).isoformat()
            info = TaskInfo(task_id=UNKNOWN, task_type="", status="", start_time=written)
            return Found(_job(submission, info), certain=True, reason="its target has been written")
    return Found(None, certain=False, reason="without an IMM project its tasks cannot be listed")


def _may_be(task: TaskInfo, source: str, target: str) -> bool:
    """Whether a task that does not show just this source and target could still be theirs."""
    uris = _uris(task.definition)
    if len(uris) < 2:
        return not uris or source in uris
    # The service may have completed the name, by an extension or its variables.
    stem = target.partition("{")[0] if "{" in target else target.rpartition(".")[0]
    return source in uris and any(uri.startswith(stem) for uri in uris - {source})


def _uris(definition: str) -> set[str]:
    """Return the objects in a task's definition; its form for tasks that OSS created is not documented."""
    found: set[str] = set()
    try:
        pending: list[Any] = [json.loads(definition)] if definition else []
    except ValueError:
        return found
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str) and value.startswith("oss://"):
            found.add(value)
    return found


def _job(submission: Submission, task: TaskInfo) -> OSSJob:
    return OSSJob(
        task_id=task.task_id,
        task_type=submission.task_type,
        source=str(submission.source),
        target=submission.target,
        process=submission.process.encode(),
        region=submission.region,
        imm_project=submission.imm_project,
        event_id=task.event_id,
        submitted_at=task.start_time,
    )
