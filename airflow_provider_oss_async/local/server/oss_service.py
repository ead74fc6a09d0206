"""OSS: buckets, objects, appends, multipart uploads and the submission of asynchronous processing.

An operation that the stand-in does not have is answered with 501 ``NotImplemented``, a code OSS uses as well.
Not documented where it could be read, and chosen here: the codes for a process string or document that is too
large, for a copy of an appendable object, and for overrides of response headers that are not valid.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote, unquote

from aiohttp import web

from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.server.job_table import iso
from airflow_provider_oss_async.local.server.markup import Content, read_xml, to_xml
from airflow_provider_oss_async.local.server.object_events import event_type
from airflow_provider_oss_async.local.server.process_request import accept
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.rights import denial
from airflow_provider_oss_async.local.server.signatures import SignedRequest
from airflow_provider_oss_async.local.server.store import StoredObject, StoreError

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.cloud import Cloud
    from airflow_provider_oss_async.local.server.store import Bucket, Upload

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
#: Query names of presigned URLs and of overridden response headers, which any object request may have.
_V1_QUERY = frozenset({"OSSAccessKeyId", "Expires", "Signature", "security-token"})
_RESPONSE_HEADERS = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
)  # fmt: skip
_CHUNK = 1 << 20
_IN_ONE_PIECE = 1 << 18
_MAX_PROCESS = 1 << 20
_MAX_PART = 10_000
#: Smallest part of a multipart upload, but for the last one.
_MIN_PART_SIZE = 100 * 1024


@dataclass(frozen=True, slots=True)
class _Call:
    request: web.Request
    bucket: str
    key: str
    query: dict[str, str]

    def header(self, name: str) -> str:
        return self.request.headers.get(name, "")

    @property
    def overwrite(self) -> bool:
        return self.header("x-oss-forbid-overwrite").lower() != "true"

    @property
    def kept_headers(self) -> dict[str, str]:
        """Return the headers that come back with a GET."""
        return {
            name.lower(): value
            for name, value in self.request.headers.items()
            if name.lower() in _RESPONSE_HEADERS or name.lower().startswith("x-oss-meta-")
        }

    def encode(self, text: str) -> str:
        """Return a name as the answer is to contain it."""
        return quote(text) if self.query.get("encoding-type") == "url" else text

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number of the query.

        :raises Refusal: it is not one, or out of range.
        """
        text = self.query.get(name, "")
        if not text and default is not None:
            return default
        if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise Refusal(400, "InvalidArgument", f"{name} must be between {low} and {high}.")
        return int(text)


class _Operation(NamedTuple):
    """How a request for an action is recognised; the first one that fits counts."""

    level: Literal["service", "bucket", "object"]
    method: str
    action: str
    #: Query names that the request has; ``x-oss-copy-source`` means the header of that name.
    required: frozenset[str]
    #: Query names that it may have in addition.
    optional: frozenset[str]


def _operation(
    level: Literal["service", "bucket", "object"],
    method: str,
    action: str,
    required: str = "",
    optional: str = "",
) -> _Operation:
    return _Operation(level, method, action, frozenset(required.split()), frozenset(optional.split()))


_LISTING = "prefix delimiter max-keys encoding-type"
#: Every operation that the stand-in has.
OPERATIONS = (
    _operation("service", "GET", "ListBuckets", "", "prefix marker max-keys"),
    _operation("bucket", "PUT", "PutBucket"),
    _operation("bucket", "DELETE", "DeleteBucket"),
    _operation("bucket", "POST", "DeleteMultipleObjects", "delete", "encoding-type"),
    _operation("bucket", "GET", "GetBucketInfo", "bucketInfo"),
    _operation("bucket", "GET", "GetBucketLocation", "location"),
    _operation("bucket", "GET", "GetBucketAcl", "acl"),
    _operation(
        "bucket",
        "GET",
        "ListObjectsV2",
        "list-type",
        f"{_LISTING} start-after continuation-token fetch-owner",
    ),
    _operation("bucket", "GET", "ListObjects", "", f"{_LISTING} marker"),
    _operation("object", "PUT", "UploadPartCopy", "uploadId partNumber x-oss-copy-source"),
    _operation("object", "PUT", "UploadPart", "uploadId partNumber"),
    _operation("object", "PUT", "CopyObject", "x-oss-copy-source"),
    _operation("object", "PUT", "PutObject"),
    _operation("object", "GET", "ListParts", "uploadId", "max-parts part-number-marker encoding-type"),
    # Which of the three, the value of x-oss-process tells.
    _operation("object", "GET", "ProcessObject", "x-oss-process"),
    _operation("object", "GET", "GetObject", "", " ".join(f"response-{name}" for name in _RESPONSE_HEADERS)),
    _operation("object", "HEAD", "HeadObject", "", "objectMeta"),
    _operation("object", "DELETE", "AbortMultipartUpload", "uploadId"),
    _operation("object", "DELETE", "DeleteObject"),
    _operation("object", "POST", "AsyncProcessObject", "x-oss-async-process"),
    _operation("object", "POST", "AppendObject", "append", "position"),
    _operation("object", "POST", "InitiateMultipartUpload", "uploads", "encoding-type sequential"),
    _operation("object", "POST", "CompleteMultipartUpload", "uploadId", "encoding-type"),
)
#: Values of ``x-oss-process`` that are synchronous operations of the stand-in.
INFO_OPERATIONS = ("video/info", "audio/info", "image/info")


class OSSService:
    """Answers the requests to OSS.

    :param cloud: state that all services share.
    """

    name = "OSS"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._store = cloud.store
        self._handlers: dict[str, Callable[[_Call], Awaitable[web.StreamResponse]]] = {
            "ListBuckets": self._list_buckets,
            "PutBucket": self._put_bucket,
            "DeleteBucket": self._delete_bucket,
            "DeleteMultipleObjects": self._delete_objects,
            "GetBucketInfo": self._bucket_info,
            "GetBucketLocation": self._bucket_location,
            "GetBucketAcl": self._bucket_acl,
            "ListObjectsV2": self._list_objects_v2,
            "ListObjects": self._list_objects,
            "UploadPartCopy": self._upload_part,
            "UploadPart": self._upload_part,
            "CopyObject": self._copy_object,
            "PutObject": self._put_object,
            "ListParts": self._list_parts,
            **dict.fromkeys(INFO_OPERATIONS, self._media_info),
            "GetObject": self._get_object,
            "HeadObject": self._get_object,
            "AbortMultipartUpload": self._abort_upload,
            "DeleteObject": self._delete_object,
            "AsyncProcessObject": self._async_process,
            "AppendObject": self._append_object,
            "InitiateMultipartUpload": self._begin_upload,
            "CompleteMultipartUpload": self._complete_upload,
        }

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Return the action of a request and its handler."""
        bucket, key = _address(request)
        query = dict(SignedRequest(request.method, request.raw_path, request.headers).query)
        action = _action(request, bucket, key, query)
        handler = self._handlers.get(action, self._not_implemented)

        async def handle(request: web.Request) -> web.StreamResponse:
            signed = SignedRequest(request.method, request.raw_path, request.headers)
            resource = f"/{bucket}/{key}" if bucket else "/"
            self._cloud.verifier.oss(signed, resource, self._cloud.region)
            try:
                return await handler(_Call(request, bucket, key, query))
            except StoreError as error:
                raise _refusal(error) from None

        return action, handle

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """Return an error in the form of OSS."""
        request_id = _request_id()
        fields: list[tuple[str, Content]] = [
            ("Code", refusal.code),
            ("Message", refusal.message),
            ("RequestId", request_id),
            ("HostId", request.host),
        ]
        if refusal.ec:
            fields.append(("EC", refusal.ec))
        if refusal.denied:
            fields.append(("AccessDeniedDetail", list(denial(refusal.denied).items())))
        body = to_xml("Error", fields)
        headers = {"x-oss-request-id": request_id, "Content-Type": "application/xml", **refusal.headers}
        if refusal.ec:
            headers["x-oss-ec"] = refusal.ec
        if request.method == "HEAD":
            # A HEAD answer has no body; the SDKs read this header.
            headers["x-oss-err"] = base64.b64encode(body).decode()
        return web.Response(status=refusal.status, body=body, headers=headers)

    def throttled(self, seconds: float) -> Refusal:
        """Return the error of OSS for throttled requests."""
        return Refusal(
            503, "SlowDown", "Please reduce your request rate.", headers={"Retry-After": f"{seconds:.0f}"}
        )

    def denied(self, right: str) -> Refusal:
        """Return the error of OSS for a missing right."""
        return Refusal(
            403,
            "AccessDenied",
            "You have no right to access this object.",
            ec="0003-00000202",
            denied=right,
        )

    def too_large(self) -> Refusal:
        """Return the error of OSS for a body that is too large."""
        return Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")

    async def _list_buckets(self, call: _Call) -> web.Response:
        prefix = call.query.get("prefix", "")
        found = [b for b in self._store.buckets() if b.name.startswith(prefix)]
        return _xml(
            "ListAllMyBucketsResult",
            [
                ("Owner", self._owner()),
                ("Buckets", [("Bucket", self._describe(b)) for b in found]),
            ],
        )

    async def _put_bucket(self, call: _Call) -> web.Response:
        self._store.create_bucket(call.bucket, self._cloud.region, self._cloud.owner)
        return _empty(headers={"Location": f"/{call.bucket}"})

    async def _delete_bucket(self, call: _Call) -> web.Response:
        self._store.delete_bucket(self._bucket(call.bucket).name)
        return _empty(204)

    async def _bucket_info(self, call: _Call) -> web.Response:
        found = self._bucket(call.bucket)
        return _xml("BucketInfo", [("Bucket", [*self._describe(found), *self._grants()])])

    async def _bucket_location(self, call: _Call) -> web.Response:
        return _xml("LocationConstraint", f"oss-{self._bucket(call.bucket).region}")

    async def _bucket_acl(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        return _xml("AccessControlPolicy", self._grants())

    async def _list_objects(self, call: _Call) -> web.Response:
        marker = call.query.get("marker", "")
        entries, more, fields = self._page(call, marker)
        fields.append(("Marker", call.encode(marker)))
        if more:
            fields.append(("NextMarker", call.encode(next(reversed(entries)))))
        return _xml("ListBucketResult", fields + self._entries(call, entries, with_owner=True))

    async def _list_objects_v2(self, call: _Call) -> web.Response:
        if call.query["list-type"] != "2":
            raise Refusal(400, "InvalidArgument", "list-type must be 2.")
        after = call.query.get("start-after", "")
        if token := call.query.get("continuation-token"):
            try:
                after = base64.urlsafe_b64decode(token).decode()
            except ValueError:
                raise Refusal(400, "InvalidArgument", "The continuation-token is not valid.") from None
        entries, more, fields = self._page(call, after)
        fields.append(("KeyCount", str(len(entries))))
        if more:
            last = next(reversed(entries)).encode()
            fields.append(("NextContinuationToken", base64.urlsafe_b64encode(last).decode()))
        with_owner = call.query.get("fetch-owner") == "true"
        return _xml("ListBucketResult", fields + self._entries(call, entries, with_owner=with_owner))

    def _page(
        self, call: _Call, after: str
    ) -> tuple[dict[str, StoredObject | None], bool, list[tuple[str, Content]]]:
        self._bucket(call.bucket)
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        limit = call.whole("max-keys", 1, 1000, default=100)
        entries, more = self._store.page(call.bucket, prefix, delimiter, after, limit)
        fields: list[tuple[str, Content]] = [
            ("Name", call.bucket),
            ("Prefix", call.encode(prefix)),
            ("MaxKeys", str(limit)),
            ("Delimiter", call.encode(delimiter)),
            ("IsTruncated", str(more).lower()),
        ]
        if call.query.get("encoding-type"):
            fields.append(("EncodingType", call.query["encoding-type"]))
        return entries, more, fields

    def _entries(
        self, call: _Call, entries: dict[str, StoredObject | None], *, with_owner: bool
    ) -> list[tuple[str, Content]]:
        owner: list[tuple[str, Content]] = [("Owner", self._owner())] if with_owner else []
        return [
            ("CommonPrefixes", [("Prefix", call.encode(entry))])
            if stored is None
            else (
                "Contents",
                [
                    ("Key", call.encode(entry)),
                    ("LastModified", _iso(stored.modified)),
                    ("ETag", f'"{stored.etag}"'),
                    ("Type", stored.type),
                    ("Size", str(stored.size)),
                    ("StorageClass", "Standard"),
                    *owner,
                ],
            )
            for entry, stored in entries.items()
        ]

    async def _put_object(self, call: _Call) -> web.Response:
        self._check_writable(call)
        if not call.overwrite and self._store.find(call.bucket, call.key):
            raise StoreError("FileAlreadyExists")
        before = self._size(call)
        async with self._received(call) as path:
            stored = await asyncio.to_thread(
                self._store.save, call.bucket, call.key, path, call.kept_headers, overwrite=call.overwrite
            )
        return self._notify(call, _empty(headers=_written(stored)), "PutObject", stored, before=before)

    async def _append_object(self, call: _Call) -> web.Response:
        self._check_writable(call)
        if "position" not in call.query:
            raise Refusal(400, "MissingArgument", "The position parameter is missing.", ec="0016-00000501")
        position = call.whole("position", 0, 10**18)
        async with self._received(call) as path:
            stored = await asyncio.to_thread(
                self._store.append,
                call.bucket,
                call.key,
                path,
                position,
                call.kept_headers,
                overwrite=call.overwrite,
            )
        response = _empty(headers={**_written(stored), "x-oss-next-append-position": str(stored.size)})
        return self._notify(call, response, "AppendObject", stored, before=position, position=position)

    async def _copy_object(self, call: _Call) -> web.Response:
        self._check_writable(call)
        stored, path = await self._copied(call)
        before = self._size(call)
        try:
            replace = call.header("x-oss-metadata-directive").upper() == "REPLACE"
            headers = call.kept_headers if replace else stored.headers
            stored = await asyncio.to_thread(
                self._store.save, call.bucket, call.key, path, headers, overwrite=call.overwrite
            )
        finally:
            path.unlink(missing_ok=True)
        return self._notify(
            call, _copy_result("CopyObjectResult", stored), "CopyObject", stored, before=before
        )

    async def _begin_upload(self, call: _Call) -> web.Response:
        self._check_writable(call)
        if not call.overwrite and self._store.find(call.bucket, call.key):
            raise StoreError("FileAlreadyExists")
        upload = self._store.begin_upload(call.bucket, call.key, call.kept_headers)
        response = _xml("InitiateMultipartUploadResult", [*_names(call), ("UploadId", upload.id)])
        return self._notify(call, response, "InitiateMultipartUpload", _nothing(call.key))

    async def _upload_part(self, call: _Call) -> web.Response:
        upload = self._upload(call)
        number = call.whole("partNumber", 1, _MAX_PART)
        if call.header("x-oss-copy-source"):
            _, path = await self._copied(call, call.header("x-oss-copy-source-range"))
            part = await asyncio.to_thread(self._store.save_part, upload, number, path)
            return self._notify(call, _copy_result("CopyPartResult", part), "UploadPartCopy", part)
        async with self._received(call) as path:
            part = await asyncio.to_thread(self._store.save_part, upload, number, path)
        return self._notify(call, _empty(headers=_written(part)), "UploadPart", part)

    async def _list_parts(self, call: _Call) -> web.Response:
        upload = self._upload(call)
        limit = call.whole("max-parts", 1, 1000, default=1000)
        marker = call.whole("part-number-marker", 0, _MAX_PART, default=0)
        numbers = sorted(number for number in upload.parts if number > marker)
        fields: list[tuple[str, Content]] = [
            *_names(call),
            ("UploadId", upload.id),
            ("StorageClass", "Standard"),
            ("PartNumberMarker", str(marker)),
            ("MaxParts", str(limit)),
            ("IsTruncated", str(len(numbers) > limit).lower()),
        ]
        fields.append(("NextPartNumberMarker", str([marker, *numbers[:limit]][-1])))
        for number in numbers[:limit]:
            part = upload.parts[number]
            described: list[tuple[str, Content]] = [
                ("PartNumber", str(number)),
                ("LastModified", _iso(part.modified)),
                ("ETag", f'"{part.etag}"'),
                ("HashCrc64ecma", str(part.crc64)),
                ("Size", str(part.size)),
            ]
            fields.append(("Part", described))
        return _xml("ListPartsResult", fields)

    async def _complete_upload(self, call: _Call) -> web.Response:
        upload = self._upload(call)
        numbers = sorted(upload.parts)
        if call.header("x-oss-complete-all").lower() != "yes":
            listed = [
                (part.findtext("PartNumber", "").strip(), part.findtext("ETag", "").strip().strip('"'))
                for part in (await _document(call)).iter("Part")
            ]
            numbers = []
            for text, etag in listed:
                known = upload.parts.get(int(text)) if re.fullmatch("[0-9]{1,5}", text) else None
                if known is None or etag.upper() != known.etag:
                    raise Refusal(
                        400, "InvalidPart", "One or more of the specified parts could not be found."
                    )
                if numbers and int(text) <= numbers[-1]:
                    raise Refusal(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
                numbers.append(int(text))
        if not numbers:
            raise Refusal(400, "MalformedXML", "The XML you provided lists no part.")
        if any(upload.parts[number].size < _MIN_PART_SIZE for number in numbers[:-1]):
            raise Refusal(
                400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size."
            )
        before = self._size(call)
        stored = await asyncio.to_thread(
            self._store.complete_upload, upload, numbers, overwrite=call.overwrite
        )
        location = f"{self._cloud.endpoint}/{call.bucket}/{quote(call.key)}"
        response = _xml(
            "CompleteMultipartUploadResult",
            [("Location", location), *_names(call), ("ETag", f'"{stored.etag}"')],
        )
        response.headers.update(_written(stored))
        return self._notify(call, response, "CompleteMultipartUpload", stored, before=before)

    async def _abort_upload(self, call: _Call) -> web.Response:
        self._store.abort_upload(self._upload(call))
        return self._notify(call, _empty(204), "AbortMultipartUpload", _nothing(call.key))

    async def _get_object(self, call: _Call) -> web.StreamResponse:
        stored = self._object(call.bucket, call.key)
        headers = {
            "x-oss-request-id": _request_id(),
            "x-oss-object-type": stored.type,
            "x-oss-storage-class": "Standard",
            "Accept-Ranges": "bytes",
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            **stored.headers,
            **_written(stored),
        }
        if stored.type == "Appendable":
            headers["x-oss-next-append-position"] = str(stored.size)
        for name in _RESPONSE_HEADERS:
            if value := call.query.get(f"response-{name}"):
                if not value.isprintable():
                    raise Refusal(400, "InvalidArgument", f"response-{name} is not valid.")
                headers[name] = value
        if call.header("If-Match") and call.header("If-Match").strip('"') != stored.etag:
            raise _precondition_failed()
        if call.header("If-None-Match").strip('"') == stored.etag:
            return web.Response(status=304, headers=headers)
        wanted = _range(call, stored.size)
        begin, end = wanted or (0, stored.size)
        status = 206 if wanted else 200
        if wanted:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.size}"
        path = self._store.path(call.bucket, call.key)
        if call.request.method == "GET" and end - begin <= _IN_ONE_PIECE:
            body = await asyncio.to_thread(_read, path, begin, end - begin)
            return web.Response(status=status, body=body, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - begin
        await response.prepare(call.request)
        if call.request.method == "GET":
            with path.open("rb") as stream:
                stream.seek(begin)
                while begin < end:
                    chunk = await asyncio.to_thread(stream.read, min(_CHUNK, end - begin))
                    begin += len(chunk)
                    await response.write(chunk)
        await response.write_eof()
        return response

    async def _media_info(self, call: _Call) -> web.Response:
        stored = self._object(call.bucket, call.key)
        kind = call.query["x-oss-process"].partition("/")[0]
        if kind != "image" and self._bucket(call.bucket).imm_project is None:
            raise Refusal(
                404, "Imm Client", "ResourceNotFound, The specified resource Attachment is not found."
            )
        # The libraries are imported with the first request that needs them.
        from airflow_provider_oss_async.local.processing.media_info import describe

        path = self._store.path(call.bucket, call.key)
        try:
            found = await asyncio.to_thread(describe, kind, path)
        except JobFailed as error:
            if kind == "image":
                raise Refusal(400, error.code, error.message) from None
            # The words for a file that cannot be read are not documented.
            raise Refusal(400, "Imm Client", f"{error.code}, {error.message}", ec="0056-00000001") from None
        if kind != "image" and self._cloud.behaviour.info_body == "foreign":
            found = {"format": {"duration": str(found.get("Duration", ""))}, "streams": []}
        request_id = _request_id()
        return web.json_response(
            found if kind == "image" else {"RequestId": request_id, **found},
            headers={
                "x-oss-request-id": request_id,
                "Last-Modified": formatdate(stored.modified, usegmt=True),
                **_written(stored),
            },
        )

    async def _delete_object(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        deleted = self._store.delete(call.bucket, call.key)
        return self._notify_deleted(call, _empty(204), "DeleteObject", deleted)

    async def _delete_objects(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        document = await _document(call)
        keys = [element.findtext("Key", "") for element in document.iter("Object")]
        if not 1 <= len(keys) <= 1000 or not all(keys):
            raise Refusal(400, "MalformedXML", "The XML you provided must list 1 to 1000 keys.")
        deleted = [self._store.delete(call.bucket, key) for key in keys]
        if document.findtext("Quiet", "").strip().lower() == "true":
            return self._notify_deleted(call, _empty(), "DeleteObjects", *deleted)
        fields: list[tuple[str, Content]] = [("Deleted", [("Key", call.encode(key))]) for key in keys]
        if call.query.get("encoding-type"):
            fields.insert(0, ("EncodingType", call.query["encoding-type"]))
        return self._notify_deleted(call, _xml("DeleteResult", fields), "DeleteObjects", *deleted)

    async def _async_process(self, call: _Call) -> web.Response:
        body = await call.request.read()
        if len(body) > _MAX_PROCESS:
            raise self.too_large()
        _check_md5(call, hashlib.md5(body).digest())  # noqa: S324  (what the header holds)
        found = self._bucket(call.bucket)
        name, _, text = body.decode("utf-8", "replace").partition("=")
        if name != "x-oss-async-process" or not text:
            raise Refusal(400, "InvalidRequest", "no x-oss-async-process parameter found")
        self._object(call.bucket, call.key)
        job = accept(self._cloud, found, call.key, text)
        return web.json_response(
            {"EventId": job.event_id, "RequestId": job.request_id, "TaskId": job.task_id},
            headers={"x-oss-request-id": _request_id()},
        )

    async def _not_implemented(self, call: _Call) -> web.Response:
        raise Refusal(
            501, "NotImplemented", "This is a local stand-in for OSS; it does not have this operation."
        )

    def _notify(
        self,
        call: _Call,
        response: web.Response,
        action: str,
        stored: StoredObject,
        *,
        before: int = 0,
        position: int | None = None,
    ) -> web.Response:
        """Raise the event of an action that was carried out, and return the response."""
        self._cloud.raise_event(
            call.bucket,
            stored,
            event_type(action),
            before=before,
            position=position,
            request_id=response.headers["x-oss-request-id"],
            source_ip=call.request.remote or "",
        )
        return response

    def _notify_deleted(
        self, call: _Call, response: web.Response, action: str, *deleted: StoredObject | None
    ) -> web.Response:
        for stored in filter(None, deleted):
            self._notify(call, response, action, _nothing(stored.key), before=stored.size)
        return response

    def _size(self, call: _Call) -> int:
        """Return how many bytes an object has before it is written."""
        found = self._store.find(call.bucket, call.key)
        return found.size if found else 0

    @asynccontextmanager
    async def _received(self, call: _Call) -> AsyncIterator[Path]:
        """Provide the body as a file, which is removed unless it was moved."""
        path, digest = self._store.temporary(), hashlib.md5()  # noqa: S324  (what Content-MD5 holds)
        try:
            with path.open("wb") as stream:
                async for chunk in call.request.content.iter_chunked(_CHUNK):
                    digest.update(chunk)
                    await asyncio.to_thread(stream.write, chunk)
            _check_md5(call, digest.digest())
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _copied(self, call: _Call, range_header: str = "") -> tuple[StoredObject, Path]:
        """Return the source of a copy and a file with its bytes."""
        named = unquote(call.header("x-oss-copy-source").partition("?")[0]).removeprefix("/")
        bucket, _, key = named.partition("/")
        if not key:
            raise Refusal(400, "InvalidArgument", "x-oss-copy-source must be /bucket/key.")
        stored = self._object(bucket, key)
        if stored.type == "Appendable":
            raise Refusal(400, "OperationNotSupported", "An appendable object cannot be copied.")
        condition = call.header("x-oss-copy-source-if-match").strip('"')
        if condition and condition != stored.etag:
            raise _precondition_failed()
        path = self._store.temporary()
        if not await asyncio.to_thread(self._store.link, bucket, key, path):
            raise _no_such_key()
        match = _RANGE.fullmatch(range_header)
        if match and match[0] != "bytes=-":
            begin, end = _bounds(match[1], match[2], stored.size)
            await asyncio.to_thread(_cut, path, begin, end)
        return stored, path

    def _check_writable(self, call: _Call) -> None:
        self._bucket(call.bucket)
        if len(call.key.encode()) > 1023 or call.key[0] in "/\\":
            raise Refusal(400, "InvalidObjectName", "The specified object is not valid.")

    def _upload(self, call: _Call) -> Upload:
        self._bucket(call.bucket)
        upload = self._store.upload(call.bucket, call.key, call.query["uploadId"])
        if upload is None:
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist.")
        return upload

    def _bucket(self, name: str) -> Bucket:
        found = self._store.bucket(name)
        if found is None:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.", ec="0015-00000101")
        if found.region != self._cloud.region:
            raise Refusal(
                403,
                "AccessDenied",
                "The bucket you are attempting to access must be addressed using the specified endpoint. "
                "Please send all future requests to this endpoint.",
            )
        return found

    def _object(self, bucket: str, key: str) -> StoredObject:
        self._bucket(bucket)
        found = self._store.find(bucket, key)
        if found is None:
            raise _no_such_key()
        return found

    def _describe(self, bucket: Bucket) -> list[tuple[str, Content]]:
        return [
            ("Name", bucket.name),
            ("Location", f"oss-{bucket.region}"),
            ("Region", bucket.region),
            ("CreationDate", _iso(bucket.created)),
            ("StorageClass", "Standard"),
            ("ExtranetEndpoint", self._cloud.endpoint),
            ("IntranetEndpoint", self._cloud.endpoint),
        ]

    def _owner(self) -> list[tuple[str, Content]]:
        return [("ID", self._cloud.owner), ("DisplayName", self._cloud.owner)]

    def _grants(self) -> list[tuple[str, Content]]:
        return [("Owner", self._owner()), ("AccessControlList", [("Grant", "private")])]


def _address(request: web.Request) -> tuple[str, str]:
    """Return bucket and key, from the host name (``bucket.localhost``) or else from the path."""
    path = SignedRequest("", request.raw_path, {}).path[1:]
    host = request.host.partition(":")[0]
    if host.endswith(".localhost"):
        return host.partition(".")[0], path
    bucket, _, key = path.partition("/")
    return bucket, key


def _action(request: web.Request, bucket: str, key: str, query: dict[str, str]) -> str:
    level = "object" if key else "bucket" if bucket else "service"
    names = query.keys() | ({"x-oss-copy-source"} & {name.lower() for name in request.headers})
    for operation in OPERATIONS:
        if (operation.level, operation.method) == (level, request.method) and operation.required <= names:
            signing = {n for n in names if n.startswith("x-oss-") and n != "x-oss-process"} | _V1_QUERY
            unknown = names - operation.required - operation.optional - signing
            if operation.action == "ProcessObject" and not unknown:
                named = query["x-oss-process"]
                return named if named in INFO_OPERATIONS else "NotImplemented"
            return "NotImplemented" if unknown else operation.action
    return "NotImplemented"


def _refusal(error: StoreError) -> Refusal:
    status, message, ec = _STORE_ERRORS[error.code]
    appended = error.code == "PositionNotEqualToLength"
    headers = {"x-oss-next-append-position": str(error.length)} if appended else {}
    return Refusal(status, error.code, message, ec=ec, headers=headers)


_STORE_ERRORS = {
    "InvalidBucketName": (400, "The specified bucket is not valid.", ""),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty.", ""),
    "FileAlreadyExists": (
        409,
        "The object you specified already exists and can not be overwritten.",
        "0026-00000201",
    ),
    "ObjectNotAppendable": (409, "The object is not appendable.", ""),
    "PositionNotEqualToLength": (409, "Position is not equal to file length.", ""),
}


def _no_such_key() -> Refusal:
    return Refusal(404, "NoSuchKey", "The specified key does not exist.", ec="0026-00000001")


def _nothing(key: str) -> StoredObject:
    """Return what an event says of an object that does not exist."""
    return StoredObject(key, 0, "", 0, {})


def _precondition_failed() -> Refusal:
    return Refusal(
        412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
    )


def _written(stored: StoredObject) -> dict[str, str]:
    """Return the headers that identify the bytes of an object."""
    etag = {"ETag": f'"{stored.etag}"'}
    # An object of an earlier version of the stand-in has none.
    return {**etag, "x-oss-hash-crc64ecma": str(stored.crc64)} if stored.crc64 or not stored.size else etag


def _copy_result(tag: str, stored: StoredObject) -> web.Response:
    response = _xml(tag, [("ETag", f'"{stored.etag}"'), ("LastModified", _iso(stored.modified))])
    response.headers.update(_written(stored))
    return response


def _names(call: _Call) -> list[tuple[str, Content]]:
    encoding = call.query.get("encoding-type", "")
    encoded: list[tuple[str, Content]] = [("EncodingType", encoding)] if encoding else []
    return [*encoded, ("Bucket", call.bucket), ("Key", call.encode(call.key))]


def _empty(status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers={"x-oss-request-id": _request_id(), **(headers or {})})


def _xml(tag: str, content: Content) -> web.Response:
    headers = {"x-oss-request-id": _request_id(), "Content-Type": "application/xml"}
    return web.Response(body=to_xml(tag, content), headers=headers)


async def _document(call: _Call) -> ET.Element:
    body = await call.request.read()
    _check_md5(call, hashlib.md5(body).digest())  # noqa: S324  (what the header holds)
    try:
        return read_xml(body)
    except ValueError:
        raise Refusal(400, "MalformedXML", "The XML you provided was not well-formed.") from None


def _request_id() -> str:
    return secrets.token_hex(12).upper()


def _iso(seconds: float) -> str:
    return f"{iso(int(seconds) * 10**9)[:19]}.000Z"


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """Return begin and end of a range that has at least one of its two numbers."""
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    return begin, end


def _range(call: _Call, size: int) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(call.header("Range"))
    if match is None or match[0] == "bytes=-":
        return None
    begin, end = _bounds(match[1], match[2], size)
    if begin < end:
        return begin, end
    if call.header("x-oss-range-behavior") == "standard":
        raise Refusal(416, "InvalidRange", "The requested range cannot be satisfied.")
    # OSS ignores a range that does not fit.
    return None


def _read(path: Path, begin: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(begin)
        return stream.read(size)


def _cut(path: Path, begin: int, end: int) -> None:
    data = _read(path, begin, max(0, end - begin))
    # The file may be a second name of an object.
    path.unlink()
    path.write_bytes(data)


def _check_md5(call: _Call, digest: bytes) -> None:
    given = call.request.headers.get("Content-MD5")
    if given is not None and given != base64.b64encode(digest).decode():
        raise Refusal(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
