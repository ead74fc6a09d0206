"""Receiving from an SMQ queue: one receiver for each queue on an event loop, for all who want messages.

Nobody takes what another needs. A message that nobody here wants becomes visible again soon, since it may be
wanted in another process; the more often that has happened, the later, so that a message nobody wants costs
little and does not come to a dead-letter queue at once. A message that somebody wants is kept hidden until it
is settled. Messages of others (no event of OSS, no completion message of IMM) stay in the queue as they are.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol
from weakref import WeakKeyDictionary

from airflow_provider_oss_async.clients.messages import CompletionMessage, parse_message
from airflow_provider_oss_async.clients.retry import Backoff, jitter, warn_rate_limited
from airflow_provider_oss_async.clients.smq import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from airflow_provider_oss_async.clients.object_events import ObjectMessage
    from airflow_provider_oss_async.clients.smq import Message, SMQClient

log = logging.getLogger(__name__)

#: Seconds between two receptions after failures, and where one brought only messages that nobody here wants.
RECEIVE_BACKOFF = Backoff(1.0, 60.0)
#: Longest interval where receptions bring only messages that nobody here wants.
MAX_IDLE_INTERVAL = 10.0
#: Seconds for which a message is hidden that waits to be settled; then again.
HOLD = 60
#: Longest time in seconds after which a message that nobody here wants becomes visible again.
MAX_RELEASE = 600
#: Age in seconds of a message that may be deleted because nobody has wanted it.
UNWANTED_AGE = 3600.0
#: Visibility timeout of a queue whose answers do not say it, in seconds: the default of the service.
DEFAULT_VISIBILITY = 30.0
#: Seconds for which deletions are collected into one request.
_DELETE_DELAY = 0.05
#: Seconds between two warnings about a queue that cannot be read, and for which a refused right is not used.
_WARN_INTERVAL = 600.0
#: Messages that are remembered after their deletion, because it may fail.
_REMEMBERED = 10_000

#: What becomes of a message: a consumer ``taken`` it and will delete it itself; it is ``held`` until its
#: consumers settle it; it is ``stale``, so that it is deleted; or it is ``left`` to others.
Verdict = Literal["taken", "held", "stale", "left"]
#: What a consumer says of a message it has held: an event of it is stored; nothing was wanted of it; or it
#: shall come again.
Outcome = Literal["stored", "unwanted", "again"]


@dataclass(slots=True, eq=False)
class ReceivedMessage:
    """A message with its content.

    :param handle: latest receipt handle.
    :param published: when it was published, on the clock of ``time.monotonic``.
    :param renew_at: when it has to be hidden again, on the same clock.
    :param holders: number of consumers that have not settled it.
    """

    id: str
    content: CompletionMessage | ObjectMessage
    handle: str
    dequeue_count: int
    published: float
    renew_at: float
    holders: int = 0
    outcomes: set[Outcome] = field(default_factory=set)

    @property
    def age(self) -> float:
        """Seconds since it was published."""
        return time.monotonic() - self.published


class MessageConsumer(Protocol):
    """A consumer of messages of a queue."""

    @property
    def client(self) -> SMQClient:
        """Client to receive and delete with."""

    @property
    def full(self) -> bool:
        """Whether it can take no more for the moment."""

    def take(self, message: ReceivedMessage) -> Verdict:
        """Read a message and decide what becomes of it. Must not block."""

    def refused(self, error: Exception) -> None:
        """Handle the failure of a reception with its client."""


class QueueReceiver:
    """Receives from one queue, as long as it has consumers.

    :param queue: name of the queue.
    :param backoff: intervals between receptions after failures; default 1 to 60 seconds.
    :param hold: seconds for which a held message is hidden at a time, 1 to 43,200; default 60.
    :param unwanted_age: age in seconds of a message that is deleted if nobody wants it; default 3600.
    """

    def __init__(
        self,
        queue: str,
        *,
        backoff: Backoff = RECEIVE_BACKOFF,
        hold: int = HOLD,
        unwanted_age: float = UNWANTED_AGE,
    ) -> None:
        self.queue = queue
        self.unwanted_age = unwanted_age
        self.foreign = 0
        self._backoff = backoff
        self._idle_backoff = replace(backoff, max_interval=min(MAX_IDLE_INTERVAL, backoff.max_interval))
        self._hold = hold
        #: In the order in which they are asked.
        self._consumers: list[MessageConsumer] = []
        self._held: dict[str, ReceivedMessage] = {}
        self._deleted: dict[str, None] = {}
        self._to_delete: list[str] = []
        self._deleting: asyncio.Task[None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._warn_at = 0.0
        self._failing = False
        self._hide_again_at = 0.0

    def join(self, consumer: MessageConsumer, *, first: bool = False) -> None:
        """Begin to receive for a consumer.

        :param first: whether it is asked before those that hold messages.
        """
        self._consumers.insert(0 if first else len(self._consumers), consumer)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name="oss-async-queue-receiver")

    def leave(self, consumer: MessageConsumer) -> None:
        """Receive no more for a consumer."""
        self._consumers.remove(consumer)
        if not self._consumers and self._runner is not None:
            self._runner.cancel()
            self._runner = None

    async def settle(self, messages: Iterable[ReceivedMessage], outcome: Outcome, client: SMQClient) -> None:
        """Say what has come of held messages; it is done when all holders have said it. Never raises."""
        gone: list[ReceivedMessage] = []
        back: list[ReceivedMessage] = []
        for message in messages:
            message.outcomes.add(outcome)
            message.holders -= 1
            if message.holders or self._held.get(message.id) is not message:
                continue
            del self._held[message.id]
            unwanted = message.outcomes == {"unwanted"} and message.age < self.unwanted_age
            (back if unwanted or "again" in message.outcomes else gone).append(message)
        if gone:
            for message in gone:
                self._deleted[message.id] = None
            while len(self._deleted) > _REMEMBERED:
                del self._deleted[next(iter(self._deleted))]
            await self.delete([message.handle for message in gone], client)
        if back:
            await self._release([(message.handle, message.dequeue_count) for message in back], client)

    def forget(self, messages: Iterable[ReceivedMessage]) -> None:
        """Hide held messages no longer: they come again after their visibility timeout."""
        for message in messages:
            message.holders -= 1
            message.outcomes.add("again")
            if not message.holders and self._held.get(message.id) is message:
                del self._held[message.id]

    async def delete(self, handles: Iterable[str], client: SMQClient) -> None:
        """Delete messages, together with what others delete within a moment. Never raises."""
        # Shielded, because it deletes messages of others too.
        await asyncio.shield(self._schedule_deletion(handles, client))

    def _schedule_deletion(self, handles: Iterable[str], client: SMQClient) -> asyncio.Task[None]:
        self._to_delete += handles
        if self._deleting is None or self._deleting.done():
            self._deleting = asyncio.create_task(self._delete(client))
        return self._deleting

    async def _delete(self, client: SMQClient) -> None:
        await asyncio.sleep(_DELETE_DELAY)
        while self._to_delete:
            handles, self._to_delete = self._to_delete[:MAX_BATCH], self._to_delete[MAX_BATCH:]
            try:
                await client.delete(self.queue, handles)
            except Exception as error:
                # This must not fail a task whose job has succeeded.
                warn_rate_limited("Messages could not be deleted and will be received again: %s", error)

    async def _run(self) -> None:
        failures = idle = 0.0
        while self._consumers:
            if all(consumer.full for consumer in self._consumers):
                await asyncio.sleep(self._backoff.min_interval)
                continue
            # Any of them: the right may be missing to one account and not to another.
            client = random.choice(self._consumers).client  # noqa: S311
            try:
                messages = await client.receive(self.queue)
            except Exception as error:
                self._cannot_receive(client, error)
                asked_for = getattr(error, "retry_after", None) or 0.0
                failures = self._backoff.after(failures)
                await asyncio.sleep(min(max(failures, asked_for), self._backoff.max_interval))
                continue
            if self._failing:
                log.info("The SMQ queue %s answers again", self.queue)
            self._failing, self._warn_at, failures = False, 0.0, 0.0
            verdicts = [self._route(message) for message in messages]
            stale = [m.handle for m, verdict in zip(messages, verdicts, strict=True) if verdict == "stale"]
            if stale:
                self._schedule_deletion(stale, client)
            left = [
                (m.handle, m.dequeue_count)
                for m, verdict in zip(messages, verdicts, strict=True)
                if verdict == "left"
            ]
            if left:
                self._spawn(self._release(left, client))
            if messages and set(verdicts) <= {"left", "foreign"}:
                # Leave other consumers time to receive their messages.
                idle = self._idle_backoff.after(idle)
                await asyncio.sleep(idle * jitter())
            else:
                idle = 0.0

    def _cannot_receive(self, client: SMQClient, error: Exception) -> None:
        self._failing = True
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + _WARN_INTERVAL
            log.warning(
                "No messages are received from the SMQ queue %s; this is tried again with backoff, and jobs "
                "that wait for a message are polled meanwhile: %s",
                self.queue,
                error,
            )
        for consumer in self._consumers:
            if consumer.client is client:
                consumer.refused(error)

    def _route(self, message: Message) -> Verdict | Literal["foreign"]:
        """Offer a message to the consumers, and return what becomes of it."""
        now = time.monotonic()
        # The clock of the service has a resolution of one second.
        visible_in = max(1.0, (message.visible_in or DEFAULT_VISIBILITY) - 1.0)
        if held := self._held.get(message.id):
            # It has become visible all the same, and only its latest handle is good.
            held.handle, held.renew_at = message.handle, now + visible_in / 2
            return "held"
        if message.id in self._deleted:
            return "stale"
        content = parse_message(message.body)
        if content is None:
            self.foreign += 1
            warn_rate_limited(
                "Messages are no events of OSS and no completion messages of IMM; they are not deleted: %s",
                f"{self.foreign} receptions, the last of message {message.id} in the SMQ queue {self.queue}",
            )
            return "foreign"
        received = ReceivedMessage(
            message.id,
            content,
            message.handle,
            message.dequeue_count,
            published=now - message.age,
            renew_at=now + visible_in / 2,
        )
        for consumer in self._consumers:
            verdict = consumer.take(received)
            if verdict in ("taken", "stale"):
                return verdict
            received.holders += verdict == "held"
        if not received.holders:
            return "left"
        self._held[received.id] = received
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep_hidden(), name="oss-async-queue-keeper")
        return "held"

    async def _keep_hidden(self) -> None:
        """Prolong the visibility timeout of held messages, as long as there are any."""
        while self._held:
            now = time.monotonic()
            due = [message for message in self._held.values() if message.renew_at <= now]
            for first in range(0, len(due), MAX_BATCH):
                await asyncio.gather(*(self._prolong(one) for one in due[first : first + MAX_BATCH]))
            await asyncio.sleep(min(0.5, self._hold / 4))

    async def _prolong(self, message: ReceivedMessage) -> None:
        # Until it is known better, or the message is received again.
        message.renew_at = time.monotonic() + self._hold / 2
        if not self._consumers or message.id not in self._held:
            return
        renewed = await self._hide(message.handle, self._hold, self._consumers[-1].client)
        if renewed:
            message.handle = renewed

    async def _release(self, messages: Iterable[tuple[str, int]], client: SMQClient) -> None:
        """Let messages become visible soon: 1, 2, 4, ... seconds after their first, second, ... reception."""
        pending = [
            self._hide(handle, min(2 ** min(max(count, 1) - 1, 20), MAX_RELEASE), client)
            for handle, count in messages
        ]
        for first in range(0, len(pending), MAX_BATCH):
            await asyncio.gather(*pending[first : first + MAX_BATCH])

    async def _hide(self, handle: str, seconds: int, client: SMQClient) -> str | None:
        """Set when a message becomes visible; return its new handle. Never raises."""
        if time.monotonic() < self._hide_again_at:
            return None
        try:
            return await client.change_visibility(self.queue, handle, seconds)
        except Exception as error:
            if getattr(error, "status", None) in (401, 403):
                # They come back after the queue's own visibility timeout.
                self._hide_again_at = time.monotonic() + _WARN_INTERVAL
            warn_rate_limited("The visibility timeout of messages could not be changed: %s", error)
            return None

    def _spawn(self, step: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(step)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


_receivers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], QueueReceiver]] = (
    WeakKeyDictionary()
)


def receiver_of(client: SMQClient, queue: str, **options: float | Backoff) -> QueueReceiver:
    """Return the receiver of a queue on this event loop.

    :param client: any client of the service that has the queue.
    :param queue: name of the queue.
    :param options: of :class:`QueueReceiver`, where there is none yet.
    """
    here = _receivers.setdefault(asyncio.get_running_loop(), {})
    key = (client.endpoint, queue)
    if key not in here:
        here[key] = QueueReceiver(queue, **options)  # type: ignore[arg-type]
    return here[key]
