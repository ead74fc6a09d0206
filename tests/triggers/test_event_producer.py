"""The producer: trouble with the connection is waited out, and a changed connection is used."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.local.server.broker import Message, Queue
from airflow_provider_oss_async.triggers.event_producer import EventProducer
from tests.support.event_bodies import object_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture
def queue(stand: Any) -> Queue:
    stand.service.cloud.broker.queues["q"] = Queue("q")
    return stand.service.cloud.broker.queues["q"]  # type: ignore[no-any-return]


def publish(stand: Any, *bodies: str) -> None:
    for body in bodies:
        stand.service._loop.call_soon_threadsafe(stand.service.cloud.broker.queues["q"].put, Message(body))


@asynccontextmanager
async def producing(**options: Any) -> AsyncIterator[tuple[EventProducer, Any]]:
    arguments = {"oss_conn_id": "oss_async_default", "queue": None, "kinds": ("object",), "collect_for": 0.1}
    producer = EventProducer(
        **{**arguments, "connect_backoff": Backoff(0.1, 0.2), "batch_interval": 0.0, **options}
    )
    batches: Any = producer.batches()
    try:
        yield producer, lambda: asyncio.wait_for(anext(batches), 20)
    finally:
        await batches.aclose()
        await producer.aclose()


def item(batch: Any, *, clean: bool) -> Any:
    """What Airflow says of a batch."""
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream")
    return shared_stream.AdvanceItem(batch, shared_stream.AdvanceOutcome(acked=1, failed=not clean))


def test_it_has_what_airflow_calls() -> None:
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream")
    for name in ("open_stream", "advance", "get_advance_lane", "aclose"):
        assert callable(getattr(shared_stream.SharedStreamProducer, name))
        assert callable(getattr(EventProducer, name))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def after(caplog: pytest.LogCaptureFixture, text: str, mend: Any, waiting: Any) -> None:
    """Wait for a line of the log, mend the cause, and get a batch."""
    pending = asyncio.ensure_future(waiting())
    await until(lambda: text in caplog.text)
    await asyncio.sleep(0.5)
    assert caplog.text.count(text) == 1
    mend()
    assert len((await pending).messages) == 1


async def test_a_connection_that_is_made_later(
    stand: Any,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    airflow_db: None,
) -> None:
    publish(stand, object_body("a"))
    made = json.dumps(stand.connection({"smq_queue": "q"}))
    async with producing(oss_conn_id="later") as (_, next_batch):
        await after(
            caplog,
            "There is no Airflow connection 'later'",
            lambda: monkeypatch.setenv("AIRFLOW_CONN_LATER", made),
            next_batch,
        )


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"smq_queue": ""}, "Set smq_queue (or queue of the trigger) on the Airflow connection"),
        ({"smq_queue": "", "smq_endpoint": ""}, "Set smq_endpoint on the Airflow connection"),
    ],
)
async def test_a_connection_that_lacks_something(
    stand: Any,
    queue: Queue,
    connect: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    extra: dict[str, str],
    text: str,
) -> None:
    connect(extra)
    publish(stand, object_body("a"))
    async with producing() as (_, next_batch):
        await after(caplog, text, lambda: connect({"smq_queue": "q"}), next_batch)


async def test_a_secret_that_is_exchanged(
    stand: Any, queue: Queue, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect({"smq_queue": "q"}, password="an-old-secret")
    publish(stand, object_body("a"))
    async with producing() as (_, next_batch):
        await after(caplog, "Check the AccessKey secret", lambda: connect({"smq_queue": "q"}), next_batch)
    assert "an-old-secret" not in caplog.text


async def test_advance_deletes_what_is_stored(stand: Any, queue: Queue, connect: Callable[..., None]) -> None:
    connect({"smq_queue": "q"})
    async with producing() as (producer, next_batch):
        for clean, left in ((False, 1), (True, 0)):
            if not clean:
                publish(stand, object_body("a"))
            batch = await next_batch()
            batch.wanted.update(message.id for message in batch.messages)
            await producer.advance([item(batch, clean=clean)])
            assert sum(stand.messages("q")) == left
            assert batch.stored is clean
        assert producer.get_advance_lane(batch) == producer.get_advance_lane(batch)
        assert producer.get_advance_lane(batch) != producer.get_advance_lane(object())


async def test_advance_never_raises(
    stand: Any, queue: Queue, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect({"smq_queue": "q"})
    publish(stand, object_body("a"))
    async with producing() as (producer, next_batch):
        batch = await next_batch()
        batch.wanted.update(message.id for message in batch.messages)
        stand.service.stop()
        await producer.advance([item(batch, clean=True)])
        assert "could not be deleted" in caplog.text
