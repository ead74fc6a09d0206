"""Completion messages for jobs that tasks wait for.

A message only causes a poll of IMM (``GetTask``), which decides. It stays in the queue until the task has the
result of its job, so that a crash in between loses nothing. Messages for jobs that are not waited for here
become visible again, because their task may be in another triggerer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_oss_async.clients.messages import CompletionMessage
from airflow_provider_oss_async.jobs.queue_receiver import (
    RECEIVE_BACKOFF,
    UNWANTED_AGE,
    receiver_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.clients.retry import Backoff
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.queue_receiver import QueueReceiver, ReceivedMessage, Verdict

#: Receptions of a message for a job that is not waited for here, before it may be deleted.
MAX_RECEPTIONS = 10
#: Jobs that are remembered while their messages are to be deleted, and then, because messages can come twice.
_REMEMBERED = 10_000


@dataclass(slots=True, eq=False)
class _Subscriber:
    client: SMQClient
    arrived: Callable[[], None]


class _WaitingJobs:
    """Consumes the completion messages of the jobs that are waited for on an event loop."""

    def __init__(self, receiver: QueueReceiver, max_receptions: int) -> None:
        self._receiver = receiver
        self._max_receptions = max_receptions
        self._subscribers: dict[str, list[_Subscriber]] = {}
        #: Receipt handles by task id and message id.
        self._received: dict[str, dict[str, str]] = {}
        self._done: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def client(self) -> SMQClient:
        return random.choice(list(self._subscribers.values()))[0].client  # noqa: S311

    @property
    def full(self) -> bool:
        return False

    def subscribe(self, task_id: str, subscriber: _Subscriber) -> None:
        self._subscribers.setdefault(task_id, []).append(subscriber)
        if len(self._subscribers) == len(self._subscribers[task_id]) == 1:
            self._receiver.join(self, first=True)

    def unsubscribe(self, task_id: str, subscriber: _Subscriber) -> None:
        subscribers = self._subscribers[task_id]
        subscribers.remove(subscriber)
        if not subscribers:
            del self._subscribers[task_id]
        if not self._subscribers:
            self._receiver.leave(self)

    async def delete(self, task_id: str, client: SMQClient) -> None:
        """Delete the messages that have come for a job, whose task has the result now."""
        self._done.append(task_id)
        handles = self._received.pop(task_id, {})
        if handles:
            await self._receiver.delete(handles.values(), client)

    def take(self, message: ReceivedMessage) -> Verdict:
        """Notify the subscribers of a message."""
        if not isinstance(message.content, CompletionMessage):
            return "left"
        task_id = message.content.task_id
        if subscribers := self._subscribers.get(task_id):
            # Only the latest handle of a message is good.
            self._received.setdefault(task_id, {})[message.id] = message.handle
            if len(self._received) > _REMEMBERED:
                # Its task was cancelled before it deleted the message, which will be received again.
                del self._received[next(iter(self._received))]
            for subscriber in subscribers:
                subscriber.arrived()
            return "taken"
        if task_id in self._done:
            return "stale"
        # Age counts too: consumers that do not want a message may see it often within a short time.
        old = message.age >= self._receiver.unwanted_age
        return "stale" if old and message.dequeue_count >= self._max_receptions else "left"

    def refused(self, error: Exception) -> None:
        """Do nothing: IMM is polled in any case, so no wait ends with this."""


_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[QueueReceiver, _WaitingJobs]] = (
    WeakKeyDictionary()
)


class QueueConsumer:
    """Consumes a queue for one connection. All consumers of a queue on an event loop share one receiver.

    :param client: to receive and delete with.
    :param queue: name of the queue.
    :param backoff: seconds between two receptions after failures, and where a reception brought only messages
        for others; default 1 to 60.
    :param max_receptions: of a message for a job that is not waited for here, before it may be deleted;
        default 10.
    :param unwanted_age: age in seconds of such a message before it may be deleted; default 3600.
    """

    def __init__(
        self,
        client: SMQClient,
        queue: str,
        *,
        backoff: Backoff = RECEIVE_BACKOFF,
        max_receptions: int = MAX_RECEPTIONS,
        unwanted_age: float = UNWANTED_AGE,
    ) -> None:
        self.queue = queue
        self._client = client
        self._backoff = backoff
        self._max_receptions = max_receptions
        self._unwanted_age = unwanted_age

    @contextmanager
    def subscribed(self, task_id: str, arrived: Callable[[], None]) -> Iterator[None]:
        """Call a function for each message about a job, as long as the context lasts.

        :param task_id: of the job.
        :param arrived: called for each message, without its content: IMM decides.
        """
        waiting, subscriber = self._jobs(), _Subscriber(self._client, arrived)
        waiting.subscribe(task_id, subscriber)
        try:
            yield
        finally:
            waiting.unsubscribe(task_id, subscriber)

    async def delete(self, task_id: str) -> None:
        """Delete the messages about a job that have come, now that its task has the result."""
        await self._jobs().delete(task_id, self._client)

    def _jobs(self) -> _WaitingJobs:
        receiver = receiver_of(
            self._client, self.queue, backoff=self._backoff, unwanted_age=self._unwanted_age
        )
        here = _waiting.setdefault(asyncio.get_running_loop(), {})
        if receiver not in here:
            here[receiver] = _WaitingJobs(receiver, self._max_receptions)
        return here[receiver]
