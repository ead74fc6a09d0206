"""Reconciling a submission whose answer was lost: whether a job exists, and which one it is."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.imm import TaskInfo
from airflow_provider_oss_async.clients.retry import Backoff, backoff_attempts, retry
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSServiceError
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from airflow_provider_oss_async.clients.oss import ObjectState
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.submission import JobRequest

#: Seconds around the request within which its task must have started, once the clocks are compared.
BEFORE, AFTER = 3.0, 180.0
#: Pages of 100 tasks that are read at most: no project starts more in that time.
MAX_PAGES = 200
#: Task id of a job that is known by its result alone.
UNKNOWN_TASK_ID = "unknown"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What reconciling has shown.

    :param job: the job, if it was found.
    :param certain: with no job: whether there is none; otherwise it cannot be decided.
    :param reason: in words.
    """

    job: OSSJob | None
    certain: bool
    reason: str


async def reconcile(
    services: Services,
    request: JobRequest,
    intent_at: float,
    baseline: ObjectState | None = None,
    *,
    before: float = BEFORE,
    settle_clock: bool = True,
) -> Reconciled:
    """Find the job that a request may have started.

    Tasks of the same type that started around the request are compared with it. IMM returns the definition of
    media tasks only; for other tasks a freshly written target shows that the job ran.

    :param request: the request; with the IMM project it ran in.
    :param intent_at: when it was sent, epoch seconds by the local clock.
    :param baseline: state of the target before; only used where there is no IMM project.
    :param before: seconds before ``intent_at`` at which its task may have started; default 3.
    :param settle_clock: whether to compare the clocks of this machine and of the service.
    """
    try:
        if not request.imm_project:
            return await _by_baseline(services, request, baseline)
        offset = await _clock_offset(services, request) if settle_clock else 0.0
        since = intent_at + offset - before

        async def search() -> Reconciled:
            tasks = await _tasks(services, request, since, before + AFTER)
            return await _compare(services, request, tasks, since)

        # That nothing is listed proves something only once an accepted task must be listed; and when the
        # request was sent is not known, only that it was before now.
        timing = services.timing
        interval = min(3.0, max(timing.min_poll_interval, timing.task_listing_delay / 5))
        until = time.time() + timing.task_listing_delay
        async for last in backoff_attempts(until, Backoff(interval, interval)):
            found = await retry(search, seconds=timing.retry_seconds, backoff=timing.call_backoff)
            if found.job is not None or last:
                return found
    except OSSAsyncError as error:
        return Reconciled(None, certain=False, reason=f"the search failed: {error}")
    raise AssertionError("unreachable")  # pragma: no cover


async def reconcile_many(
    services: Services,
    requests: Sequence[tuple[JobRequest, float]],
    known: Container[str],
    *,
    deadline: float,
) -> list[Reconciled]:
    """Find the jobs that many requests may have started, all of them from the same listings.

    Where the service does not show the source of its tasks, those that are nobody's are waited for: once all
    have succeeded, a request whose target is not freshly written has started none of them. The id of a job
    that is known by its target alone is :data:`UNKNOWN_TASK_ID`; it has succeeded.

    :param requests: the requests, with the IMM project they ran in, and when each was sent: epoch seconds by
        the local clock.
    :param known: ids of tasks that belong to other requests.
    :param deadline: until when tasks are waited for, in epoch seconds.
    :return: in the order of the requests.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (request, _) in enumerate(requests):
        groups[request.imm_project, request.task_type].append(number)
    results: dict[int, Reconciled] = {}
    for numbers in groups.values():
        group = [requests[number] for number in numbers]
        try:
            found = await _reconcile_group(services, group, known, deadline)
        except OSSAsyncError as error:
            found = [Reconciled(None, certain=False, reason=f"the search failed: {error}")] * len(group)
        results.update(zip(numbers, found, strict=True))
    return [results[number] for number in range(len(requests))]


async def _reconcile_group(
    services: Services, requests: Sequence[tuple[JobRequest, float]], known: Container[str], deadline: float
) -> list[Reconciled]:
    first = requests[0][0]
    if not first.imm_project:
        return [await _by_baseline(services, request, None) for request, _ in requests]
    offset = await _clock_offset(services, first)
    moments = [intent_at for _, intent_at in requests]
    since = min(moments) + offset - BEFORE
    seconds = max(moments) - min(moments) + BEFORE + AFTER
    timing = services.timing
    results: list[Reconciled | None] = [None] * len(requests)
    tasks: list[TaskInfo] = []
    for pause in (0.0, timing.task_listing_delay):
        await asyncio.sleep(pause)
        listed = await retry(
            lambda: _tasks(services, first, since, seconds),
            seconds=timing.retry_seconds,
            backoff=timing.call_backoff,
        )
        tasks = [task for task in listed if task.task_id not in known]
        by_uri: dict[str, list[TaskInfo]] = defaultdict(list)
        for task in tasks:
            for uri in _uris(task.definition):
                by_uri[uri].append(task)
        for number, (request, _) in enumerate(requests):
            matching = [
                task for task in by_uri[str(request.source)] if request.target in _uris(task.definition)
            ]
            if len(matching) == 1:
                job = _job(request, matching[0])
                results[number] = Reconciled(
                    job, certain=True, reason="source and target are those of the task"
                )
            elif matching:
                ids = ", ".join(task.task_id for task in matching)
                reason = f"several tasks have its source and target: {ids}"
                results[number] = Reconciled(None, certain=False, reason=reason)
        if all(result is not None for result in results):
            break
    found_ids = {result.job.task_id for result in results if result is not None and result.job is not None}
    silent = [task for task in tasks if len(_uris(task.definition)) < 2 and task.task_id not in found_ids]
    failed = await _failed_among(services, first, silent, deadline) if None in results else 0
    for number, (request, _) in enumerate(requests):
        if results[number] is not None:
            continue
        similar = [
            task
            for task in by_uri[str(request.source)]
            if task.task_id not in found_ids and _may_be(task, str(request.source), request.target)
        ]
        if similar:
            ids = ", ".join(task.task_id for task in similar)
            results[number] = Reconciled(None, certain=False, reason=f"it may be one of the tasks {ids}")
        elif not silent:
            results[number] = Reconciled(
                None, certain=True, reason="no task that started has its source and target"
            )
        else:
            results[number] = await _by_fresh_output(services, request, silent, since, failed)
    return [result for result in results if result is not None]


async def _failed_among(
    services: Services, request: JobRequest, tasks: Sequence[TaskInfo], deadline: float
) -> int | None:
    """Wait until tasks have ended, and return how many have not succeeded; ``None`` if some did not end."""

    async def state(task: TaskInfo) -> str:
        job = _job(request, task)
        return (await services.poller.wait(job, deadline=deadline)).state

    try:
        states = await asyncio.gather(*map(state, tasks))
    except OSSAsyncError:
        return None
    return sum(1 for state in states if state != "succeeded")


async def _by_fresh_output(
    services: Services, request: JobRequest, tasks: Sequence[TaskInfo], since: float, failed: int | None
) -> Reconciled:
    """Decide by a freshly written target, once all tasks that do not show their source have ended."""
    expected = outputs_of(request.process, request.source)
    if expected is not None and failed is not None:
        fresh = services.oss.matching_keys(
            expected.bucket, expected.prefix, expected.pattern, datetime.fromtimestamp(since, UTC)
        )
        async with aclosing(fresh) as keys:  # type: ignore[type-var]
            async for _ in keys:
                task = tasks[0] if len(tasks) == 1 else None
                info = task or TaskInfo(UNKNOWN_TASK_ID, request.task_type, "Succeeded")
                return Reconciled(_job(request, info), certain=True, reason="the target was written by then")
        if not failed:
            return Reconciled(
                None, certain=True, reason="all tasks have succeeded, and its target is not there"
            )
    return Reconciled(None, certain=False, reason="it may be one of the tasks that do not show their source")


async def _clock_offset(services: Services, request: JobRequest) -> float:
    """Return by how many seconds the service's clock is ahead."""
    try:
        date = await services.oss.service_time(request.source.bucket, request.source.key)
        return parsedate_to_datetime(date).timestamp() - time.time()
    except Exception:
        # The source may be unreadable by now; the clocks of machines with time keeping agree well enough.
        return 0.0


async def _tasks(services: Services, request: JobRequest, since: float, seconds: float) -> list[TaskInfo]:
    tasks: list[TaskInfo] = []
    token: str | None = None
    seen: set[str] = set()
    while True:
        page, token = await services.poller.limiter.run(
            lambda token=token: services.imm.list_tasks(  # type: ignore[misc]
                request.imm_project,
                task_types=[request.task_type],
                start=datetime.fromtimestamp(since, UTC),
                end=datetime.fromtimestamp(since, UTC) + timedelta(seconds=seconds),
                definition=True,
                next_token=token,
            )
        )
        tasks.extend(page)
        if token is None:
            return tasks
        if token in seen or len(seen) >= MAX_PAGES:
            # No outage: reading it once more would only repeat it.
            raise OSSServiceError(
                "IMM ListTasks does not end: it repeats a page, or has too many of them",
                service="IMM",
                action="ListTasks",
            )
        seen.add(token)


async def _compare(
    services: Services, request: JobRequest, tasks: list[TaskInfo], since: float
) -> Reconciled:
    if not tasks:
        return Reconciled(
            None, certain=True, reason=f"no {request.task_type} task started around the request"
        )
    source = str(request.source)
    matching = [task for task in tasks if {source, request.target} <= _uris(task.definition)]
    similar = [task for task in tasks if _may_be(task, source, request.target)]
    if len(matching) == 1:
        return Reconciled(
            _job(request, matching[0]), certain=True, reason="source and target are those of the task"
        )
    if len(matching) > 1:
        ids = ", ".join(task.task_id for task in matching)
        return Reconciled(None, certain=False, reason=f"several tasks have its source and target: {ids}")
    if not similar:
        return Reconciled(
            None, certain=True, reason="no task that started around the request has its source and target"
        )
    return await _by_output(services, request, similar, since)


async def _by_output(
    services: Services, request: JobRequest, tasks: list[TaskInfo], since: float
) -> Reconciled:
    """Decide by a freshly written target, where the service does not show the source of its tasks."""
    ids = ", ".join(task.task_id for task in tasks)
    expected = outputs_of(request.process, request.source)
    if expected is not None and len(tasks) == 1:
        fresh = services.oss.matching_keys(
            expected.bucket,
            expected.prefix,
            expected.pattern,
            datetime.fromtimestamp(since, UTC),
        )
        async for _ in fresh:
            return Reconciled(_job(request, tasks[0]), certain=True, reason="the target was written by then")
    return Reconciled(
        None, certain=False, reason=f"it may be one of the tasks {ids}, which do not show their source"
    )


async def _by_baseline(services: Services, request: JobRequest, baseline: ObjectState | None) -> Reconciled:
    """Decide by the target alone; the task's id stays unknown."""
    expected = outputs_of(request.process, request.source)
    if expected is not None and expected.key:
        state = await services.oss.head(expected.bucket, expected.key)
        if state is not None and state != baseline:
            # 0 where the answer did not say when the object was written.
            written = datetime.fromtimestamp(state.modified, UTC).isoformat() if state.modified else ""
            info = TaskInfo(task_id=UNKNOWN_TASK_ID, task_type="", status="", start_time=written)
            return Reconciled(_job(request, info), certain=True, reason="its target has been written")
    return Reconciled(None, certain=False, reason="without an IMM project its tasks cannot be listed")


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
    except (ValueError, RecursionError):
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


def _job(request: JobRequest, task: TaskInfo) -> OSSJob:
    return OSSJob(
        task_id=task.task_id,
        task_type=request.task_type,
        source=str(request.source),
        target=request.target,
        process=request.process.encode(),
        region=request.region,
        imm_project=request.imm_project,
        event_id=task.event_id,
        submitted_at=task.start_time,
    )
