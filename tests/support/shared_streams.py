"""Running event triggers as a triggerer does: with Airflow's own manager of shared streams."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from airflow.triggers.shared_stream import SharedStreamManager

if TYPE_CHECKING:
    from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger


class Triggerer:
    """The part of a triggerer that event triggers need; a context manager.

    :param stores: whether events are stored as they come; else :meth:`store` does it.
    :ivar events: payloads of the events, by the id of their trigger.
    """

    def __init__(self, *, stores: bool = True, **options: Any) -> None:
        self.manager = SharedStreamManager(**options)
        self.events: dict[int, list[Any]] = {}
        self.errors: dict[int, BaseException] = {}
        self._stores = stores
        self._unstored: list[int] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for number in list(self._tasks):
            await self.stop(number)
        await self.manager.stop_all()

    def start(self, trigger: OSSEventTrigger) -> int:
        """Start a trigger and return its id."""
        number = len(self.events) + 1
        self.events[number] = []
        self._tasks[number] = asyncio.create_task(self._run(number, trigger))
        return number

    async def stop(self, number: int) -> None:
        """Cancel a trigger, as when its asset is not watched any more."""
        task = self._tasks.pop(number)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def store(self) -> None:
        """Say that all events so far are stored."""
        self.manager.confirm_persisted(self._unstored)
        self._unstored = []

    async def until(self, condition: Any, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _run(self, number: int, trigger: OSSEventTrigger) -> None:
        key = trigger.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                self.events[number].append(event.payload)
                seq = self.manager.bind_pending_event(trigger_id=number, key=key)
                if seq is not None:
                    self._unstored.append(seq)
                if self._stores:
                    asyncio.get_running_loop().call_later(0.05, self.store)
        except Exception as error:
            self.errors[number] = error
        finally:
            await self.manager.unsubscribe(number, key)
