"""Listing a bucket at intervals for an event trigger, with the state in Airflow's asset state store (3.3)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_oss_async.clients.object_events import stable_id
from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.events.collector import BATCH_INTERVAL
from airflow_provider_oss_async.events.filter import split_prefix
from airflow_provider_oss_async.events.listing import Listing
from airflow_provider_oss_async.exceptions import OSSConnectionError, error_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from airflow_provider_oss_async.clients.object_events import ObjectEvent
    from airflow_provider_oss_async.events.filter import EventFilter

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between two attempts while the bucket cannot be listed, or the state cannot be read.
LISTING_BACKOFF = Backoff(10.0, 600.0, 2.0)


class PeriodicListing:
    """Lists a bucket at intervals. Trouble is logged once and waited out.

    :param oss_conn_id: Airflow connection.
    :param wanted: which objects are wanted; its prefix names the bucket, or is one in the default bucket.
    :param list_every: seconds between two listings.
    :param max_batch: objects of an event at most.
    :param store: Airflow's asset state store; ``None`` where there is none.
    :param options: of :class:`~airflow_provider_oss_async.events.listing.Listing`.
    """

    def __init__(
        self,
        *,
        oss_conn_id: str,
        wanted: EventFilter,
        list_every: float,
        max_batch: int,
        store: Any,
        backoff: Backoff = LISTING_BACKOFF,
        batch_interval: float = BATCH_INTERVAL,
        **options: float,
    ) -> None:
        self._oss_conn_id = oss_conn_id
        self._wanted = wanted
        self._list_every = list_every
        self._max_batch = max_batch
        self._store = store
        self._backoff = backoff
        self._batch_interval = batch_interval
        self._options = options
        self._key = f"oss_async_listing_{stable_id(oss_conn_id, str(sorted(wanted.to_dict().items())))[:16]}"
        self._listing: Listing | None = None
        #: What was announced before the state had been read.
        self._early: deque[tuple[str, str, str]] = deque(maxlen=10_000)
        self._logged = ""

    def announced(self, objects: list[dict[str, Any]]) -> None:
        """Note objects that events have announced."""
        names = [(item["bucket"], item["key"], item["etag"]) for item in objects]
        if self._listing is None:
            self._early += names
        else:
            self._listing.announced(names)

    async def batches(self) -> AsyncIterator[list[ObjectEvent]]:
        """Yield objects that no event has announced, for ever."""
        interval = 0.0
        while True:
            try:
                begin = time.monotonic()
                async for batch in self._once():
                    yield batch
                    # A scheduler loop must see the event of one before the next is stored.
                    await asyncio.sleep(self._batch_interval)
                self._logged, interval = "", 0.0
                wait = max(0.0, begin + self._list_every - time.monotonic())
            except Exception as error:
                if str(error) != self._logged:
                    self._logged = str(error)
                    log.warning("The bucket is not listed; this is tried again with backoff: %s", error)
                wait = interval = self._backoff.after(interval)
            await asyncio.sleep(wait)

    async def _once(self) -> AsyncIterator[list[ObjectEvent]]:
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.hooks.shared import shared_services

        hook = OSSAsyncHook(self._oss_conn_id)
        bucket, prefix = split_prefix(self._wanted.prefix or "")
        bucket = bucket or (await hook.aget_settings()).bucket
        if not bucket:
            advice = "Write prefix='oss://bucket/prefix/', or set a default bucket on the connection"
            raise OSSConnectionError(error_text(f"{advice}: list_every needs a bucket to list"))
        if self._listing is None:
            self._listing = Listing(bucket, prefix, self._wanted, await self._read(), **self._options)
            self._listing.announced(self._early)
            self._early.clear()
        elif not self._listing.first:
            # The events of the listing before are stored by now.
            await self._write(self._listing.state())
        first = self._listing.first
        batch: list[ObjectEvent] = []
        trouble: Exception | None = None
        async with shared_services(hook) as services:
            found = self._listing.unannounced(services.oss)
            while True:
                try:
                    batch.append(await anext(found))
                except StopAsyncIteration:
                    break
                except Exception as error:
                    # What was found until now counts as reported, so it must be.
                    trouble = error
                    break
                if len(batch) == self._max_batch:
                    yield batch
                    batch = []
        if batch:
            yield batch
        if trouble is not None:
            raise trouble
        if first:
            await self._write(self._listing.state())

    async def _read(self) -> dict[str, Any] | None:
        """Return the stored state; ``None`` if there is none."""
        if self._store is None:
            return None
        try:
            # Airflow before 3.3.2 has only the blocking form.
            get = getattr(self._store, "aget", None)
            state = await (get(self._key) if get else asyncio.to_thread(self._store.get, self._key))
        except ValueError as error:
            self._without_store(error)
            return None
        return state if isinstance(state, dict) else None

    async def _write(self, state: dict[str, Any]) -> None:
        if self._store is None:
            return
        try:
            put = getattr(self._store, "aset", None)
            await (put(self._key, state) if put else asyncio.to_thread(self._store.set, self._key, state))
        except ValueError as error:
            self._without_store(error)
        except Exception as error:
            log.warning("It could not be stored how far the listing has come; that is done later: %s", error)

    def _without_store(self, error: Exception) -> None:
        log.warning(
            "Give each asset a queue of its own: how far listings have come is not stored where several "
            "assets have one trigger, so objects are missed that are written while it restarts. (%s)",
            error,
        )
        self._store = None


async def merged(first: AsyncGenerator[T, None], second: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield what two endless generators yield, as it comes.

    The next item of a generator is asked for only when the last one has been dealt with: in acknowledgement
    mode that says that a batch is done.
    """
    waiting = {asyncio.create_task(anext(source)): source for source in (first, second)}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = waiting.pop(task)
                yield task.result()
                waiting[asyncio.create_task(anext(source))] = source
    finally:
        for task in waiting:
            task.cancel()
        for task in waiting:
            with suppress(asyncio.CancelledError, Exception):
                await task
        for source in (first, second):
            with suppress(RuntimeError):
                await source.aclose()
