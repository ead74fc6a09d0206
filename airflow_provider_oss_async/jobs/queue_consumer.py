"""Completion messages for many waiting jobs: one consumer serves everyone on an event loop who uses a queue.

A message is a hint and never the truth: it has the job looked at through IMM (``GetTask``). It stays in the
queue until whoever waits for the job has its outcome, so that a crash in between loses nothing. Messages for
jobs that nobody here waits for are left to reappear, because their task may have another triggerer.
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

from airflow_provider_oss_async.clients.messages import parse_completion
from airflow_provider_oss_async.clients.retry import GROWTH, seldom
from airflow_provider_oss_async.clients.smq import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_oss_async.clients.smq import Message, SMQClient

log = logging.getLogger(__name__)

#: Times that a message for a job which nobody here waits for is left to reappear, before it is deleted.
LEFT_FOR_OTHERS = 10
#: Seconds between two receptions where the first brought only what is left for others, and after a failure,
#: where they grow to the second number.
PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Seconds for which deletions are gathered into one request.
_GATHER = 0.05
#: Jobs that are remembered while their messages are to be deleted, and then, because messages can come twice.
_REMEMBERED = 10_000


@dataclass(slots=True, eq=False)
class _Reader:
    client: SMQClient
    arrived: Callable[[], None]


@dataclass(slots=True)
class _Consumer:
    """Receives from one queue, as long as there are readers."""

    queue: str
    readers: dict[str, list[_Reader]] = field(default_factory=dict)
    runner: asyncio.Task[None] | None = None
    #: Receipt handles by task id and message id.
    received: dict[str, dict[str, str]] = field(default_factory=dict)
    done: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    outbox: list[str] = field(default_factory=list)
    deleting: asyncio.Task[None] | None = None
    failing: bool = False
    foreign: bool = False

    def join(self, task_id: str, reader: _Reader) -> None:
        self.readers.setdefault(task_id, []).append(reader)
        if self.runner is None or self.runner.done():
            self.runner = asyncio.create_task(self._run(), name="oss-async-mailbox")

    def leave(self, task_id: str, reader: _Reader) -> None:
        readers = self.readers[task_id]
        readers.remove(reader)
        if not readers:
            del self.readers[task_id]
        if not self.readers and self.runner is not None:
            self.runner.cancel()
            self.runner = None

    async def delete(self, task_id: str, client: SMQClient) -> None:
        """Delete what has come for a job, whose outcome is in good hands now."""
        self.done.append(task_id)
        handles = self.received.pop(task_id, {})
        if handles:
            # Shielded, because it deletes for others too.
            await asyncio.shield(self._send_off(handles.values(), client))

    def _send_off(self, handles: Iterable[str], client: SMQClient) -> asyncio.Task[None]:
        self.outbox += handles
        if self.deleting is None or self.deleting.done():
            self.deleting = asyncio.create_task(self._delete(client))
        return self.deleting

    async def _delete(self, client: SMQClient) -> None:
        await asyncio.sleep(_GATHER)
        while self.outbox:
            handles, self.outbox = self.outbox[:MAX_BATCH], self.outbox[MAX_BATCH:]
            try:
                await client.delete(self.queue, handles)
            except Exception as error:
                # Whatever it was, it must not fail a task whose job has succeeded.
                seldom("Messages could not be deleted and will come again: %s", error)

    async def _run(self) -> None:
        pause = PAUSE
        while self.readers:
            # Any of them: one whose account lacks the right must not stand in for all.
            client = random.choice(list(self.readers.values()))[0].client  # noqa: S311
            try:
                messages = await client.receive(self.queue)
            except Exception as error:
                # Messages only hasten what IMM is asked for anyway: nobody's wait ends with this.
                if not self.failing:
                    log.warning(
                        "No messages from the SMQ queue %s; IMM is asked meanwhile: %s", self.queue, error
                    )
                self.failing = True
                asked_for = getattr(error, "retry_after", None) or 0.0
                await asyncio.sleep(min(max(pause, asked_for), LONGEST_PAUSE))
                pause = min(pause * GROWTH, LONGEST_PAUSE)
                continue
            if self.failing:
                log.info("The SMQ queue %s answers again", self.queue)
            self.failing, pause = False, PAUSE
            verdicts = [(self._take(message), message.handle) for message in messages]
            stale = [handle for verdict, handle in verdicts if verdict == "stale"]
            if stale:
                self._send_off(stale, client)
            if {verdict for verdict, _ in verdicts} == {"left"}:
                # Do not take from others time and again what is theirs.
                await asyncio.sleep(PAUSE)

    def _take(self, message: Message) -> Literal["taken", "left", "stale"]:
        """Hand a message on to those who wait; say what has become of it."""
        completion = parse_completion(message.body)
        if completion is None:
            if not self.foreign:
                log.warning(
                    "Message %s in the SMQ queue %s is no completion message of IMM; it is left there, as "
                    "are all others of that kind",
                    message.id,
                    self.queue,
                )
            self.foreign = True
            return "left"
        if readers := self.readers.get(completion.task_id):
            # Only the latest handle of a message is good.
            self.received.setdefault(completion.task_id, {})[message.id] = message.handle
            if len(self.received) > _REMEMBERED:
                # Nobody came to delete it: its task was cancelled, and the message will come again.
                del self.received[next(iter(self.received))]
            for reader in readers:
                reader.arrived()
            return "taken"
        if completion.task_id in self.done or message.dequeue_count >= LEFT_FOR_OTHERS:
            return "stale"
        return "left"


_consumers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Consumer]] = (
    WeakKeyDictionary()
)


class Mailbox:
    """What one connection reads of a queue. All mailboxes of a loop and queue share one consumer.

    :param client: to receive and delete with.
    :param queue: name of the queue.
    """

    def __init__(self, client: SMQClient, queue: str) -> None:
        self._client = client
        self._queue = queue

    @contextmanager
    def reading(self, task_id: str, arrived: Callable[[], None]) -> Iterator[None]:
        """Be told when messages about a job come.

        :param task_id: of the job.
        :param arrived: called for each message. Nothing is said of what it holds: ask IMM.
        """
        consumer, reader = self._consumer(), _Reader(self._client, arrived)
        consumer.join(task_id, reader)
        try:
            yield
        finally:
            consumer.leave(task_id, reader)

    async def delete(self, task_id: str) -> None:
        """Delete the messages about a job that have come, now that its task has the outcome."""
        await self._consumer().delete(task_id, self._client)

    def _consumer(self) -> _Consumer:
        here = _consumers.setdefault(asyncio.get_running_loop(), {})
        return here.setdefault((self._client.endpoint, self._queue), _Consumer(self._queue))
