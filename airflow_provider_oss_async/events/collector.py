"""Collecting messages into batches, each of which becomes one event.

Airflow 3.3 makes one run of a burst of events and gives it only the first. So batches are some scheduler
loops apart. The messages of a batch are held until it is settled, which is when its event is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_oss_async.clients.errors import traceback_of
from airflow_provider_oss_async.clients.messages import CompletionMessage
from airflow_provider_oss_async.clients.object_events import ObjectMessage
from airflow_provider_oss_async.clients.retry import warn_rate_limited
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSThrottledError, OSSUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_oss_async.clients.object_events import ObjectEvent
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.queue_receiver import QueueReceiver, ReceivedMessage, Verdict

log = logging.getLogger(__name__)

#: What messages can be about.
KINDS = ("object", "job")
#: Seconds for which messages are collected, and entries of a batch at most.
COLLECT_FOR, MAX_BATCH = 5.0, 500
#: Seconds between two batches at least: a scheduler loop must see the event of one before the next is stored.
BATCH_INTERVAL = 5.0
#: Seconds that giving back messages may take at the end.
_CLOSE_TIMEOUT = 3.0


@dataclass(slots=True, eq=False)
class EventBatch:
    """Messages that were collected.

    :param wanted: ids of the messages that an event was made of.
    :param stored: whether all events that were made of it are stored.
    """

    queue: str
    messages: list[ReceivedMessage]
    wanted: set[str] = field(default_factory=set)
    stored: bool = False

    def objects(self) -> Iterator[tuple[ReceivedMessage, ObjectEvent]]:
        """Yield the object events with the messages that they came in."""
        for message in self.messages:
            if isinstance(message.content, ObjectMessage):
                for event in message.content.events:
                    yield message, event

    def jobs(self) -> Iterator[tuple[ReceivedMessage, CompletionMessage]]:
        """Yield the ended jobs with the messages that they came in."""
        for message in self.messages:
            if isinstance(message.content, CompletionMessage):
                yield message, message.content


class EventCollector:
    """Collects the messages of a queue; a consumer of its receiver.

    :param kinds: what is collected: ``object``, ``job`` or both.
    :param collect_for: seconds from the first message of a batch to its end; default 5.
    :param max_batch: objects and jobs of a batch, which ends with the message that reaches that number;
        default 500.
    :param batch_interval: seconds between two batches at least; default 5.
    """

    def __init__(
        self,
        kinds: Iterable[str] = ("object",),
        *,
        collect_for: float = COLLECT_FOR,
        max_batch: int = MAX_BATCH,
        batch_interval: float = BATCH_INTERVAL,
    ) -> None:
        self._kinds = frozenset(kinds)
        self._collect_for = collect_for
        self._max_batch = max_batch
        self._batch_interval = batch_interval
        self._receiver: QueueReceiver | None = None
        self._client: SMQClient | None = None
        self._waiting: deque[ReceivedMessage] = deque()
        #: Batches that are not settled, with the receiver of their messages.
        self._open: dict[EventBatch, QueueReceiver] = {}
        self._count = 0
        self._opened_at = 0.0
        self._next_batch_at = 0.0
        self._trouble: Exception | None = None
        self._changed = asyncio.Event()

    @property
    def client(self) -> SMQClient:
        """Client to receive and delete with."""
        if self._client is None:
            raise OSSConnectionError("No connection to SMQ has been opened yet.")
        return self._client

    @property
    def full(self) -> bool:
        """Whether two batches wait to be stored or to be taken."""
        held = len(self._waiting) + sum(len(batch.messages) for batch in self._open)
        return held >= 2 * self._max_batch

    def attach(self, receiver: QueueReceiver, client: SMQClient) -> None:
        """Collect from a queue, or go on with another client or another queue."""
        self._client = client
        if receiver is not self._receiver:
            self._detach()
            receiver.join(self)
            self._receiver = receiver

    def take(self, message: ReceivedMessage) -> Verdict:
        """Collect a message if it is of a kind that is collected."""
        content = message.content
        if isinstance(content, ObjectMessage):
            if "object" not in self._kinds or self.full:
                return "left"
            if content.unusable:
                warn_rate_limited(
                    "An object event is ignored, because no operator could take a name like that: %s",
                    f"{content.unusable} in message {message.id}",
                )
            entries = len(content.events)
        else:
            if "job" not in self._kinds or self.full:
                return "left"
            entries = content.status.lower() in ("succeeded", "failed")
        if not entries:
            return "stale"
        if not self._waiting:
            self._opened_at = time.monotonic()
        self._waiting.append(message)
        self._count += entries
        self._changed.set()
        return "held"

    def refused(self, error: Exception) -> None:
        """Have :meth:`next_batch` raise what does not pass by itself."""
        if not isinstance(error, OSSThrottledError | OSSUnavailableError):
            self._trouble = error
            self._changed.set()

    async def next_batch(self) -> EventBatch:
        """Return the next batch.

        :raises OSSServiceError: the client is refused. Messages that were collected are kept; attach another
            client and go on.
        """
        while True:
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            left = self._seconds_left()
            if left is not None and left <= 0:
                return self._batch()
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def settle(self, batch: EventBatch, *, stored: bool) -> None:
        """Delete the messages of a batch whose events are stored, or let them come again. Never raises.

        Of a batch that is stored, messages that nobody wanted are left to other consumers for a time.
        """
        receiver = self._open.pop(batch, None)
        if receiver is None:
            return
        batch.stored = stored
        wanted = [message for message in batch.messages if message.id in batch.wanted]
        unwanted = [message for message in batch.messages if message.id not in batch.wanted]
        try:
            if not stored:
                await receiver.settle(batch.messages, "again", self.client)
                return
            await receiver.settle(wanted, "stored", self.client)
            await receiver.settle(unwanted, "unwanted", self.client)
        except Exception as error:
            log.error("Messages could not be settled; they are received again: %s", traceback_of(error))

    async def close(self) -> None:
        """Give back what was collected. Messages of batches that are not settled come again by themselves."""
        for batch, of_batch in self._open.items():
            of_batch.forget(batch.messages)
        self._open.clear()
        collected, receiver = list(self._waiting), self._receiver
        self._detach(keep=True)
        if receiver is not None and collected:
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await receiver.settle(collected, "again", self.client)
            except TimeoutError:
                log.info("Messages that were collected are not given back at once; they come again later")

    def _detach(self, *, keep: bool = False) -> None:
        if self._receiver is None:
            return
        self._receiver.leave(self)
        if not keep:
            self._receiver.forget(self._waiting)
        self._receiver = None
        self._waiting.clear()
        self._count = 0

    def _seconds_left(self) -> float | None:
        """Return when the batch that is being collected ends; ``None`` if there is none."""
        if not self._waiting:
            return None
        ends_at = self._opened_at + (0.0 if self._count >= self._max_batch else self._collect_for)
        return max(ends_at, self._next_batch_at) - time.monotonic()

    def _batch(self) -> EventBatch:
        if self._receiver is None:
            raise RuntimeError("messages without a receiver")
        messages: list[ReceivedMessage] = []
        entries = 0
        while self._waiting and entries < self._max_batch:
            message = self._waiting.popleft()
            messages.append(message)
            entries += len(message.content.events) if isinstance(message.content, ObjectMessage) else 1
        self._count -= entries
        now = time.monotonic()
        self._opened_at, self._next_batch_at = now, now + self._batch_interval
        batch = EventBatch(self._receiver.queue, messages)
        self._open[batch] = self._receiver
        return batch
