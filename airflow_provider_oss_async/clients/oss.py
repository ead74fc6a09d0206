"""Asynchronous client for what is needed of OSS: submitting a process, and reading what objects there are.

It wraps the asynchronous client of the OSS SDK, which cannot wait for credentials: it asks for them on the
event loop. So they are loaded here, before every request.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_oss_async.clients.errors import Failure, sdk_failure, service_error
from airflow_provider_oss_async.clients.http import sent_only_if
from airflow_provider_oss_async.clients.media_info import parse_media_info
from airflow_provider_oss_async.exceptions import OSSServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from alibabacloud_oss_v2.aio import AsyncClient

    from airflow_provider_oss_async.clients.credentials import Credentials, CredentialsSource
    from airflow_provider_oss_async.clients.media_info import MediaInfo, MediaKind
    from airflow_provider_oss_async.process.pattern import KeyPattern

T = TypeVar("T")

#: Pages of 1,000 keys that one listing reads at most.
MAX_PAGES = 1000
#: Seconds for one request as a whole; the SDK itself limits single reads only.
REQUEST_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What tells one version of an object from another.

    :param etag: entity tag.
    :param modified: last modification in epoch seconds (the service's clock, resolution one second); 0 where
        the answer does not say it.
    :param version: version id, empty in a bucket without versioning.
    :param size: size in bytes; -1 where the answer does not say it.
    """

    etag: str = ""
    modified: float = 0.0
    version: str = ""
    size: int = -1


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object of a listing.

    :param key: its key.
    :param size: in bytes.
    :param modified: last modification in epoch seconds; 0 where the answer does not say it.
    :param storage_class: such as ``Standard``.
    :param type: ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``; empty where not given.
    :param restore: state of the restoration of an archived object, as it came; empty where there is none.
    :param etag: entity tag without quotes; empty where not given.
    """

    key: str
    size: int
    modified: float
    storage_class: str
    type: str = ""
    restore: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ProcessAnswer:
    """What OSS answers to a submitted process.

    :param task_id: id of the task; empty if the answer holds none.
    :param date: the ``Date`` header, as it came.
    """

    task_id: str
    event_id: str
    request_id: str
    date: str
    status: int


class OSSClient:
    """Client of OSS that owns its credentials. No method retries.

    What the methods raise, but for :meth:`process_object`:

    - :class:`~airflow_provider_oss_async.exceptions.OSSThrottledError`: ask later.
    - :class:`~airflow_provider_oss_async.exceptions.OSSUnavailableError`: no usable answer, ask again.
    - :class:`~airflow_provider_oss_async.exceptions.OSSServiceError`: refused.
    - :class:`~airflow_provider_oss_async.exceptions.OSSConnectionError`: the credentials are no good.

    :param sdk: client of the SDK, whose credentials provider answers with what ``credentials`` loaded last.
    :param credentials: awaited before every request.
    """

    def __init__(self, sdk: AsyncClient, credentials: CredentialsSource) -> None:
        self.sdk = sdk
        self._credentials = credentials

    async def prepare(self) -> Credentials:
        """Load the credentials, so that a request that follows at once does not fail for lack of them."""
        return await self._credentials()

    async def process_object(
        self,
        bucket: str,
        key: str,
        process: str,
        *,
        timeout: float,
        allowed: Callable[[], bool] | None = None,
    ) -> ProcessAnswer | Failure:
        """Submit an asynchronous process, once.

        https://www.alibabacloud.com/help/en/oss/user-guide/asynchronous-processing

        :param timeout: seconds for the request as a whole.
        :param allowed: asked right before the first byte; where it says no, nothing is sent.
        :return: the answer, or what went wrong: never an exception, since a job may be running.
        """
        from alibabacloud_oss_v2.models import AsyncProcessObjectRequest

        credentials: Credentials | None = None
        try:
            credentials = await self._credentials()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return Failure("OSS", detail=f"no credentials: {error}", never_sent=True).safe(None)
        request = AsyncProcessObjectRequest(bucket=bucket, key=key, process=process)
        try:
            # The SDK's own retries repeat a request whose answer was lost, and each repetition is a job.
            # And not wait_for: in Python 3.11 it loses a cancellation that comes together with the answer.
            with sent_only_if(allowed):
                async with asyncio.timeout(timeout):
                    result: Any = await self.sdk.async_process_object(request, retry_max_attempts=1)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = sdk_failure(error).safe(credentials)
            if isinstance(error, TimeoutError):
                return Failure("OSS", detail=f"no answer within {timeout:g} s")
            return failure
        headers = result.headers or {}
        return ProcessAnswer(
            task_id=_identifier(result.task_id),
            event_id=_identifier(result.event_id),
            request_id=_identifier(result.request_id),
            date=str(headers.get("Date") or ""),
            status=result.status_code if isinstance(result.status_code, int) else 0,
        )

    async def head(self, bucket: str, key: str) -> ObjectState | None:
        """Return the state of an object, ``None`` if there is none."""
        from alibabacloud_oss_v2.models import HeadObjectRequest

        try:
            result = await self._call(
                "HeadObject",
                f"oss://{bucket}/{key}",
                lambda: self.sdk.head_object(HeadObjectRequest(bucket, key), retry_max_attempts=1),
            )
        except OSSServiceError as error:
            # An answer to HEAD has no body, so the SDK may not know the code; only OSS sends a request id.
            if error.status == 404 and error.code != "NoSuchBucket" and error.request_id:
                return None
            raise
        size = result.content_length
        return ObjectState(
            etag=_identifier(result.etag),
            modified=_epoch(result.last_modified),
            version=_identifier(result.version_id),
            size=size if isinstance(size, int) and size >= 0 else -1,
        )

    async def list_objects(
        self, bucket: str, prefix: str, *, start_after: str = "", max_pages: int = MAX_PAGES
    ) -> AsyncIterator[ListedObject]:
        """Yield the objects whose keys begin with ``prefix``, in the order of their keys.

        https://www.alibabacloud.com/help/en/oss/developer-reference/listobjectsv2

        :param start_after: only keys behind this one.
        :param max_pages: pages of 1,000 keys to read at most; default 1,000.
        :raises OSSServiceError: also where the service repeats a page, or there are too many of them.
        """
        from alibabacloud_oss_v2.models import ListObjectsV2Request

        subject = f"oss://{bucket}/{prefix}"
        token: str | None = None
        seen: set[str] = set()
        while True:
            request = ListObjectsV2Request(
                bucket=bucket, prefix=prefix, continuation_token=token, max_keys=1000, start_after=start_after
            )
            listing = functools.partial(self.sdk.list_objects_v2, request, retry_max_attempts=1)
            page = await self._call("ListObjectsV2", subject, listing)
            for item in page.contents or ():
                if isinstance(item.key, str) and item.key.startswith(prefix):
                    yield ListedObject(
                        key=item.key,
                        size=item.size if isinstance(item.size, int) else 0,
                        modified=_epoch(item.last_modified),
                        storage_class=_identifier(item.storage_class),
                        type=_identifier(item.object_type),
                        restore=_identifier(item.restore_info),
                        etag=_identifier(item.etag).strip('"'),
                    )
            token = page.next_continuation_token
            if not page.is_truncated or not token:
                return
            if token in seen or len(seen) >= max_pages:
                why = "the service repeats a page" if token in seen else f"more than {max_pages} pages"
                # No outage: reading it once more would only repeat it.
                raise OSSServiceError(
                    f"OSS ListObjectsV2 for {subject} does not end: {why}.",
                    service="OSS",
                    action="ListObjectsV2",
                    detail=why,
                )
            seen.add(token)

    async def matching_keys(
        self, bucket: str, prefix: str, pattern: KeyPattern, since: datetime | None
    ) -> AsyncIterator[str]:
        """Yield keys with a prefix that match a pattern wholly and are not older than ``since``."""
        earliest = since.timestamp() if since is not None else None
        async for item in self.list_objects(bucket, prefix):
            fresh = earliest is None or not item.modified or item.modified >= earliest
            if fresh and pattern.fullmatch(item.key):
                yield item.key

    async def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """Return bytes of an object.

        https://www.alibabacloud.com/help/en/oss/developer-reference/getobject

        :param begin: position of the first byte; it must exist, unless ``end`` is ``None``.
        :param end: position behind the last byte; ``None`` for the whole object. At most 16 MB are read.
        """
        from alibabacloud_oss_v2.models import GetObjectRequest

        request = GetObjectRequest(bucket, key)
        if end is not None:
            request = GetObjectRequest(
                bucket, key, range_header=f"bytes={begin}-{end - 1}", range_behavior="standard"
            )
        result = await self._call(
            "GetObject", f"oss://{bucket}/{key}", lambda: self.sdk.get_object(request, retry_max_attempts=1)
        )
        body: bytes = result.body.content
        if end is not None and len(body) > end - begin:
            raise service_error(
                Failure("OSS", detail="more bytes than were asked for"), action="GetObject", subject=key
            )
        return body

    async def media_info(self, bucket: str, key: str, kind: MediaKind) -> MediaInfo:
        """Return what OSS says of a media file; each call is billed.

        https://www.alibabacloud.com/help/en/oss/user-guide/video-information-extraction

        :param kind: what the file is; decides which of the three operations is asked.
        """
        from alibabacloud_oss_v2.models import GetObjectRequest

        action, subject = f"{kind}/info", f"oss://{bucket}/{key}"
        request = GetObjectRequest(bucket, key, process=action)
        result = await self._call(action, subject, lambda: self.sdk.get_object(request, retry_max_attempts=1))
        try:
            info = parse_media_info(kind, result.body.content, _identifier(result.etag))
            return replace(info, modified=_epoch(result.last_modified))
        except ValueError as error:
            failure = Failure("OSS", detail=str(error))
        raise service_error(failure, action=action, subject=subject)

    async def append(self, bucket: str, key: str, position: int, data: bytes) -> int:
        """Add bytes to the end of an appendable object, which position 0 creates; return its new length.

        https://www.alibabacloud.com/help/en/oss/developer-reference/appendobject

        :param position: the length that the object must have.
        :raises OSSServiceError: with the code ``PositionNotEqualToLength`` where it has another length. After
            :class:`~airflow_provider_oss_async.exceptions.OSSUnavailableError` the bytes may be there.
        """
        from alibabacloud_oss_v2.models import AppendObjectRequest

        request = AppendObjectRequest(bucket, key, position, body=data)
        result = await self._call(
            "AppendObject",
            f"oss://{bucket}/{key}",
            # A repeated append whose answer was lost would be refused for its position.
            lambda: self.sdk.append_object(request, retry_max_attempts=1),
        )
        length = result.next_position
        return length if isinstance(length, int) else -1

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object.

        https://www.alibabacloud.com/help/en/oss/developer-reference/putobject
        """
        from alibabacloud_oss_v2.models import PutObjectRequest

        request = PutObjectRequest(bucket, key, body=data)
        await self._call(
            "PutObject", f"oss://{bucket}/{key}", lambda: self.sdk.put_object(request, retry_max_attempts=1)
        )

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object; no error where there is none.

        https://www.alibabacloud.com/help/en/oss/developer-reference/deleteobject
        """
        from alibabacloud_oss_v2.models import DeleteObjectRequest

        await self._call(
            "DeleteObject",
            f"oss://{bucket}/{key}",
            lambda: self.sdk.delete_object(DeleteObjectRequest(bucket, key), retry_max_attempts=1),
        )

    async def list_buckets(self, max_keys: int = 1) -> None:
        """List the account's buckets, to see whether that is allowed."""
        from alibabacloud_oss_v2.models import ListBucketsRequest

        await self._call(
            "ListBuckets",
            "the account's buckets",
            lambda: self.sdk.list_buckets(ListBucketsRequest(max_keys=max_keys), retry_max_attempts=1),
        )

    async def service_time(self, bucket: str, key: str) -> str:
        """Return the ``Date`` header of an answer: the service's clock."""
        from alibabacloud_oss_v2.models import HeadObjectRequest

        result = await self._call(
            "HeadObject",
            f"oss://{bucket}/{key}",
            lambda: self.sdk.head_object(HeadObjectRequest(bucket, key), retry_max_attempts=1),
        )
        return str((result.headers or {}).get("Date") or "")

    async def _call(self, action: str, subject: str, request: Callable[[], Awaitable[Any]]) -> Any:
        credentials = await self._credentials()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                return await request()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = sdk_failure(error)
        # Outside the handler: the SDK's exceptions cannot be pickled, so they must not be chained to ours.
        raise service_error(failure, action=action, subject=subject, credentials=credentials)


def _identifier(value: object) -> str:
    """Return an id of an answer as text; what is none becomes ``""``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**100 else ""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode()[:512]


def _epoch(moment: object) -> float:
    """Return epoch seconds; 0 where an answer has no time, or none that can be used."""
    try:
        return moment.timestamp()  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, ValueError, OverflowError, OSError):
        return 0.0
