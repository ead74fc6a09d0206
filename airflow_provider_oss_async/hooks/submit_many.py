"""Submitting many jobs over one session, with bounded concurrency and an outcome for each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_oss_async.clients.rate_limiter import AdaptiveRate
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSServiceError,
    OSSSubmitRefusedError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.metrics import count
from airflow_provider_oss_async.jobs.job_errors import diagnosis_for
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.process import Process, Specification, Style

#: Submissions at once at most.
MAX_IN_FLIGHT = 1000


class SubmitOutcome(NamedTuple):
    """What became of one submission.

    :param source: as it was given.
    :param target: as it was given.
    :param job: the job; ``None`` if there is none, or it is not known.
    :param error: why there is none (:class:`~airflow_provider_oss_async.exceptions.OSSAsyncError`); after an
        :class:`~airflow_provider_oss_async.exceptions.OSSSubmitUncertainError` there may be a job.
    """

    source: str
    target: str | None
    job: OSSJob | None = None
    error: OSSAsyncError | None = None


async def submit_each(
    services: Services,
    settings: ConnectionSettings,
    jobs: Iterable[tuple[str, str | Process | Specification | Style, str | None]],
    *,
    max_in_flight: int,
    max_submits_per_second: float,
) -> AsyncIterator[SubmitOutcome]:
    """Submit jobs, and yield their outcomes in the order in which they come.

    :param jobs: any number of source, process and target.
    :raises ProcessError: a limit is not allowed; nothing was sent.
    """
    problems = []
    if isinstance(max_in_flight, bool) or not 1 <= max_in_flight <= MAX_IN_FLIGHT:
        problems.append(f"max_in_flight={max_in_flight!r} is not allowed: expected 1 to {MAX_IN_FLIGHT}")
    if isinstance(max_submits_per_second, bool) or not 0 < max_submits_per_second <= 10_000:
        problems.append(
            f"max_submits_per_second={max_submits_per_second!r} is not allowed: expected above 0, up to 10000"
        )
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)
    rate = AdaptiveRate(max_submits_per_second)
    projects: dict[str, asyncio.Task[str]] = {}

    async def project_of(bucket: str) -> str:
        if settings.imm_project:
            return settings.imm_project
        try:
            return await services.imm.get_bucket_project(bucket)
        except OSSServiceError:
            # Only needed to wait for the jobs, which their caller may not be allowed to.
            return ""

    async def one(source: Any, process: Any, target: Any) -> SubmitOutcome:
        try:
            request = build_request(
                process,
                ObjectURI.parse(source, default_bucket=settings.bucket),
                None
                if target is None
                else ObjectURI.parse(target, name="target", default_bucket=settings.bucket, variables=True),
            )
            bucket = request.source.bucket
            if bucket not in projects:
                projects[bucket] = asyncio.create_task(project_of(bucket))
            project = await asyncio.shield(projects[bucket])
            sent = await rate.acquire()
            try:
                job = await submit(
                    services.oss,
                    replace(request, region=settings.region, imm_project=project),
                    backoff=services.timing.submit_backoff,
                )
            except OSSSubmitRefusedError as error:
                if diagnosis_for(error).kind == "throttled":
                    rate.slow_down(error.retry_after, sent)
                raise
        except OSSAsyncError as error:
            return SubmitOutcome(source, target, error=error)
        except Exception as error:
            # Whatever one of them holds, the others are submitted.
            failure = ProcessError(f"{source!r:.200} could not be submitted: {type(error).__name__}: {error}")
            return SubmitOutcome(source, target, error=failure)
        rate.speed_up()
        count("jobs_submitted")
        return SubmitOutcome(source, target, job=job)

    left = iter(jobs)
    running: set[asyncio.Task[SubmitOutcome]] = set()
    exhausted = False
    try:
        while running or not exhausted:
            while not exhausted and len(running) < max_in_flight:
                try:
                    source, process, target = next(left)
                except StopIteration:
                    exhausted = True
                else:
                    running.add(asyncio.create_task(one(source, process, target)))
            if running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for ended in done:
                    yield ended.result()
    finally:
        for task in [*running, *projects.values()]:
            task.cancel()
        await asyncio.gather(*running, *projects.values(), return_exceptions=True)
