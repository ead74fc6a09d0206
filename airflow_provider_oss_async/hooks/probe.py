"""What the "test connection" button does."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import OSSServiceError
from airflow_provider_oss_async.hooks.services import open_services

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from airflow_provider_oss_async.hooks.services import Services
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings

#: Seconds that OSS gets to answer; the IMM client has a limit of its own.
PATIENCE = 20.0

_HINTS = {
    "InvalidAccessKeyId": "the AccessKey ID (login) is not known or is disabled",
    "InvalidAccessKeyId.NotFound": "the AccessKey ID (login) is not known or is disabled",
    "SignatureDoesNotMatch": "the AccessKey secret (password) does not belong to the AccessKey ID",
    "InvalidSecurityToken": "the security token is wrong or belongs to another AccessKey",
    "SecurityTokenExpired": "the security token has expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "NoSuchBucket": "there is no such bucket; check schema (default bucket)",
}


async def probe(settings: ConnectionSettings) -> tuple[bool, str]:
    """Ask each service one cheap, authenticated question that changes nothing.

    :return: whether all that was asked worked, and a sentence for each service.
    :raises OSSConnectionError: there are no credentials to ask with.
    :raises OSSUnavailableError: the issuer of the credentials could not be reached.
    """
    async with open_services(settings) as services:
        await services.ready()
        answers = await asyncio.gather(_oss(services), _imm(services))
    sentences = [*(sentence for _, sentence in answers), _smq(settings)]
    return all(good for good, _ in answers), " ".join(sentences)


async def _oss(services: Services) -> tuple[bool, str]:
    from alibabacloud_oss_v2 import models
    from alibabacloud_oss_v2.exceptions import OperationError, ServiceError

    settings = services.settings
    call: Awaitable[object]
    if settings.bucket:
        what, right = f"bucket {settings.bucket!r}", f"oss:ListObjects on acs:oss:*:*:{settings.bucket}"
        request = models.ListObjectsV2Request(bucket=settings.bucket, max_keys=1)
        call = services.oss.list_objects_v2(request, retry_max_attempts=1)
    else:
        what, right = "the account's buckets", "oss:ListBuckets on acs:oss:*:*:*"
        call = services.oss.list_buckets(models.ListBucketsRequest(max_keys=1), retry_max_attempts=1)
    where = f"{what} at {settings.oss_endpoint}"
    try:
        await asyncio.wait_for(call, PATIENCE)
    except OperationError as error:
        cause = error.unwrap()
        if isinstance(cause, ServiceError):
            return False, f"OSS: cannot list {where}: " + _reason(
                cause.status_code, cause.code or "", cause.message or "", cause.request_id or "", right
            )
        # An error of the proxy quotes the proxy's address, with user name and password.
        return False, f"OSS: cannot reach {where}: " + re.sub(r"//[^/\s]*@", "//***@", str(cause))
    except TimeoutError:
        return False, f"OSS: no answer from {where} within {PATIENCE:g} seconds."
    return True, f"OSS: reached {where}."


async def _imm(services: Services) -> tuple[bool, str]:
    settings = services.settings
    project = settings.imm_project
    try:
        if project:
            await services.imm.list_tasks(project, max_results=1)
        elif settings.bucket:
            project = await services.imm.get_bucket_project(settings.bucket)
        else:
            return True, "IMM: not asked, because neither imm_project nor a default bucket is set."
    except OSSServiceError as error:
        return False, f"IMM: {error}"
    return True, f"IMM: reached project {project!r} at {settings.imm_endpoint}."


def _smq(settings: ConnectionSettings) -> str:
    if not settings.smq_endpoint:
        return "SMQ: not configured, and not needed."
    # Receiving would hide messages from those who wait for them.
    return f"SMQ: {settings.smq_endpoint} is configured, but was not tried."


def _reason(status: int, code: str, detail: str, request_id: str, right: str) -> str:
    hint = _HINTS.get(code)
    if hint is None and status == 403:
        hint = f"the right {right} is missing, or the bucket is in another region or closed to this network"
    answer = f"HTTP {status} {code}, {detail!r}, request id {request_id or 'unknown'}"
    return f"{hint} ({answer})." if hint else f"{answer}."
