"""What the other modules need of OSS besides submitting: telling its errors apart, and looking at objects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncIterator, Awaitable
    from datetime import datetime

    from alibabacloud_oss_v2.aio import AsyncClient

#: What to do about the service's answers that people meet; the first match of code and message part wins.
_ADVICE = (
    (
        "Imm Client",
        "Attachment",
        "Bind the bucket to an IMM project of its region (AttachOSSBucket, or the console).",
    ),
    ("Imm Client", "Route", "The service does not offer this operation asynchronously."),
    ("Imm Client", "InvalidArgument", "Correct the parameter the message names."),
    (
        "AccessDenied",
        "",
        "The caller needs oss:GetObject, oss:PostProcessTask, oss:ProcessImm and oss:PutObject.",
    ),
    ("SignatureDoesNotMatch", "", "The access key secret is wrong (the connection's password)."),
    (
        "InvalidAccessKeyId",
        "",
        "The access key id is wrong, or its security token is missing or has expired.",
    ),
    ("SecurityTokenExpired", "", "The security token has expired; ask for a new one."),
    ("InvalidSecurityToken", "", "The security token is wrong or does not belong to the access key."),
    ("RequestTimeTooSkewed", "", "The clock of this machine is wrong by more than 15 minutes."),
    ("NoSuchBucket", "", "Check the bucket's name and the connection's region and endpoint."),
    ("NoSuchKey", "", "Check the object's key; is the task that writes it upstream?"),
)
#: What the SDK or aiohttp raise before anything of the request is on the wire (see the tests for each).
_BEFORE_SENDING = (
    "BucketNameInvalidError",
    "ObjectNameInvalidError",
    "ParamInvalidError",
    "ParamNullError",
    "ParamNullOrEmptyError",
    "ParamRequiredError",
    "SerializationError",
    "CredentialsBaseError",
    "ClientConnectorError",
    "ConnectionTimeoutError",
    "InvalidURL",
    # Ours, out of the credentials provider.
    "OSSConnectionError",
)


def root_cause(error: BaseException) -> BaseException:
    """Return what the SDK's wrappers are wrapped around."""
    while callable(unwrap := getattr(error, "unwrap", None)) and isinstance(inner := unwrap(), BaseException):
        error = inner
    return error


def was_never_sent(cause: BaseException) -> bool:
    """Return whether an error shows that nothing of the request was sent."""
    return any(kind.__name__ in _BEFORE_SENDING for kind in type(cause).__mro__)


def advice(code: str, detail: str) -> str:
    """Return what to do about an answer of the service; empty if that is not known."""
    return next((text for wanted, part, text in _ADVICE if code == wanted and part in detail), "")


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What tells one version of an object from another.

    :param etag: entity tag.
    :param modified: last modification in epoch seconds (the service's clock, resolution one second).
    :param version: version id, empty in a bucket without versioning.
    """

    etag: str = ""
    modified: float = 0.0
    version: str = ""


async def head(oss: AsyncClient, bucket: str, key: str) -> ObjectState | None:
    """Return the state of an object, ``None`` if there is none.

    :raises OSSServiceError: the service refused for another reason.
    :raises OSSUnavailableError: no usable answer.
    """
    from alibabacloud_oss_v2.models import HeadObjectRequest

    try:
        result = await _call(
            oss.head_object(HeadObjectRequest(bucket, key)), "HeadObject", f"oss://{bucket}/{key}"
        )
    except OSSServiceError as error:
        # A HEAD answer has no body, so the SDK cannot name the code; only OSS itself sends a request id.
        if error.status == 404 and error.code != "NoSuchBucket" and error.request_id:
            return None
        raise
    return ObjectState(result.etag or "", result.last_modified.timestamp(), result.version_id or "")


async def matching_keys(
    oss: AsyncClient, bucket: str, prefix: str, pattern: re.Pattern[str], since: datetime | None
) -> AsyncIterator[str]:
    """Yield the keys that begin with ``prefix``, match ``pattern`` wholly and are not older than ``since``.

    :raises OSSServiceError: the service refused.
    :raises OSSUnavailableError: no usable answer.
    """
    from alibabacloud_oss_v2.models import ListObjectsV2Request

    token: str | None = None
    while True:
        request = ListObjectsV2Request(bucket=bucket, prefix=prefix, continuation_token=token, max_keys=1000)
        page = await _call(oss.list_objects_v2(request), "ListObjectsV2", f"oss://{bucket}/{prefix}")
        for item in page.contents or ():
            fresh = since is None or item.last_modified is None or item.last_modified >= since
            if fresh and pattern.fullmatch(item.key):
                yield item.key
        token = page.next_continuation_token
        if not page.is_truncated or not token:
            return


async def _call(call: Awaitable[Any], action: str, subject: str) -> Any:
    try:
        return await call
    except asyncio.CancelledError:
        raise
    except Exception as error:
        failure = _error(root_cause(error), action, subject)
    # Outside the handler: the SDK's exceptions cannot be pickled, so they must not be chained to ours.
    raise failure


def _error(cause: BaseException, action: str, subject: str) -> OSSServiceError:
    status = getattr(cause, "status_code", None)
    if not isinstance(status, int):
        return OSSUnavailableError(
            f"OSS {action} for {subject} got no usable answer: {type(cause).__name__}: {cause}",
            service="OSS",
            action=action,
        )
    code, detail, ec = (str(getattr(cause, name, "") or "") for name in ("code", "message", "ec"))
    request_id = str(getattr(cause, "request_id", "") or "")
    kind = OSSServiceError
    if status == 429 or code == "SlowDown":
        kind = OSSThrottledError
    elif status >= 500 or not request_id:
        kind = OSSUnavailableError
    right = "oss:ListObjects" if action == "ListObjectsV2" else "oss:GetObject"
    hint = (
        f"The caller needs {right}." if status == 403 and code in ("AccessDenied", "BadErrorResponse") else ""
    )
    return kind(
        f"OSS {action} for {subject} was answered with HTTP {status} {code}: {detail} "
        f"(request id {request_id or 'unknown'}). {hint or advice(code, detail)}".rstrip(),
        service="OSS",
        action=action,
        status=status,
        code=code,
        detail=detail,
        request_id=request_id,
        ec=ec,
    )
