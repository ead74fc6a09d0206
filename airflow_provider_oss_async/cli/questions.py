"""Harmless questions that show whether a caller has a right: nothing is changed, submitted or received.

In which order a service checks rights, names and arguments is not documented. A question is asked about a
thing that is not there; the answer that it is not there, or that the argument is wrong, comes after the right
was checked, or so it is taken.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import uuid4

from airflow_provider_oss_async.clients.errors import (
    Failure,
    diagnosis_of,
    missing_resource,
    service_error,
)
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_oss_async.jobs.services import Services

Verdict = Literal["ok", "allowed", "denied", "missing", "wrong", "cannot be told"]


@dataclass(frozen=True, slots=True)
class Place:
    """What is asked about.

    :param bucket: empty where none is known; so are the others.
    :param key: of no object.
    """

    bucket: str
    project: str
    queue: str
    key: str = field(default_factory=lambda: f"oss-async-check/{uuid4()}")


class Finding(NamedTuple):
    """What a question has shown.

    :param detail: the service's words or the reason.
    :param denied: the right that the service named, if it denied one.
    """

    verdict: Verdict
    detail: str = ""
    denied: str = ""


class Question(NamedTuple):
    """One question.

    :param needs: the attribute of :class:`Place` that must be known.
    :param ask: sends the request.
    :param codes: codes of answers that show that the right is there.
    """

    needs: str
    ask: Callable[[Services, Place], Awaitable[object]]
    codes: tuple[str, ...] = ()


async def _list(services: Services, place: Place) -> None:
    async for _ in services.oss.list_objects(place.bucket, place.key, max_pages=1):
        break


async def _process(services: Services, place: Place) -> None:
    # Neither the object nor the operation exists, so that there can be no job.
    outcome = await services.oss.process_object(place.bucket, place.key, "check/none", timeout=20)
    if isinstance(outcome, Failure):
        raise service_error(outcome, action="AsyncProcessObject", subject=f"oss://{place.bucket}/{place.key}")


async def _delete_message(services: Services, place: Place) -> None:
    if services.smq is None:
        raise OSSServiceError("no SMQ endpoint")
    # Of no message; the answer is that the handle is not good.
    await services.smq.delete(place.queue, [f"1-{uuid4().hex}"])


QUESTIONS: dict[str, Question] = {
    "oss:ListObjects": Question("bucket", _list),
    "oss:GetObject": Question("bucket", lambda s, p: s.oss.read(p.bucket, p.key), ("NoSuchKey",)),
    # A new object needs position 0: at any other one nothing is made.
    "oss:PutObject": Question(
        "bucket", lambda s, p: s.oss.append(p.bucket, p.key, 1, b"x"), ("PositionNotEqualToLength",)
    ),
    "oss:PostProcessTask": Question(
        "bucket", _process, ("NoSuchKey", "InvalidRequest", "InvalidArgument", "Imm Client")
    ),
    "imm:GetTask": Question(
        "project", lambda s, p: s.imm.get_task(p.project, "MediaConvert", f"MediaConvert-{uuid4()}")
    ),
    "imm:ListTasks": Question("project", lambda s, p: s.imm.list_tasks(p.project, max_results=1)),
    "imm:GetOSSBucketAttachment": Question("bucket", lambda s, p: s.imm.get_bucket_project(p.bucket)),
    "imm:GetDecodeBlindWatermarkResult": Question(
        "project", lambda s, p: s.imm.get_watermark(p.project, f"DecodeBlindWatermark-{uuid4()}")
    ),
    "imm:GetProject": Question("project", lambda s, p: s.imm.get_project(p.project)),
    "mns:BatchDeleteMessage": Question("queue", _delete_message, ("ReceiptHandleError",)),
}
_ONLY_A_JOB = "only a real job shows it: airflow oss-async verify"
_SAME_REQUEST = "not asked: the package sends the request for several messages"
#: Why there is no question for the others.
NOT_ASKED = {
    "oss:ProcessImm": _ONLY_A_JOB,
    "imm:DetectMediaMeta": "only inspecting a media file shows it, which is billed",
    "imm:CreateMediaConvertTask": _ONLY_A_JOB,
    "imm:CreateOfficeConversionTask": _ONLY_A_JOB,
    "imm:CreateDecodeBlindWatermarkTask": _ONLY_A_JOB,
    "ram:PassRole": _ONLY_A_JOB,
    "oss:DeleteObject": "not asked: with versioning it would leave a delete marker",
    "mns:ReceiveMessage": "not asked: receiving hides messages from others",
    "mns:BatchReceiveMessage": "not asked: receiving hides messages from others",
    "mns:DeleteMessage": _SAME_REQUEST,
    "mns:ChangeMessageVisibility": "not asked: it needs a message that was received",
}
#: Where the fields of :class:`Place` are set.
_SET_BY = {
    "bucket": "no bucket is known: give --bucket, or set the connection's default bucket",
    "project": "no IMM project is known: set imm_project on the connection",
    "queue": "no queue is known: set smq_endpoint and smq_queue on the connection",
}


async def ask(action: str, services: Services, place: Place, *, timeout: float = 20.0) -> Finding:
    """Ask whether the caller has a right.

    :param action: RAM action, of the table of rights.
    :param timeout: seconds to wait for the answer.
    """
    question = QUESTIONS.get(action)
    if question is None:
        return Finding("cannot be told", NOT_ASKED[action])
    if not getattr(place, question.needs):
        return Finding("cannot be told", _SET_BY[question.needs])
    try:
        async with asyncio.timeout(timeout):
            await question.ask(services, place)
    except OSSServiceError as error:
        return _finding(action, error, question.codes)
    except TimeoutError:
        return Finding("cannot be told", f"no answer within {timeout:g} s")
    except OSSAsyncError as error:
        return Finding("cannot be told", str(error))
    return Finding("allowed")


def _finding(action: str, error: OSSServiceError, codes: tuple[str, ...]) -> Finding:
    said = ": ".join(part for part in (error.code, error.detail) if part) or str(error)
    kind = diagnosis_of(error).kind
    # Neither a task nor a binding is there, but the service has looked.
    if error.code in codes or missing_resource(error) in ("task", "attachment"):
        return Finding("allowed", f"answered {error.code}")
    if kind == "rights":
        named = error.access_denied.get("AuthAction", "")
        if named and named != action:
            return Finding("cannot be told", f"{named} was refused first", named)
        return Finding("denied", said, action)
    if kind == "missing":
        return Finding("missing", f"{said}. {error.advice}".strip())
    return Finding("cannot be told", f"{said}. {error.advice}".strip())
