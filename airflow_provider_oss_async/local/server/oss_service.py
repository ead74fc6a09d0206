"""OSS: buckets, objects and the submission of asynchronous processing.

What the stand-in does not have is answered with 501 ``NotImplemented``, a code OSS uses as well.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from airflow_provider_oss_async.local.server.job_runner import iso
from airflow_provider_oss_async.local.server.markup import Content, to_xml
from airflow_provider_oss_async.local.server.process_request import accept
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.signatures import SignedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.cloud import Cloud
    from airflow_provider_oss_async.local.server.store import Bucket, StoredObject

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
#: Query names an object request may have, besides those of a presigned URL.
_OBJECT_QUERY = frozenset({"objectMeta", "x-oss-async-process"})
_CHUNK = 1 << 20
_IN_ONE_PIECE = 1 << 18
_KEPT_HEADERS = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")


@dataclass(frozen=True, slots=True)
class _Call:
    request: web.Request
    bucket: str
    key: str
    query: dict[str, str]


class OSSService:
    """Answers the requests to OSS.

    :param cloud: what all services share.
    """

    name = "OSS"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._store = cloud.store

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Return the action a request asks for, and what carries it out."""
        bucket, key = _address(request)
        query = dict(SignedRequest(request.method, request.raw_path, request.headers).query)
        action: str
        if key:
            action = {
                "PUT": "PutObject",
                "GET": "GetObject",
                "HEAD": "HeadObject",
                "DELETE": "DeleteObject",
            }.get(request.method, "")
            if request.method == "POST" and "x-oss-async-process" in query:
                action = "AsyncProcessObject"
            presigned = {name for name in query if name.startswith("x-oss-") and name != "x-oss-process"}
            unknown = query.keys() - _OBJECT_QUERY - presigned
            if not action or unknown or "x-oss-copy-source" in request.headers:
                action = "NotImplemented"
        elif bucket:
            action = {"PUT": "PutBucket", "GET": "ListObjects", "DELETE": "DeleteBucket"}.get(
                request.method, "NotImplemented"
            )
            if action == "ListObjects":
                subresources = {
                    "bucketInfo": "GetBucketInfo",
                    "location": "GetBucketLocation",
                    "acl": "GetBucketAcl",
                }
                named = [subresources[name] for name in subresources if name in query]
                v2 = "ListObjectsV2" if query.get("list-type") == "2" else "NotImplemented"
                action = named[0] if named else v2
        else:
            action = "ListBuckets" if request.method == "GET" else "NotImplemented"
        actions: dict[str, Callable[[_Call], Awaitable[web.StreamResponse]]] = {
            "ListBuckets": self._list_buckets,
            "PutBucket": self._put_bucket,
            "DeleteBucket": self._delete_bucket,
            "GetBucketInfo": self._bucket_info,
            "GetBucketLocation": self._bucket_location,
            "GetBucketAcl": self._bucket_acl,
            "ListObjectsV2": self._list_objects,
            "PutObject": self._put_object,
            "GetObject": self._get_object,
            "HeadObject": self._get_object,
            "DeleteObject": self._delete_object,
            "AsyncProcessObject": self._async_process,
            "NotImplemented": self._not_implemented,
        }

        async def handle(request: web.Request) -> web.StreamResponse:
            signed = SignedRequest(request.method, request.raw_path, request.headers)
            resource = f"/{bucket}/{key}" if bucket else "/"
            self._cloud.verifier.oss(signed, resource, self._cloud.region)
            return await actions[action](_Call(request, bucket, key, query))

        return action, handle

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """Return an error as OSS writes it."""
        request_id = _request_id()
        fields: list[tuple[str, Content]] = [
            ("Code", refusal.code),
            ("Message", refusal.message),
            ("RequestId", request_id),
            ("HostId", request.host),
        ]
        if refusal.ec:
            fields.append(("EC", refusal.ec))
        body = to_xml("Error", fields)
        headers = {"x-oss-request-id": request_id, "Content-Type": "application/xml", **refusal.headers}
        if refusal.ec:
            headers["x-oss-ec"] = refusal.ec
        if request.method == "HEAD":
            # A HEAD answer has no body; the SDKs look here.
            headers["x-oss-err"] = base64.b64encode(body).decode()
        return web.Response(status=refusal.status, body=body, headers=headers)

    def throttled(self, seconds: float) -> Refusal:
        """Return what OSS says when requests come too fast."""
        return Refusal(
            503, "SlowDown", "Please reduce your request rate.", headers={"Retry-After": f"{seconds:.0f}"}
        )

    async def _list_buckets(self, call: _Call) -> web.Response:
        prefix = call.query.get("prefix", "")
        found = [b for b in self._store.buckets() if b.name.startswith(prefix)]
        return _xml(
            "ListAllMyBucketsResult",
            [
                ("Owner", [("ID", self._cloud.owner), ("DisplayName", self._cloud.owner)]),
                ("Buckets", [("Bucket", self._describe(b)) for b in found]),
            ],
        )

    async def _put_bucket(self, call: _Call) -> web.Response:
        if not _BUCKET.fullmatch(call.bucket):
            raise Refusal(400, "InvalidBucketName", "The specified bucket is not valid.")
        self._store.create_bucket(call.bucket, self._cloud.region, self._cloud.owner)
        return web.Response(headers={"x-oss-request-id": _request_id(), "Location": f"/{call.bucket}"})

    async def _delete_bucket(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        try:
            self._store.delete_bucket(call.bucket)
        except ValueError:
            raise Refusal(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.") from None
        return web.Response(status=204, headers={"x-oss-request-id": _request_id()})

    async def _bucket_info(self, call: _Call) -> web.Response:
        found = self._bucket(call.bucket)
        return _xml("BucketInfo", [("Bucket", [*self._describe(found), *_grants(found)])])

    async def _bucket_location(self, call: _Call) -> web.Response:
        return _xml("LocationConstraint", f"oss-{self._bucket(call.bucket).region}")

    async def _bucket_acl(self, call: _Call) -> web.Response:
        return _xml("AccessControlPolicy", _grants(self._bucket(call.bucket)))

    async def _list_objects(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        after = call.query.get("start-after", "")
        try:
            limit = int(call.query.get("max-keys") or 100)
            if token := call.query.get("continuation-token"):
                after = base64.urlsafe_b64decode(token).decode()
        except ValueError:
            raise Refusal(400, "InvalidArgument", "max-keys or continuation-token is not valid.") from None
        if not 1 <= limit <= 1000:
            raise Refusal(400, "InvalidArgument", "max-keys must be between 1 and 1000.")
        entries, more = self._store.page(call.bucket, prefix, delimiter, after, limit)
        code = quote if call.query.get("encoding-type") == "url" else str
        fields: list[tuple[str, Content]] = [
            ("Name", call.bucket),
            ("Prefix", code(prefix)),
            ("MaxKeys", str(limit)),
            ("Delimiter", code(delimiter)),
            ("KeyCount", str(len(entries))),
            ("IsTruncated", str(more).lower()),
        ]
        if call.query.get("encoding-type"):
            fields.append(("EncodingType", call.query["encoding-type"]))
        if more:
            last = next(reversed(entries))
            fields.append(("NextContinuationToken", base64.urlsafe_b64encode(last.encode()).decode()))
        for entry, stored in entries.items():
            if stored is None:
                fields.append(("CommonPrefixes", [("Prefix", code(entry))]))
            else:
                fields.append(
                    (
                        "Contents",
                        [
                            ("Key", code(entry)),
                            ("LastModified", _iso(stored.modified)),
                            ("ETag", f'"{stored.etag}"'),
                            ("Type", "Normal"),
                            ("Size", str(stored.size)),
                            ("StorageClass", "Standard"),
                        ],
                    )
                )
        return _xml("ListBucketResult", fields)

    async def _put_object(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        if len(call.key.encode()) > 1023 or call.key[0] in "/\\":
            raise Refusal(400, "InvalidObjectName", "The specified object is not valid.")
        if call.request.headers.get("x-oss-forbid-overwrite") == "true" and self._store.find(
            call.bucket, call.key
        ):
            raise Refusal(
                409,
                "FileAlreadyExists",
                "The object you specified already exists and can not be overwritten.",
            )
        path = self._store.temporary()
        try:
            digest = await _receive(call.request, path)
            _check_md5(call.request, digest)
            kept = {
                name.lower(): value
                for name, value in call.request.headers.items()
                if name.lower() in _KEPT_HEADERS or name.lower().startswith("x-oss-meta-")
            }
            stored = await asyncio.to_thread(self._store.save, call.bucket, call.key, path, kept)
        finally:
            path.unlink(missing_ok=True)
        return web.Response(headers={"x-oss-request-id": _request_id(), "ETag": f'"{stored.etag}"'})

    async def _get_object(self, call: _Call) -> web.StreamResponse:
        stored = self._object(call.bucket, call.key)
        etag = f'"{stored.etag}"'
        headers = {
            "x-oss-request-id": _request_id(),
            "x-oss-object-type": "Normal",
            "x-oss-storage-class": "Standard",
            "Accept-Ranges": "bytes",
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "ETag": etag,
            **stored.headers,
        }
        if call.request.headers.get("If-Match", etag).strip('"') != stored.etag:
            raise Refusal(
                412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
            )
        if call.request.headers.get("If-None-Match", "").strip('"') == stored.etag:
            return web.Response(status=304, headers=headers)
        begin, end, status = 0, stored.size, 200
        # A range that does not fit is ignored, as OSS does.
        if (match := _RANGE.fullmatch(call.request.headers.get("Range", ""))) and match[0] != "bytes=-":
            first, last = match[1], match[2]
            low = int(first) if first else max(0, stored.size - int(last))
            high = min(int(last) + 1, stored.size) if first and last else stored.size
            if low < high:
                begin, end, status = low, high, 206
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

    async def _delete_object(self, call: _Call) -> web.Response:
        self._bucket(call.bucket)
        self._store.delete(call.bucket, call.key)
        return web.Response(status=204, headers={"x-oss-request-id": _request_id()})

    async def _async_process(self, call: _Call) -> web.Response:
        body = await call.request.read()
        _check_md5(call.request, hashlib.md5(body).digest())  # noqa: S324  (what the header holds)
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
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.", ec="0026-00000001")
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


def _address(request: web.Request) -> tuple[str, str]:
    """Return bucket and key, from the host name (``bucket.localhost``) or else from the path."""
    path = SignedRequest("", request.raw_path, {}).path[1:]
    host = request.host.partition(":")[0]
    if host.endswith(".localhost"):
        return host.partition(".")[0], path
    bucket, _, key = path.partition("/")
    return bucket, key


def _grants(bucket: Bucket) -> list[tuple[str, Content]]:
    return [
        ("Owner", [("ID", bucket.owner), ("DisplayName", bucket.owner)]),
        ("AccessControlList", [("Grant", "private")]),
    ]


def _xml(tag: str, content: Content) -> web.Response:
    headers = {"x-oss-request-id": _request_id(), "Content-Type": "application/xml"}
    return web.Response(body=to_xml(tag, content), headers=headers)


def _request_id() -> str:
    return secrets.token_hex(12).upper()


def _iso(seconds: float) -> str:
    return f"{iso(int(seconds) * 10**9)[:19]}.000Z"


def _read(path: Path, begin: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(begin)
        return stream.read(size)


async def _receive(request: web.Request, path: Path) -> bytes:
    digest = hashlib.md5()  # noqa: S324  (what Content-MD5 holds)
    with path.open("wb") as stream:
        async for chunk in request.content.iter_chunked(_CHUNK):
            digest.update(chunk)
            await asyncio.to_thread(stream.write, chunk)
    return digest.digest()


def _check_md5(request: web.Request, digest: bytes) -> None:
    given = request.headers.get("Content-MD5")
    if given is not None and given != base64.b64encode(digest).decode():
        raise Refusal(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
