"""Submitting one job: never a second attempt where the first may have been accepted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from airflow_provider_oss_async.clients.errors import Diagnosis, Failure, diagnose, diagnosis_of
from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSSubmitError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    ProcessError,
    error_text,
)
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process import (
    TASK_TYPES,
    ObjectURI,
    Process,
    SaveAs,
    Specification,
    Style,
    name_errors,
    parse_process,
    read_specification,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.clients.oss import OSSClient

#: Attempts while it is certain that nothing was accepted, and the intervals between them.
ATTEMPTS, SUBMIT_BACKOFF = 4, Backoff(0.5, 8.0, 2.0)
#: Seconds that may pass between the intent to submit and the request.
INTENT_MAX_AGE = 5.0
#: How often the intent is stored again, where that takes longer, before the attempt is given up.
INTENT_ATTEMPTS = 5
_ACTION = "AsyncProcessObject"
_MAX_CLOCK_SKEW = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One request, complete and checked.

    :param source: the object to process.
    :param process: the process.
    :param task_type: IMM task type of the operation.
    :param region: region of the bucket.
    :param imm_project: IMM project the job will run in; empty if not known.
    """

    source: ObjectURI
    process: Process
    task_type: str
    region: str = ""
    imm_project: str = ""

    @property
    def target(self) -> str:
        """The key template of the result as ``oss://bucket/key``; empty where nothing is written."""
        saveas = self.process.saveas
        return f"oss://{saveas.bucket or self.source.bucket}/{saveas.key}" if saveas else ""

    @property
    def fingerprint(self) -> str:
        """A digest of what would be asked of the service: equal requests, equal digests."""
        text = json.dumps([str(self.source), self.process.encode(), self.region])
        return hashlib.sha256(text.encode()).hexdigest()


def build_request(
    process: str | Process | Specification | Style,
    source: ObjectURI,
    target: ObjectURI | None = None,
    topic: str = "",
    task_type: str = "",
    *,
    allow_ignored: bool = False,
) -> JobRequest:
    """Build the request of a process that may be given in any form.

    :param process: a specification, a style, or a process string, which may name target and topic itself.
    :param target: where the result goes.
    :param topic: SMQ topic to notify.
    :param task_type: IMM task type of a style that is given as a string.
    :param allow_ignored: whether a process string may hold parameters that are certain to have no effect; a
        specification has an argument of its own for that. Default: it may not.
    :return: the request, with neither region nor project yet.
    :raises ProcessError: says what is wrong or missing.
    """
    if isinstance(process, Specification | Style):
        return JobRequest(source, process.to_process(source, target, topic), process.task_type)
    given = parse_process(process) if isinstance(process, str) else process
    if (given.saveas and target) or (given.topic and topic):
        raise ProcessError(
            "target and notify_topic cannot be given where the process string names them itself"
        )
    saveas, topic = given.saveas, topic or given.topic
    if saveas is not None:
        target = ObjectURI(saveas.bucket or source.bucket, saveas.key)
    specification: Specification | Style
    if given.is_style:
        if not task_type:
            raise ProcessError(
                f"{given.operation}: only OSS knows what a style does, so its IMM task type must be given; "
                f"one of {', '.join(TASK_TYPES)}"
            )
        specification = Style(given.operation.removeprefix("style/"), task_type=task_type)
    else:
        try:
            specification = read_specification(given, allow_ignored=allow_ignored)
        except ProcessError as error:
            problems = [*error.problems, *name_errors(given, source, target, topic)]
            raise ProcessError("; ".join(problems), problems=problems) from None
    # The specification checks; the order and spelling of what was given are kept.
    specification.to_process(source, target, topic)
    if target is not None and saveas is None:
        saveas = SaveAs(target.key, target.bucket)
    return JobRequest(source, replace(given, saveas=saveas, topic=topic), specification.task_type)


async def submit(
    oss: OSSClient,
    request: JobRequest,
    *,
    timeout: float = 60.0,
    backoff: Backoff = SUBMIT_BACKOFF,
    before_attempt: Callable[[], None] | None = None,
    intent_max_age: float = INTENT_MAX_AGE,
) -> OSSJob:
    """Submit a job.

    Attempts that certainly never left this machine are repeated with backoff, and requests that the service
    refused for their number (429) likewise; nothing else is.

    :param timeout: seconds for one attempt as a whole; default 60.
    :param backoff: between the attempts; default 0.5 to 8 s, doubling.
    :param before_attempt: stores the intent; called in a thread before each request. What it raises prevents
        the request.
    :param intent_max_age: seconds between the call of ``before_attempt`` and the request at most; where they
        have passed it is called again. Default 5.
    :raises OSSSubmitRefusedError: the service refused; there is no job.
    :raises OSSSubmitNotSentError: the service could not be reached; there is no job.
    :raises OSSSubmitUncertainError: there may be a job.
    """
    interval = 0.0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _attempt(oss, request, timeout, before_attempt, intent_max_age)
        except OSSSubmitError as error:
            kind = diagnosis_of(error).kind
            repeatable = (isinstance(error, OSSSubmitNotSentError) and kind != "argument") or (
                isinstance(error, OSSSubmitRefusedError) and (error.status == 429 or kind == "throttled")
            )
            if not repeatable or attempt == ATTEMPTS:
                raise
            interval = backoff.after(interval)
            await asyncio.sleep(max(interval, min(error.retry_after or 0.0, 30.0)) * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable")  # pragma: no cover


async def submit_attempt(
    oss: OSSClient, request: JobRequest, *, timeout: float = 60.0, intent_at: float | None = None
) -> OSSJob:
    """Submit a job with one request at most, for callers that store their intents themselves.

    :param timeout: seconds for the request; default 60.
    :param intent_at: when the intent was stored, epoch seconds (float); nothing is sent when that is more
        than 5 s ago.
    :raises OSSSubmitError: as :func:`submit`.
    """
    age = None if intent_at is None else _Age(intent_at, time.monotonic() - (time.time() - intent_at))
    return await _attempt(oss, request, timeout, None, INTENT_MAX_AGE, age)


async def _attempt(
    oss: OSSClient,
    request: JobRequest,
    timeout: float,
    before_attempt: Callable[[], None] | None,
    intent_max_age: float,
    age: _Age | None = None,
) -> OSSJob:
    source, text = request.source, request.process.encode()
    try:
        await oss.prepare()
    except OSSAsyncError as error:
        raise OSSSubmitNotSentError(
            error_text(f"Nothing was submitted: {error}", source=source, target=request.target),
            **{**error.fields, "source": str(source), "target": request.target},
        ) from None
    if before_attempt is not None and (age := await _store(before_attempt, intent_max_age)) is None:
        advice = "Check the API server and the database of Airflow: the task state store is too slow."
        raise OSSSubmitNotSentError(
            error_text(
                f"Nothing was submitted: storing the intent took more than {intent_max_age:g} s each time",
                advice,
                source=source,
                target=request.target,
            ),
            advice=advice,
            source=str(source),
            target=request.target,
        )
    answer = await oss.process_object(
        source.bucket,
        source.key,
        text,
        timeout=timeout,
        allowed=None if age is None else lambda: age.seconds <= intent_max_age,
    )
    if isinstance(answer, Failure):
        raise _submit_error(answer, request)
    if answer.task_id:
        return OSSJob(
            task_id=answer.task_id,
            task_type=request.task_type,
            source=str(source),
            target=request.target,
            process=text,
            region=request.region,
            imm_project=request.imm_project,
            event_id=answer.event_id,
            request_id=answer.request_id,
            submitted_at=_accepted_at(answer.date),
        )
    advice = "Is the bucket bound to an IMM project?"
    raise OSSSubmitUncertainError(
        error_text(
            f"OSS answered {request.process.operation} without a task id: the job may be running",
            advice,
            source=source,
            target=request.target,
            HTTP=answer.status,
            request_id=answer.request_id,
        ),
        service="OSS",
        action=_ACTION,
        status=answer.status,
        advice=advice,
        request_id=answer.request_id,
        source=str(source),
        target=request.target,
    )


@dataclass(frozen=True, slots=True)
class _Age:
    """Of an intent, by both clocks: not all run on while a machine is suspended."""

    wall: float = field(default_factory=time.time)
    monotonic: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return max(time.time() - self.wall, time.monotonic() - self.monotonic)


async def _store(store: Callable[[], None], max_age: float) -> _Age | None:
    """Store the intent, again where the process was stopped meanwhile: it may have been superseded.

    :return: its age; ``None`` where it was always too old.
    """
    for _ in range(INTENT_ATTEMPTS):
        age = _Age()
        await asyncio.to_thread(store)
        if age.seconds <= max_age:
            return age
    return None


def _accepted_at(date: str) -> str:
    """Return the service's time of the answer; this machine's where that cannot be believed."""
    now = datetime.now(UTC)
    try:
        moment = parsedate_to_datetime(date)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Requests of a machine whose clock is wrong by more than 15 minutes are refused.
        return (moment if abs((moment - now).total_seconds()) < _MAX_CLOCK_SKEW else now).isoformat()
    except (TypeError, ValueError, OverflowError):
        return now.isoformat()


def _submit_error(failure: Failure, request: JobRequest) -> OSSSubmitError:
    what = request.process.operation
    diagnosis = Diagnosis()
    kind: type[OSSSubmitError]
    if failure.invalid:
        kind = OSSSubmitNotSentError
        diagnosis = diagnose("OSS", failure.code, failure.detail)
        reason = f"Nothing was submitted: {failure.detail}"
    elif failure.never_sent:
        kind = OSSSubmitNotSentError
        reason = f"OSS could not be reached, and nothing was submitted: {failure.detail}"
    elif failure.authentic and failure.status is not None and 300 <= failure.status < 500:
        kind = OSSSubmitRefusedError
        diagnosis = diagnose(
            "OSS",
            failure.code,
            failure.detail,
            action=_ACTION,
            status=failure.status,
            denied=failure.denied,
        )
        reason = f"OSS refused {what}: {failure.detail or failure.code or 'no message'}"
    else:
        kind = OSSSubmitUncertainError
        detail = failure.detail or failure.code
        if failure.status is not None and not failure.authentic:
            detail = f"HTTP {failure.status} that is not from OSS{f': {detail}' if detail else ''}"
        elif failure.status is not None:
            detail = f"HTTP {failure.status} {detail}".rstrip()
        reason = f"The job may be running: OSS gave no usable answer to {what} ({detail})"
    return kind(
        error_text(reason, diagnosis.advice, source=request.source, target=request.target, **failure.facts()),
        service="OSS",
        action=_ACTION,
        status=failure.status,
        code=failure.code,
        detail=failure.detail,
        advice=diagnosis.advice,
        request_id=failure.request_id,
        ec=failure.ec,
        retry_after=failure.retry_after,
        access_denied=failure.denied if failure.authentic else None,
        source=str(request.source),
        target=request.target,
    )
