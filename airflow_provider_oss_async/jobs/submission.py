"""Submitting one job: never a second attempt where the first may have been accepted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.oss import advice, root_cause, was_never_sent
from airflow_provider_oss_async.exceptions import (
    OSSSubmitError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process import (
    ObjectURI,
    Process,
    SaveAs,
    Specification,
    Style,
    parse_process,
    read_specification,
)
from airflow_provider_oss_async.process.style import TASK_TYPES

if TYPE_CHECKING:
    from alibabacloud_oss_v2.aio import AsyncClient

#: Attempts to reach the service while it is certain that nothing was sent.
ATTEMPTS = 4
#: Seconds before the second attempt; doubles from there, with jitter.
BACK_OFF = 0.5


@dataclass(frozen=True, slots=True)
class Submission:
    """One request, complete and checked.

    :param source: the object to process.
    :param process: the instruction.
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


def instruct(
    process: str | Process | Specification | Style,
    source: ObjectURI,
    target: ObjectURI | None = None,
    topic: str = "",
    task_type: str = "",
) -> Submission:
    """Complete an instruction that may be given in any form.

    :param process: a specification, a style, or a process string, which may name target and topic itself.
    :param target: where the result goes.
    :param topic: SMQ topic to notify.
    :param task_type: IMM task type of a style that is given as a string.
    :return: the request, with neither region nor project yet.
    :raises ProcessError: says what is wrong or missing.
    """
    if isinstance(process, Specification | Style):
        return Submission(source, process.to_process(source, target, topic), process.task_type)
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
        specification = read_specification(given)
    # The specification checks; the order and spelling of what was given are kept.
    specification.to_process(source, target, topic)
    if target is not None and saveas is None:
        saveas = SaveAs(target.key, target.bucket)
    return Submission(source, replace(given, saveas=saveas, topic=topic), specification.task_type)


async def submit(oss: AsyncClient, submission: Submission, *, timeout: float = 60.0) -> OSSJob:
    """Submit a job.

    Attempts that certainly never left this machine are repeated with jittered back-off, and requests that
    the service refused for their number (429) likewise; nothing else is.

    :param oss: client whose credentials are loaded.
    :param timeout: seconds for one attempt as a whole.
    :raises OSSSubmitRefusedError: the service refused; there is no job.
    :raises OSSSubmitNotSentError: the service could not be reached; there is no job.
    :raises OSSSubmitUncertainError: there may be a job.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _attempt(oss, submission, timeout)
        except OSSSubmitError as error:
            again = isinstance(error, OSSSubmitNotSentError) or error.status == 429
            if not again or attempt == ATTEMPTS:
                raise
        await asyncio.sleep(BACK_OFF * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable")  # pragma: no cover


async def _attempt(oss: AsyncClient, submission: Submission, timeout: float) -> OSSJob:
    from alibabacloud_oss_v2.models import AsyncProcessObjectRequest

    source = submission.source
    text = submission.process.encode()
    request = AsyncProcessObjectRequest(bucket=source.bucket, key=source.key, process=text)
    try:
        # The SDK's own retries repeat a request whose answer was lost, and each repetition is a job.
        call = oss.async_process_object(request, retry_max_attempts=1)
        result: Any = await asyncio.wait_for(call, timeout)
    except Exception as error:
        failure = _failure(error, submission, timeout)
    else:
        if result.task_id:
            date = (result.headers or {}).get("Date")
            accepted = parsedate_to_datetime(date) if date else datetime.now(UTC)
            return OSSJob(
                task_id=result.task_id,
                task_type=submission.task_type,
                source=str(source),
                target=submission.target,
                process=text,
                region=submission.region,
                imm_project=submission.imm_project,
                event_id=result.event_id or "",
                request_id=result.request_id or "",
                submitted_at=accepted.isoformat(),
            )
        failure = OSSSubmitUncertainError(
            f"OSS answered {submission.process.operation} for {source} without a task id (request id "
            f"{result.request_id}). The job may be running. Is the bucket bound to an IMM project?",
            service="OSS",
            action="AsyncProcessObject",
            status=result.status_code,
            request_id=result.request_id or "",
        )
    # Outside the handler: the SDK's exceptions cannot be pickled, so they must not be chained to ours.
    raise failure


def _failure(error: Exception, submission: Submission, timeout: float) -> OSSSubmitError:
    cause = root_cause(error)
    what = f"{submission.process.operation} for {submission.source}"
    status = getattr(cause, "status_code", None)
    if isinstance(status, int):
        code, detail, ec = (str(getattr(cause, name, "") or "") for name in ("code", "message", "ec"))
        request_id = str(getattr(cause, "request_id", "") or "")
        refused = 300 <= status < 500
        text = (
            f"OSS {'refused' if refused else 'failed on'} {what} with HTTP {status} {code}: {detail} "
            f"(request id {request_id or 'unknown'}{', EC ' + ec if ec else ''})."
        )
        text += f" {advice(code, detail)}" if refused else " The job may be running all the same."
        kind = OSSSubmitRefusedError if refused else OSSSubmitUncertainError
        return kind(
            text.rstrip(),
            service="OSS",
            action="AsyncProcessObject",
            status=status,
            code=code,
            detail=detail,
            request_id=request_id,
            ec=ec,
        )
    if isinstance(cause, TimeoutError) and not was_never_sent(cause):
        reason = f"no answer within {timeout:g} s"
    else:
        reason = f"{type(cause).__name__}: {cause}"
    if was_never_sent(cause):
        return OSSSubmitNotSentError(
            f"OSS could not be asked for {what}, and nothing was submitted: {reason}",
            service="OSS",
            action="AsyncProcessObject",
            detail=reason,
        )
    return OSSSubmitUncertainError(
        f"OSS was asked for {what} but its answer was lost ({reason}). The job may be running.",
        service="OSS",
        action="AsyncProcessObject",
        detail=reason,
    )
