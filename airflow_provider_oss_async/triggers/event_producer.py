"""The half of a shared stream that receives: the producer of Airflow's acknowledgement mode.

Not a subclass of ``airflow.triggers.shared_stream.SharedStreamProducer``, which Airflow 3.2 does not have:
the plain way of that version uses it too.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.events.collector import EventCollector
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError, error_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.events.collector import EventBatch
    from airflow_provider_oss_async.jobs.services import Services

log = logging.getLogger(__name__)

#: Seconds between two attempts to open a connection that is no good.
CONNECT_BACKOFF = Backoff(5.0, 300.0, 2.0)


class EventProducer:
    """Receives the messages of a queue in batches, and deletes them when their events are stored.

    Trouble that lasts is logged once and waited out: an error would make Airflow start the trigger again
    every two seconds for ever.

    :param oss_conn_id: Airflow connection.
    :param queue: name of the queue; ``None`` for that of the connection.
    :param kinds: what is wanted: ``object``, ``job`` or both.
    :param join_delay: seconds before the first reception; default 0.
    :param connect_backoff: seconds between two attempts to open a connection; default 5 to 300.
    :param options: of :class:`~airflow_provider_oss_async.events.collector.EventCollector`.
    """

    def __init__(
        self,
        *,
        oss_conn_id: str,
        queue: str | None,
        kinds: Iterable[str],
        join_delay: float = 0.0,
        connect_backoff: Backoff = CONNECT_BACKOFF,
        **options: float,
    ) -> None:
        self._oss_conn_id = oss_conn_id
        self._queue = queue
        self._kinds = tuple(kinds)
        self._join_delay = join_delay
        self._connect_backoff = connect_backoff
        self._collector = EventCollector(self._kinds, **options)  # type: ignore[arg-type]
        self._stack = AsyncExitStack()
        self._settling: set[asyncio.Task[None]] = set()
        self._logged = ""

    async def open_stream(self) -> AsyncIterator[tuple[EventBatch, EventBatch]]:
        """Yield batches for ever; a batch is its own broker payload."""
        async for batch in self.batches():
            yield batch, batch

    async def advance(self, items: Sequence[AdvanceItem]) -> None:
        """Delete the messages of batches whose events are stored. Never raises."""
        for item in items:
            await self._collector.settle(item.broker_payload, stored=item.outcome.is_clean)

    def get_advance_lane(self, broker_payload: Any) -> Hashable:
        """Return a lane of its own for each batch, so that a slow one does not hold up the others."""
        return id(broker_payload)

    async def aclose(self) -> None:
        """Give back what was collected, and close the connection."""
        for task in self._settling:
            task.cancel()
        await self._collector.close()
        await self._stack.aclose()

    async def batches(self) -> AsyncIterator[EventBatch]:
        """Yield batches for ever."""
        await asyncio.sleep(self._join_delay)
        interval = 0.0
        while True:
            try:
                services = await self._connect()
            except Exception as error:
                self._log_once(error)
                interval = self._connect_backoff.after(interval)
                await asyncio.sleep(interval)
                continue
            try:
                while True:
                    batch = await self._collector.next_batch()
                    self._logged, interval = "", 0.0
                    yield batch
            except Exception as error:
                if not isinstance(error, OSSServiceError):
                    self._log_once(error)
                # Those of the service are logged by the receiver. The connection may have been changed.
                from airflow_provider_oss_async.hooks.shared import forget_settings

                forget_settings(services)
                interval = self._connect_backoff.after(interval)
                await asyncio.sleep(interval)

    def settle_later(self, batch: EventBatch, seconds: float) -> None:
        """Settle a batch as stored after a while, where Airflow does not say when that is."""

        async def settle() -> None:
            await asyncio.sleep(seconds)
            await self._collector.settle(batch, stored=True)

        task = asyncio.create_task(settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _connect(self) -> Services:
        """Open the connection, again if it is open already, and collect from its queue."""
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.hooks.shared import forget_settings, shared_services
        from airflow_provider_oss_async.jobs.queue_receiver import receiver_of

        stack = AsyncExitStack()
        try:
            services = await stack.enter_async_context(shared_services(OSSAsyncHook(self._oss_conn_id)))
            try:
                client, queue = self._queue_of(services)
            except OSSConnectionError:
                # It is read again for the next attempt.
                forget_settings(services)
                raise
            self._collector.attach(receiver_of(client, queue), client)
        except BaseException:
            await stack.aclose()
            raise
        before, self._stack = self._stack, stack
        await before.aclose()
        return services

    def _queue_of(self, services: Services) -> tuple[SMQClient, str]:
        own = services.queue_consumer.queue if services.queue_consumer is not None else ""
        queue = self._queue or own
        if services.smq is None or not queue:
            missing = "smq_endpoint" if services.smq is None else "smq_queue (or queue of the trigger)"
            raise OSSConnectionError(
                error_text(
                    f"Set {missing} on the Airflow connection {self._oss_conn_id!r}",
                    "Without it no event can be received",
                )
            )
        if "job" in self._kinds and queue == own:
            raise OSSConnectionError(
                error_text(
                    f"Name another queue than smq_queue of the Airflow connection {self._oss_conn_id!r}: "
                    "tasks with completion='smq' delete the messages about their jobs there",
                    "Subscribe a queue of its own to the topic",
                    queue=queue,
                )
            )
        return services.smq, queue

    def _log_once(self, error: Exception) -> None:
        if str(error) != self._logged:
            self._logged = str(error)
            log.warning("No events are received; this is tried again with backoff: %s", error)
