"""Periodic listings of a trigger, and where they keep how far they have come."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="this Airflow has no shared streams")

from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.events.filter import EventFilter
from airflow_provider_oss_async.local.server.broker import Message, Queue
from airflow_provider_oss_async.triggers.event_listing import PeriodicListing, merged
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests.support.event_bodies import object_body
from tests.support.shared_streams import Triggerer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class Store:
    """What Airflow 3.3.2 gives a trigger: values survive only as JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


class BlockingStore:
    """What Airflow 3.3.0 gives it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


class SeveralAssets:
    """What it gives a trigger of several assets."""

    async def aget(self, key: str, default: Any = None) -> Any:
        raise ValueError("Task has 2 concrete inlets and outlets")

    async def aset(self, key: str, value: Any) -> None:
        raise ValueError("Task has 2 concrete inlets and outlets")


def periodic(store: Any, **options: Any) -> PeriodicListing:
    arguments: dict[str, Any] = {
        "oss_conn_id": "oss_async_default",
        "wanted": EventFilter(prefix="in/"),
        "list_every": 0.2,
        "max_batch": 100,
        "grace": -5.0,
    }
    quick = {"backoff": Backoff(0.05, 0.1), "batch_interval": 0.01}
    return PeriodicListing(**{**arguments, **quick, **options, "store": store})


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Running:
    """Collects what listings find."""

    def __init__(self, listing: PeriodicListing) -> None:
        self.batches: list[list[str]] = []
        self._listing = listing

    async def _run(self) -> None:
        async for batch in self._listing.batches():
            self.batches.append([event.key for event in batch])

    async def __aenter__(self) -> Running:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def keys(self) -> list[str]:
        return [key for batch in self.batches for key in batch]


@pytest.mark.parametrize("kind", [Store, BlockingStore])
async def test_what_was_written_during_a_restart_is_found(
    stand: Any, connect: Callable[..., None], kind: Any
) -> None:
    store = kind()
    stand.put("in/before")
    async with Running(periodic(store)) as running:
        await until(lambda: store.values)
        stand.put("in/a")
        await until(lambda: running.keys == ["in/a"])
        # Its event is stored by the time of the next listing.
        before = dict(store.values)
        await until(lambda: store.values != before)
    stand.put("in/b")
    async with Running(periodic(store)) as running:
        await until(lambda: running.keys)
        await asyncio.sleep(0.5)
        assert running.keys == ["in/b"]


async def test_what_was_not_stored_is_found_again(stand: Any, connect: Callable[..., None]) -> None:
    store = Store()
    async with Running(periodic(store)) as running:
        await until(lambda: store.values)
        stand.put("in/a")
        stored = dict(store.values)
        await until(lambda: running.keys == ["in/a"])
    store.values = stored
    async with Running(periodic(store)) as running:
        await until(lambda: running.keys == ["in/a"])


async def test_many_objects_are_several_events(stand: Any, connect: Callable[..., None]) -> None:
    store = Store()
    async with Running(periodic(store, max_batch=3, list_every=0.5)) as running:
        await until(lambda: store.values)
        for number in range(7):
            stand.put(f"in/{number}")
        await until(lambda: len(running.keys) == 7)
    assert max(len(batch) for batch in running.batches) == 3
    assert len(set(running.keys)) == 7


@pytest.mark.parametrize("store", [None, SeveralAssets()])
async def test_without_a_store_it_works_until_the_next_restart(
    stand: Any, connect: Callable[..., None], store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Running(periodic(store)) as running:
        await until(lambda: stand.requests("OSS:ListObjectsV2"))
        await asyncio.sleep(0.2)
        stand.put("in/a")
        await until(lambda: running.keys == ["in/a"])
    assert ("Give each asset a queue of its own" in caplog.text) is (store is not None)


async def test_trouble_is_waited_out(
    stand: Any, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    for _ in range(3):
        stand.service.add_fault("refuse", match="OSS:ListObjects*", status=403, code="AccessDenied", times=3)
    async with Running(periodic(store)) as running:
        await until(lambda: store.values)
        stand.put("in/a")
        await until(lambda: running.keys == ["in/a"])
    assert caplog.text.count("The bucket is not listed") >= 1


async def test_a_bucket_is_needed(
    stand: Any, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect(schema="", extra={"bucket": ""})
    async with Running(periodic(Store())):
        await until(lambda: "list_every needs a bucket to list" in caplog.text)
    store = Store()
    async with Running(periodic(store, wanted=EventFilter(prefix="oss://media/in/"))):
        await until(lambda: store.values)


async def test_a_trigger_reports_only_what_no_event_announced(
    stand: Any, connect: Callable[..., None]
) -> None:
    class Quick(OSSEventTrigger):
        join_delay = 0.1
        batch_interval = 0.1
        listing_options: ClassVar[dict[str, Any]] = {"grace": -5.0}

        def serialize(self) -> tuple[str, dict[str, Any]]:
            path, arguments = super().serialize()
            return path, {**arguments, "list_every": None}

    connect({"smq_queue": "q"})
    stand.service.cloud.broker.queues["q"] = queue = Queue("q")
    trigger = Quick(prefix="in/", collect_for=0.1, list_every=60)
    trigger.list_every = 0.5
    trigger.asset_state_store = store = Store()  # type: ignore[assignment]
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger)
        await until(lambda: store.values)
        stand.service._loop.call_soon_threadsafe(
            queue.put, Message(object_body("in/announced", bucket="media").replace("\n", ""))
        )
        await until(lambda: triggerer.events[one])
        stand.put("in/lost")
        await until(lambda: len(triggerer.events[one]) == 2)
        await until(lambda: sum(stand.messages("q")) == 0)
        (announced,), (lost,) = (payload["objects"] for payload in triggerer.events[one])
        assert (announced["key"], announced["event"]) == ("in/announced", "ObjectCreated:PutObject")
        assert (lost["key"], lost["event"]) == ("in/lost", "Listing")
        await asyncio.sleep(1)
        assert len(triggerer.events[one]) == 2


async def test_merging_asks_for_the_next_only_when_the_last_is_done() -> None:
    asked: list[int] = []

    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(100):
            asked.append(number)
            yield number
        await asyncio.Event().wait()

    async def nothing() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield -1

    both = merged(numbers(), nothing())
    for expected in range(3):
        assert await anext(both) == expected
        await asyncio.sleep(0.01)
        assert asked == list(range(expected + 1))
    await both.aclose()


async def test_merging_passes_errors_on() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("ended")

    async def endless() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield -1

    both = merged(endless(), failing())
    assert await anext(both) == 1
    with pytest.raises(RuntimeError, match="ended"):
        await anext(both)
