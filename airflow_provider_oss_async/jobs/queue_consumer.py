"""Receiving completion messages for many waiting jobs: one receiver for each queue on an event loop.

A message only causes a poll of IMM (``GetTask``), which decides. It stays in the queue until the task has the
result of its job, so that a crash in between loses nothing. Messages for jobs that are not waited for here
become
visible again, because their task may be in another triggerer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from airflow_provider_oss_async.clients.messages import CompletionMessage, parse_message
from airflow_provider_oss_async.clients.retry import Backoff, warn_rate_limited
from airflow_provider_oss_async.clients.smq import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_oss_async.clients.smq import Message, SMQClient

log = logging.getLogger(__name__)

#: Receptions of a message for a job that is not waited for here, before it is deleted.
MAX_RECEPTIONS = 10
#: Seconds between two receptions where the first brought only messages for others, and after failures.
RECEIVE_BACKOFF = Backoff(1.0, 60.0)
#: Seconds for which deletions are collected into one request.
_DELETE_DELAY = 0.05
#: Jobs that are remembered while their messages are to be deleted, and then, because messages can come twice.
_REMEMBERED = 10_000


@dataclass(slots=True, eq=False)
class _Subscriber:
    client: SMQClient
    arrived: Callable[[], None]


@dataclass(slots=True)
class _Receiver:
    """Receives from one queue, as long as there are subscribers."""

    queue: str
    subscribers: dict[str, list[_Subscriber]] = field(default_factory=dict)
    runner: asyncio.Task[None] | None = None
    #: Receipt handles by task id and message id.
    received: dict[str, dict[str, str]] = field(default_factory=dict)
    done: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    to_delete: list[str] = field(default_factory=list)
    deleting: asyncio.Task[None] | None = None
    failing: bool = False
    foreign: bool = False
    backoff: Backoff = RECEIVE_BACKOFF
    max_receptions: int = MAX_RECEPTIONS

    def subscribe(self, task_id: str, subscriber: _Subscriber) -> None:
        self.subscribers.setdefault(task_id, []).append(subscriber)
        if self.runner is None or self.runner.done():
            self.runner = asyncio.create_task(self._run(), name="oss-async-queue-receiver")

    def unsubscribe(self, task_id: str, subscriber: _Subscriber) -> None:
        subscribers = self.subscribers[task_id]
        subscribers.remove(subscriber)
        if not subscribers:
            del self.subscribers[task_id]
        if not self.subscribers and self.runner is not None:
            self.runner.cancel()
            self.runner = None

    async def delete(self, task_id: str, client: SMQClient) -> None:
        """Delete the messages that have come for a job, whose task has the result now."""
        self.done.append(task_id)
        handles = self.received.pop(task_id, {})
        if handles:
            # Shielded, because it deletes messages of other jobs too.
            await asyncio.shield(self._schedule_deletion(handles.values(), client))

    def _schedule_deletion(self, handles: Iterable[str], client: SMQClient) -> asyncio.Task[None]:
        self.to_delete += handles
        if self.deleting is None or self.deleting.done():
            self.deleting = asyncio.create_task(self._delete(client))
        return self.deleting

    async def _delete(self, client: SMQClient) -> None:
        await asyncio.sleep(_DELETE_DELAY)
        while self.to_delete:
            handles, self.to_delete = self.to_delete[:MAX_BATCH], self.to_delete[MAX_BATCH:]
            try:
                await client.delete(self.queue, handles)
            except Exception as error:
                # This must not fail a task whose job has succeeded.
                warn_rate_limited("Messages could not be deleted and will be received again: %s", error)

    async def _run(self) -> None:
        interval = 0.0
        while self.subscribers:
            # Any of them: the right may be missing to one account and not to another.
            client = random.choice(list(self.subscribers.values()))[0].client  # noqa: S311
            try:
                messages = await client.receive(self.queue)
            except Exception as error:
                # IMM is polled in any case, so no wait ends with this.
                if not self.failing:
                    log.warning(
                        "No messages are received from the SMQ queue %s; IMM is polled meanwhile: %s",
                        self.queue,
                        error,
                    )
                self.failing = True
                asked_for = getattr(error, "retry_after", None) or 0.0
                interval = self.backoff.after(interval)
                await asyncio.sleep(min(max(interval, asked_for), self.backoff.max_interval))
                continue
            if self.failing:
                log.info("The SMQ queue %s answers again", self.queue)
            self.failing, interval = False, 0.0
            verdicts = [(self._take(message), message.handle) for message in messages]
            stale = [handle for verdict, handle in verdicts if verdict == "stale"]
            if stale:
                self._schedule_deletion(stale, client)
            if {verdict for verdict, _ in verdicts} == {"left"}:
                # Leave other consumers time to receive their messages.
                await asyncio.sleep(self.backoff.min_interval)

    def _take(self, message: Message) -> Literal["taken", "left", "stale"]:
        """Notify the subscribers of a message; return what has become of it."""
        completion = parse_message(message.body)
        if not isinstance(completion, CompletionMessage):
            if not self.foreign:
                log.warning(
                    "Message %s in the SMQ queue %s is no completion message of IMM; it and others like it "
                    "are not deleted",
                    message.id,
                    self.queue,
                )
            self.foreign = True
            return "left"
        if subscribers := self.subscribers.get(completion.task_id):
            # Only the latest handle of a message is good.
            self.received.setdefault(completion.task_id, {})[message.id] = message.handle
            if len(self.received) > _REMEMBERED:
                # Its task was cancelled before it deleted the message, which will be received again.
                del self.received[next(iter(self.received))]
            for subscriber in subscribers:
                subscriber.arrived()
            return "taken"
        if completion.task_id in self.done or message.dequeue_count >= self.max_receptions:
            return "stale"
        return "left"


_receivers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Receiver]] = (
    WeakKeyDictionary()
)


class QueueConsumer:
    """Consumes a queue for one connection. All consumers of a queue on an event loop share one receiver.

    :param client: to receive and delete with.
    :param queue: name of the queue.
    :param backoff: seconds between two receptions after failures, and where a reception brought only messages
        for others; default 1 to 60.
    :param max_receptions: of a message for a job that is not waited for here, before it is deleted; default
        10.
    """

    def __init__(
        self,
        client: SMQClient,
        queue: str,
        *,
        backoff: Backoff = RECEIVE_BACKOFF,
        max_receptions: int = MAX_RECEPTIONS,
    ) -> None:
        self._client = client
        self._queue = queue
        self._backoff = backoff
        self._max_receptions = max_receptions

    @contextmanager
    def subscribed(self, task_id: str, arrived: Callable[[], None]) -> Iterator[None]:
        """Call a function for each message about a job, as long as the context lasts.

        :param task_id: of the job.
        :param arrived: called for each message, without its content: IMM decides.
        """
        receiver, subscriber = self._receiver(), _Subscriber(self._client, arrived)
        receiver.subscribe(task_id, subscriber)
        try:
            yield
        finally:
            receiver.unsubscribe(task_id, subscriber)

    async def delete(self, task_id: str) -> None:
        """Delete the messages about a job that have come, now that its task has the result."""
        await self._receiver().delete(task_id, self._client)

    def _receiver(self) -> _Receiver:
        here = _receivers.setdefault(asyncio.get_running_loop(), {})
        receiver = _Receiver(self._queue, backoff=self._backoff, max_receptions=self._max_receptions)
        return here.setdefault((self._client.endpoint, self._queue), receiver)
