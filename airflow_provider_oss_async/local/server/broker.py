"""Queues, topics and subscriptions, in memory: gone with the server."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import re
import secrets
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.server.markup import to_xml

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE = "http://mns.aliyuncs.com/doc/v1/"
FORMATS = ("XML", "JSON", "SIMPLIFIED")
#: Least and greatest value of the options of a queue, in seconds.
QUEUE_OPTIONS = {"visibility": (1, 43_200), "retention": (60, 604_800)}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,119}")


@dataclass(slots=True)
class Message:
    """One message in one queue; times in seconds since the epoch."""

    body: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex.upper())
    enqueued: float = field(default_factory=time.time)
    first_received: float = 0
    received: int = 0
    visible_at: float = 0
    handle: str = ""

    @property
    def md5(self) -> str:
        """Upper-case hex MD5 of the body."""
        return hashlib.md5(self.body.encode()).hexdigest().upper()  # noqa: S324  (the protocol's checksum)


class Queue:
    """One queue.

    :param name: its name.
    :param visibility: seconds a received message stays hidden, 1 to 43,200.
    :param retention: seconds a message is kept, 60 to 604,800.
    """

    def __init__(self, name: str, *, visibility: float = 30, retention: float = 345_600) -> None:
        self.name = name
        self.visibility, self.retention = visibility, retention
        self.arrived = asyncio.Event()
        self._ready: deque[Message] = deque()
        self._hidden: list[tuple[float, str]] = []
        self._by_handle: dict[str, Message] = {}

    def put(self, message: Message) -> None:
        """Add a message and wake the waiting receivers."""
        self._ready.append(message)
        self.arrived.set()

    def count(self) -> dict[str, int]:
        """Return how many messages can be received, and how many are hidden after a receipt."""
        self._make_visible()
        return {"visible": len(self._ready), "hidden": len(self._by_handle)}

    async def receive(
        self,
        count: int,
        wait: float,
        closing: asyncio.Event,
        connected: Callable[[], bool] = lambda: True,
    ) -> list[Message]:
        """Receive up to ``count`` messages; wait for the first one.

        :param wait: seconds to wait for the first message.
        :param closing: set when the server stops.
        :param connected: whether the receiver is still there; one that is not gets nothing.
        """
        deadline = time.time() + wait
        while True:
            self.arrived.clear()
            if not connected():
                # Others that wait have been woken by the same event.
                return []
            taken = self._receive_visible(count)
            left = deadline - time.time()
            if taken or left <= 0 or closing.is_set():
                return taken
            if self._hidden:
                left = min(left, max(0.0, self._hidden[0][0] - time.time()) + 0.001)
            try:
                await asyncio.wait_for(self.arrived.wait(), left)
            except TimeoutError:
                continue

    def delete(self, handle: str) -> bool:
        """Delete a received message; false where the handle is not, or no longer, valid."""
        self._make_visible()
        return self._by_handle.pop(handle, None) is not None

    def change_visibility(self, handle: str, seconds: float) -> Message | None:
        """Change how long a received message stays hidden; ``None`` where the handle is not valid."""
        self._make_visible()
        message = self._by_handle.pop(handle, None)
        if message is not None:
            self._hide(message, seconds)
            # Receivers that wait compute anew when the next message becomes visible.
            self.arrived.set()
        return message

    def _receive_visible(self, count: int) -> list[Message]:
        self._make_visible()
        taken: list[Message] = []
        while self._ready and len(taken) < count:
            message = self._ready.popleft()
            now = time.time()
            if now - message.enqueued > self.retention:
                continue
            message.received += 1
            message.first_received = message.first_received or now
            self._hide(message, self.visibility)
            taken.append(message)
        return taken

    def _hide(self, message: Message, seconds: float) -> None:
        message.handle = f"{message.received}-{secrets.token_hex(16)}"
        message.visible_at = time.time() + seconds
        self._by_handle[message.handle] = message
        heapq.heappush(self._hidden, (message.visible_at, message.handle))

    def _make_visible(self) -> None:
        while self._hidden and self._hidden[0][0] <= time.time():
            _, handle = heapq.heappop(self._hidden)
            message = self._by_handle.pop(handle, None)
            if message is not None:
                self._ready.append(message)


@dataclass(slots=True)
class Subscription:
    """A queue that receives what is published to a topic.

    :param queue: its name, and the name of the subscription.
    :param format: ``SIMPLIFIED`` (the bare message), ``JSON`` or ``XML`` (wrapped).
    """

    queue: str
    format: str


class Broker:
    """All queues and topics of the account.

    :param owner: account id, named in wrapped messages.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.queues: dict[str, Queue] = {}
        self.topics: dict[str, dict[str, Subscription]] = {}
        self.closing = asyncio.Event()

    def close(self) -> None:
        """End every long poll."""
        self.closing.set()
        for queue in self.queues.values():
            queue.arrived.set()

    def create_topic(self, topic: str) -> None:
        """Create a topic where it does not exist yet.

        :raises ValueError: the name is not valid.
        """
        if not _NAME.fullmatch(topic):
            raise ValueError(f"a topic is named with letters, digits and hyphens, not {topic!r}")
        self.topics.setdefault(topic, {})

    def create_queue(self, name: str, **options: float) -> None:
        """Create a queue, or change the options of the existing one.

        :param options: ``visibility`` and ``retention``, see :class:`Queue`.
        :raises ValueError: the name or an option is not valid.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"a queue is named with letters, digits and hyphens, not {name!r}")
        for option, (low, high) in QUEUE_OPTIONS.items():
            if option in options and not low <= options[option] <= high:
                raise ValueError(f"{option} must be {low} to {high} seconds")
        queue = self.queues.setdefault(name, Queue(name))
        for option, value in options.items():
            setattr(queue, option, value)

    def subscribe(self, topic: str, queue: str, notify_format: str = "SIMPLIFIED") -> None:
        """Create topic, queue and subscription where they do not exist yet.

        :param notify_format: one of :data:`FORMATS`.
        :raises ValueError: a name or the format is not valid.
        """
        if notify_format not in FORMATS:
            raise ValueError(f"the format must be one of {', '.join(FORMATS)}, not {notify_format!r}")
        self.create_topic(topic)
        self.create_queue(queue)
        self.topics[topic][queue] = Subscription(queue, notify_format)

    def publish(self, topic: str, body: str) -> Message | None:
        """Deliver a message to every queue that subscribes to a topic; ``None`` if there is no such topic."""
        subscriptions = self.topics.get(topic)
        if subscriptions is None:
            return None
        published = Message(body)
        for subscription in subscriptions.values():
            queue = self.queues.get(subscription.queue)
            if queue is not None:
                queue.put(Message(self._wrap(topic, subscription, published)))
        return published

    def send(self, queue: str, body: str) -> None:
        """Add a message to a queue; nothing happens if there is no such queue."""
        if queue in self.queues:
            self.queues[queue].put(Message(body))

    def _wrap(self, topic: str, subscription: Subscription, message: Message) -> str:
        if subscription.format == "SIMPLIFIED":
            return message.body
        fields = {
            "TopicOwner": self._owner,
            "TopicName": topic,
            "Subscriber": self._owner,
            "SubscriptionName": subscription.queue,
            "MessageId": message.id,
            "Message": message.body,
            "MessageMD5": message.md5,
            "MessageTag": "",
            "PublishTime": str(int(message.enqueued * 1000)),
        }
        if subscription.format == "JSON":
            return json.dumps(fields, ensure_ascii=False)
        return to_xml("Notification", list(fields.items()), NAMESPACE).decode()
