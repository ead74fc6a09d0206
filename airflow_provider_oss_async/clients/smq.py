"""Asynchronous client for the queues of SMQ (Simple Message Queue, formerly MNS).

API version 2015-06-06: XML over HTTP, signed with HMAC-SHA1 ("Sign requests",
https://www.alibabacloud.com/help/doc-detail/27487.htm).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from airflow_provider_oss_async.clients.access_denied import denial_of_xml
from airflow_provider_oss_async.clients.http import Answer, Call, Endpoint
from airflow_provider_oss_async.clients.markup import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    import aiohttp

    from airflow_provider_oss_async.clients.credentials import Credentials, CredentialsSource
    from airflow_provider_oss_async.exceptions import OSSServiceError

_VERSION = "2015-06-06"
_NAMESPACE = "http://mns.aliyuncs.com/doc/v1/"

#: Messages that one request can receive or delete.
MAX_BATCH = 16

#: Seconds that the service holds a request while the queue is empty.
MAX_WAIT = 30

#: Seconds for which a received message can be hidden from other receivers.
MAX_VISIBILITY = 43_200


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. It comes back after the queue's visibility timeout unless it is deleted.

    :param handle: what :meth:`SMQClient.delete` takes; good until the message comes back.
    :param body: as published.
    :param dequeue_count: how often the message has been received, this time included.
    :param age: seconds since it was published; 0 where the answer does not say it.
    :param visible_in: seconds after which it comes back; 0 where the answer does not say it.
    """

    id: str
    handle: str
    body: bytes
    dequeue_count: int
    age: float = 0.0
    visible_in: float = 0.0


def sign(method: str, resource: str, headers: Mapping[str, str], credentials: Credentials) -> str:
    """Return the ``Authorization`` header of a request.

    :param resource: path and query as they will be sent.
    :param headers: names in lower case.
    """
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-mns-"))
    fixed = (headers.get(name, "") for name in ("content-md5", "content-type", "date"))
    to_sign = "\n".join((method, *fixed, lines + resource))
    # The service's only algorithm; SHA-1 is not broken as a MAC.
    mac = hmac.new(credentials.access_key_secret.encode(), to_sign.encode(), hashlib.sha1).digest()
    return f"MNS {credentials.access_key_id}:{base64.b64encode(mac).decode()}"


class SMQClient:
    """Receives, hides and deletes messages of queues. No method retries.

    What the methods raise:

    - :class:`~airflow_provider_oss_async.exceptions.OSSThrottledError`: ask later.
    - :class:`~airflow_provider_oss_async.exceptions.OSSUnavailableError`: no usable answer, ask again.
    - :class:`~airflow_provider_oss_async.exceptions.OSSServiceError`: refused; ``status`` is 403 where a
      right is missing, ``code`` is ``QueueNotExist`` where the queue is.

    :param session: shared by many clients, and not closed here.
    :param endpoint: host or URL, such as ``https://<account id>.mns.cn-hangzhou.aliyuncs.com``. Without a
        scheme it is HTTPS, but HTTP for internal hosts (``...-internal.aliyuncs.com``): they have no HTTPS.
    :param credentials: awaited before every request.
    :param timeout: seconds for one request, beyond what the service was asked to wait.
    :param proxy: URL of an HTTP proxy.
    :raises OSSConnectionError: the endpoint is not one.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        credentials: CredentialsSource,
        *,
        timeout: float = 10.0,
        proxy: str | None = None,
    ) -> None:
        internal = endpoint.strip().rstrip("/").endswith("-internal.aliyuncs.com")
        self._session = session
        self._endpoint = Endpoint.parse(endpoint, service="SMQ", scheme="http" if internal else "https")
        self._credentials = credentials
        self._timeout = timeout
        self._proxy = proxy

    @property
    def endpoint(self) -> str:
        """Address of the service."""
        return str(self._endpoint)

    async def receive(self, queue: str, batch: int = MAX_BATCH, wait: int = MAX_WAIT) -> list[Message]:
        """Return the messages that are there, or that come within ``wait`` seconds; an empty list if none do.

        https://www.alibabacloud.com/help/doc-detail/35137.htm

        :param batch: how many at most, 1 to 16.
        :param wait: seconds, 0 to 30.
        """
        resource = f"{_messages(queue)}?numOfMessages={batch}&waitseconds={wait}"
        call, answer, root = await self._call("BatchReceiveMessage", queue, "GET", resource, wait=wait)
        if answer.ok and root.tag == "Messages":
            now = _answered_at(answer)
            messages = [_message(node, now) for node in root.iterfind("Message")]
            if not all(message.handle for message in messages):
                raise call.unavailable("the answer holds a message without receipt handle", answer)
            return messages
        if answer.status == 404 and root.findtext("Code") == "MessageNotExist":
            return []
        raise _refusal(call, answer, root)

    async def delete(self, queue: str, handles: Sequence[str]) -> list[str]:
        """Delete received messages, 16 to a request.

        https://www.alibabacloud.com/help/doc-detail/35139.htm

        :return: the handles that were not good any more. Their messages are gone already, or will come again.
        """
        stale: list[str] = []
        for first in range(0, len(handles), MAX_BATCH):
            items = "".join(
                f"<ReceiptHandle>{escape(handle)}</ReceiptHandle>"
                for handle in handles[first : first + MAX_BATCH]
            )
            body = f'<ReceiptHandles xmlns="{_NAMESPACE}">{items}</ReceiptHandles>'.encode()
            call, answer, root = await self._call(
                "BatchDeleteMessage", queue, "DELETE", _messages(queue), body=body
            )
            if answer.ok:
                continue
            # Some were deleted and some were not: the answer is a list of the latter.
            refused = [node.text for node in root.iterfind("Error/ReceiptHandle") if node.text]
            if not refused:
                raise _refusal(call, answer, root)
            stale += refused
        return stale

    async def change_visibility(self, queue: str, handle: str, seconds: int) -> str | None:
        """Set when a received message comes back, counted from now.

        https://www.alibabacloud.com/help/doc-detail/35142.htm

        :param handle: of the message.
        :param seconds: 1 to 43,200.
        :return: the new handle, which takes the place of the old one; ``None`` where the old one was not good
            any more, because the message has come back or is gone.
        """
        seconds = min(max(1, seconds), MAX_VISIBILITY)
        query = f"ReceiptHandle={quote(handle, safe='-_.~=')}&VisibilityTimeout={seconds}"
        call, answer, root = await self._call(
            "ChangeMessageVisibility", queue, "PUT", f"{_messages(queue)}?{query}"
        )
        if answer.ok and (renewed := root.findtext("ReceiptHandle")):
            return renewed
        if root.findtext("Code") in ("ReceiptHandleError", "MessageNotExist"):
            return None
        raise _refusal(call, answer, root)

    async def has_topic(self, topic: str) -> bool:
        """Return whether there is a topic (``GetTopicAttributes``, a right of its own)."""
        _, answer, root = found = await self._call(
            "GetTopicAttributes", topic, "GET", f"/topics/{quote(topic, safe='-_.~')}"
        )
        if not answer.ok and root.findtext("Code") != "TopicNotExist":
            raise _refusal(*found)
        return answer.ok

    async def _call(
        self, action: str, queue: str, method: str, resource: str, *, body: bytes | None = None, wait: int = 0
    ) -> tuple[Call, Answer, Element]:
        credentials = await self._credentials()
        kind = "topic" if resource.startswith("/topics/") else "queue"
        call = Call("SMQ", action, f"{kind} {queue} at {self._endpoint.host}", credentials)
        headers = {
            "host": self._endpoint.host,
            "date": formatdate(usegmt=True),
            "x-mns-version": _VERSION,
        }
        if body is not None:
            # Base64 of the hexadecimal digits, not of the digest: so do the official SDKs.
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            headers["content-md5"] = base64.b64encode(digest.encode()).decode()
            headers["content-type"] = "text/xml;charset=UTF-8"
        headers["authorization"] = sign(method, resource, headers, credentials)
        if credentials.security_token:
            headers["security-token"] = credentials.security_token
        answer = await call.send(
            self._session,
            method,
            f"{self._endpoint}{resource}",
            headers=headers,
            body=body,
            timeout=self._timeout + wait,
            proxy=self._proxy,
        )
        return call, answer, parse_xml(answer.body)


def _messages(queue: str) -> str:
    return f"/queues/{quote(queue, safe='-_.~')}/messages"


def _answered_at(answer: Answer) -> float:
    """Return the service's clock, in epoch seconds; 0 where the answer does not say it."""
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _message(node: Element, now: float) -> Message:
    count = node.findtext("DequeueCount", "")

    def seconds(name: str) -> float:
        text = node.findtext(name, "")
        return int(text) / 1000 if text.isdecimal() and len(text) < 16 else 0.0

    published, visible = seconds("EnqueueTime"), seconds("NextVisibleTime")
    return Message(
        id=node.findtext("MessageId", ""),
        handle=node.findtext("ReceiptHandle", ""),
        body=node.findtext("MessageBody", "").encode(),
        dequeue_count=int(count) if count.isdecimal() and len(count) < 10 else 1,
        age=max(0.0, now - published) if now and published else 0.0,
        visible_in=max(0.0, visible - now) if now and visible else 0.0,
    )


def _refusal(call: Call, answer: Answer, root: Element) -> OSSServiceError:
    if answer.ok:
        return call.unavailable(f"HTTP {answer.status} with a body that is not SMQ's", answer)
    return call.error(
        answer,
        code=root.findtext("Code", ""),
        detail=root.findtext("Message", ""),
        request_id=root.findtext("RequestId", "") or answer.headers.get("x-mns-request-id", ""),
        denied=denial_of_xml(answer.body),
    )
