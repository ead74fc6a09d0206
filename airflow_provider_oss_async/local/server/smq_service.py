"""SMQ (formerly MNS): the REST calls on messages. Topics and queues are created through the admin interface.

The codes are those of the SMQ error pages. Not documented where it could be read, and chosen here: the status
of a stale receipt handle (400), the code of a body that is too large, and the answer to throttled requests.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_oss_async.local.server.broker import NAMESPACE, Message, Queue
from airflow_provider_oss_async.local.server.markup import Content, read_xml, to_xml
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.rights import denial
from airflow_provider_oss_async.local.server.signatures import SignedRequest

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Awaitable, Callable

    from airflow_provider_oss_async.local.server.cloud import Cloud

MAX_WAIT = 30
MAX_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Call:
    parts: list[str]
    query: dict[str, str]
    document: ET.Element | None
    connected: Callable[[], bool]


class SMQService:
    """Answers the requests to SMQ.

    :param cloud: state that all services share.
    """

    name = "SMQ"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._broker = cloud.broker

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Return the action of a request and its handler."""
        signed = SignedRequest(request.method, request.raw_path, request.headers)
        parts = [part for part in signed.path.split("/") if part]
        query = dict(signed.query)
        routes = {
            ("POST", "queues"): ("SendMessage", self._send),
            ("GET", "queues"): (
                "BatchReceiveMessage" if "numOfMessages" in query else "ReceiveMessage",
                self._receive,
            ),
            ("DELETE", "queues"): (
                "DeleteMessage" if "ReceiptHandle" in query else "BatchDeleteMessage",
                self._delete,
            ),
            ("PUT", "queues"): ("ChangeMessageVisibility", self._change_visibility),
            ("POST", "topics"): ("PublishMessage", self._publish),
        }
        fits = len(parts) == 3 and parts[2] == "messages"
        if (request.method, parts[:1], len(parts)) == ("GET", ["topics"], 2):
            routes, fits = {("GET", "topics"): ("GetTopicAttributes", self._topic)}, True
        action, handler = routes.get((request.method, parts[0]), ("", None)) if fits else ("", None)

        async def handle(request: web.Request) -> web.StreamResponse:
            self._cloud.verifier.smq(signed)
            if handler is None or "peekonly" in query:
                raise Refusal(
                    400,
                    "InvalidRequestURL",
                    "The format of the request URL is not valid, or the stand-in does not have the "
                    "operation.",
                )
            body = await request.read()
            _check_md5(request, body)
            try:
                document = read_xml(body) if body else None
            except ValueError:
                raise Refusal(400, "MalformedXML", "The XML you provided was not well-formed.") from None
            return await handler(_Call(parts, query, document, lambda: request.transport is not None))

        return action, handle

    def too_large(self) -> Refusal:
        """Return the error of SMQ for a body that is too large."""
        return Refusal(400, "MessageBodyTooLarge", "The body of the request is too large.")

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """Return an error in the form of SMQ."""
        request_id = uuid.uuid4().hex.upper()
        fields: list[tuple[str, Content]] = [
            ("Code", refusal.code),
            ("Message", refusal.message),
            ("RequestId", request_id),
            ("HostId", f"http://{request.host}"),
        ]
        if refusal.denied:
            fields.append(("AccessDeniedDetail", list(denial(refusal.denied).items())))
        return _answer(refusal.status, "Error", fields, request_id=request_id, headers=refusal.headers)

    def denied(self, right: str) -> Refusal:
        """Return the error of SMQ for a missing right."""
        text = "The OwnerId that your Access Key Id associated to is forbidden for this operation."
        return Refusal(403, "AccessDenied", text, denied=right)

    def throttled(self, seconds: float) -> Refusal:
        """Return the error of SMQ for throttled requests."""
        return Refusal(429, "ThrottlingException", "Request was denied due to request throttling.")

    async def _send(self, call: _Call) -> web.Response:
        message = Message(_body(call.document))
        self._queue(call.parts[1]).put(message)
        return _answer(201, "Message", [("MessageId", message.id), ("MessageBodyMD5", message.md5)])

    async def _receive(self, call: _Call) -> web.Response:
        queue = self._queue(call.parts[1])
        wait = _number(call.query, "waitseconds", 0, MAX_WAIT, 0)
        count = _number(call.query, "numOfMessages", 1, MAX_BATCH, 1)
        messages = await queue.receive(int(count), wait, self._broker.closing, call.connected)
        if not messages:
            raise Refusal(404, "MessageNotExist", "Message not exist.")
        described = [_describe(message) for message in messages]
        if "numOfMessages" in call.query:
            return _answer(200, "Messages", [("Message", fields) for fields in described])
        return _answer(200, "Message", described[0])

    async def _delete(self, call: _Call) -> web.Response:
        queue = self._queue(call.parts[1])
        if "ReceiptHandle" in call.query:
            if not queue.delete(call.query["ReceiptHandle"]):
                raise _stale_handle()
            return _answer(204)
        handles = (
            [(element.text or "").strip() for element in call.document] if call.document is not None else []
        )
        if not 1 <= len(handles) <= MAX_BATCH:
            raise Refusal(400, "InvalidArgument", f"1 to {MAX_BATCH} receipt handles are required.")
        stale = [handle for handle in handles if not queue.delete(handle)]
        if not stale:
            return _answer(204)
        error = _stale_handle()
        errors: list[tuple[str, Content]] = [
            ("Error", [("ErrorCode", error.code), ("ErrorMessage", error.message), ("ReceiptHandle", handle)])
            for handle in stale
        ]
        return _answer(error.status, "Errors", errors)

    async def _change_visibility(self, call: _Call) -> web.Response:
        seconds = _number(call.query, "VisibilityTimeout", 1, 43_200, 30)
        message = self._queue(call.parts[1]).change_visibility(call.query.get("ReceiptHandle", ""), seconds)
        if message is None:
            raise _stale_handle()
        return _answer(
            200,
            "ChangeVisibility",
            [("ReceiptHandle", message.handle), ("NextVisibleTime", str(int(message.visible_at * 1000)))],
        )

    async def _topic(self, call: _Call) -> web.Response:
        if call.parts[1] not in self._broker.topics:
            raise _no_topic()
        return _answer(200, "Topic", [("TopicName", call.parts[1])])

    async def _publish(self, call: _Call) -> web.Response:
        message = self._broker.publish(call.parts[1], _body(call.document))
        if message is None:
            raise _no_topic()
        return _answer(201, "Message", [("MessageId", message.id), ("MessageBodyMD5", message.md5)])

    def _queue(self, name: str) -> Queue:
        queue = self._broker.queues.get(name)
        if queue is None:
            raise Refusal(404, "QueueNotExist", "The queue name you provided is not exist.")
        return queue


def _answer(
    status: int,
    tag: str = "",
    content: Content = "",
    *,
    request_id: str = "",
    headers: dict[str, str] | None = None,
) -> web.Response:
    every = {"x-mns-request-id": request_id or uuid.uuid4().hex.upper(), "x-mns-version": "2015-06-06"}
    body = to_xml(tag, content, NAMESPACE) if tag else None
    kind = {"Content-Type": "text/xml;charset=utf-8"} if tag else {}
    return web.Response(status=status, body=body, headers={**every, **kind, **(headers or {})})


def _describe(message: Message) -> list[tuple[str, Content]]:
    return [
        ("MessageId", message.id),
        ("ReceiptHandle", message.handle),
        ("MessageBody", message.body),
        ("MessageBodyMD5", message.md5),
        ("EnqueueTime", str(int(message.enqueued * 1000))),
        ("NextVisibleTime", str(int(message.visible_at * 1000))),
        ("FirstDequeueTime", str(int(message.first_received * 1000))),
        ("DequeueCount", str(message.received)),
        ("Priority", "8"),
    ]


def _body(document: ET.Element | None) -> str:
    body = document.findtext("MessageBody") if document is not None else None
    if not body:
        raise Refusal(400, "InvalidArgument", "MessageBody is required.")
    return body


def _number(given: dict[str, str], name: str, low: float, high: float, default: float) -> float:
    try:
        value = float(given[name]) if name in given else default
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise Refusal(
            400,
            "InvalidArgument",
            f"The value of {name} must be between {low:.0f} and {high:.0f} seconds/bytes.",
        )
    return value


def _check_md5(request: web.Request, body: bytes) -> None:
    given = request.headers.get("Content-MD5")
    digest = hashlib.md5(body)  # noqa: S324  (what the header holds)
    # The documentation has base64 of the digest; the official Python SDK sends base64 of its hex form.
    both = [base64.b64encode(form).decode() for form in (digest.digest(), digest.hexdigest().encode())]
    if given and given not in both:
        raise Refusal(400, "InvalidDegist", "The Content-MD5 you specified is invalid.")


def _no_topic() -> Refusal:
    return Refusal(404, "TopicNotExist", "The topic name you provided is not exist.")


def _stale_handle() -> Refusal:
    return Refusal(400, "ReceiptHandleError", "The receipt handle you provided has expired.")
