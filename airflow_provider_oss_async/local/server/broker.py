"""Queues, topics and subscriptions, in memory: gone with the server."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import secrets
import time
import uuid
from collections import deque
from dataclasses import dataclass, field

from airflow_provider_oss_async.local.server.markup import to_xml

NAMESPACE = "http://mns.aliyuncs.com/doc/v1/"
FORMATS = ("XML", "JSON", "SIMPLIFIED")


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
    :param polling_wait: long-poll seconds where a request names none, 0 to 30.
    """

    def __init__(
        self, name: str, *, visibility: float = 30, retention: float = 345_600, polling_wait: float = 0
    ) -> None:
        self.name = name
        self.visibility, self.retention, self.polling_wait = visibility, retention, polling_wait
        self.created = time.time()
        self.arrived = asyncio.Event()
        self._ready: deque[Message] = deque()
        self._hidden: list[tuple[float, str]] = []
        self._by_handle: dict[str, Message] = {}

    def counts(self) -> tuple[int, int]:
        """Return how many messages can be received, and how many are hidden."""
        self._reveal()
        return len(self._ready), len(self._by_handle)

    def put(self, message: Message) -> None:
        """Add a message and wake whoever waits for one."""
        self._ready.append(message)
        self.arrived.set()

    async def receive(self, count: int, wait: float, closing: asyncio.Event) -> list[Message]:
        """Take up to ``count`` messages; wait for the first one.

        :param wait: seconds to wait for the first message.
        :param closing: set when the server goes down.
        """
        deadline = time.time() + wait
        while True:
            self.arrived.clear()
            taken = self._take(count)
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
        self._reveal()
        return self._by_handle.pop(handle, None) is not None

    def hide(self, handle: str, seconds: float) -> Message | None:
        """Change how long a received message stays hidden; ``None`` where the handle is not valid."""
        self._reveal()
        message = self._by_handle.pop(handle, None)
        if message is not None:
            self._hand_out(message, seconds)
        return message

    def _take(self, count: int) -> list[Message]:
        self._reveal()
        taken: list[Message] = []
        while self._ready and len(taken) < count:
            message = self._ready.popleft()
            now = time.time()
            if now - message.enqueued > self.retention:
                continue
            message.received += 1
            message.first_received = message.first_received or now
            self._hand_out(message, self.visibility)
            taken.append(message)
        return taken

    def _hand_out(self, message: Message, seconds: float) -> None:
        message.handle = f"{message.received}-{secrets.token_hex(16)}"
        message.visible_at = time.time() + seconds
        self._by_handle[message.handle] = message
        heapq.heappush(self._hidden, (message.visible_at, message.handle))

    def _reveal(self) -> None:
        while self._hidden and self._hidden[0][0] <= time.time():
            _, handle = heapq.heappop(self._hidden)
            message = self._by_handle.pop(handle, None)
            if message is not None:
                self._ready.append(message)


@dataclass(slots=True)
class Subscription:
    """A queue that gets what is published to a topic.

    :param format: ``SIMPLIFIED`` (the bare message), ``JSON`` or ``XML`` (wrapped).
    """

    name: str
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

    def subscribe(self, topic: str, queue: str, notify_format: str = "SIMPLIFIED") -> None:
        """Create topic, queue and subscription where they do not exist yet."""
        self.queues.setdefault(queue, Queue(queue))
        self.topics.setdefault(topic, {})[queue] = Subscription(queue, queue, notify_format)

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

    def _wrap(self, topic: str, subscription: Subscription, message: Message) -> str:
        if subscription.format == "SIMPLIFIED":
            return message.body
        fields = {
            "TopicOwner": self._owner,
            "TopicName": topic,
            "Subscriber": self._owner,
            "SubscriptionName": subscription.name,
            "MessageId": message.id,
            "Message": message.body,
            "MessageMD5": message.md5,
            "MessageTag": "",
            "PublishTime": str(int(message.enqueued * 1000)),
        }
        if subscription.format == "JSON":
            return json.dumps(fields, ensure_ascii=False)
        return to_xml("Notification", list(fields.items()), NAMESPACE).decode()
