"""The consumer of completion messages, against the queues of the stand-in."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.server.broker import Message, Queue
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.jobs.queue_consumer import QueueConsumer
    from airflow_provider_oss_async.jobs.services import Services


@pytest.fixture
def queue(stand: Any) -> Queue:
    # Messages come back soon, so that it is seen what becomes of them.
    stand.service.cloud.broker.queues["q"] = Queue("q", visibility=0.4)
    return stand.service.cloud.broker.queues["q"]  # type: ignore[no-any-return]


@pytest.fixture
async def services(stand: Any, queue: Queue) -> AsyncIterator[Services]:
    async with quick_services(stand.settings({"smq_queue": "q"})) as opened:
        yield opened


@pytest.fixture
def consumer(services: Services) -> QueueConsumer:
    assert services.queue_consumer is not None
    return services.queue_consumer


@pytest.fixture
def publish(stand: Any, queue: Queue) -> Any:
    def put(body: str) -> None:
        stand.service._loop.call_soon_threadsafe(queue.put, Message(body))

    return put


def about(task_id: str) -> str:
    return json.dumps({"TaskId": task_id, "TaskType": "MediaConvert", "Status": "Succeeded"})


async def receive(consumer: QueueConsumer, publish: Any, task_id: str) -> None:
    """Publish a message and read it."""
    arrived = asyncio.Event()
    with consumer.subscribed(task_id, arrived.set):
        publish(about(task_id))
        await asyncio.wait_for(arrived.wait(), 10)


def receivers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "oss-async-queue-receiver"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_message_is_deleted_when_its_subscriber_is_done(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    await receive(consumer, publish, "T-1")
    # Received, and still there: the task has not got the outcome yet.
    assert stand.messages("q") == (0, 1)
    await consumer.delete("T-1")
    assert stand.messages("q") == (0, 0)
    await consumer.delete("T-1")


async def test_a_subscriber_that_is_cancelled_leaves_its_message(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    await receive(consumer, publish, "T-1")
    await until(lambda: stand.messages("q") == (1, 0))
    # The next one gets it.
    again = asyncio.Event()
    with consumer.subscribed("T-1", again.set):
        await asyncio.wait_for(again.wait(), 10)
    await consumer.delete("T-1")
    assert stand.messages("q") == (0, 0)


async def test_one_batch_of_all_kinds(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    """Foreign and broken messages lose none of those that are wanted, plain or in base64."""
    received: list[str] = []
    bodies = [
        "not JSON",
        about("T-1"),
        base64.b64encode(about("T-2").encode()).decode(),
        json.dumps({"source": "acs.oss", "content": "{}"}),
        json.dumps({"source": "acs.imm", "content": about("T-3")}),
        "[]",
        about("of-others"),
    ]
    for body in bodies:
        publish(body)
    with ExitStack() as stack:
        for name in ("T-1", "T-2", "T-3"):
            stack.enter_context(consumer.subscribed(name, functools.partial(received.append, name)))
        await until(lambda: {"T-1", "T-2", "T-3"} <= set(received))
    for name in ("T-1", "T-2", "T-3"):
        await consumer.delete(name)
    ready, hidden = stand.messages("q")
    assert ready + hidden == 4


async def test_a_message_for_others_is_left_a_few_times(stand: Any, queue: Queue, publish: Any) -> None:
    queue.visibility = 0.1
    publish(about("of-others"))
    publish("foreign")
    await until(lambda: sum(stand.messages("q")) == 2)
    settings = stand.settings({"smq_queue": "q"})
    async with quick_services(settings, consumer={"max_receptions": 3, "unwanted_age": 0.3}) as services:
        assert services.queue_consumer is not None
        with services.queue_consumer.subscribed("T-1", lambda: None):
            await until(lambda: sum(stand.messages("q")) == 1)
            # What is no completion message is nobody's to delete.
            await asyncio.sleep(0.6)
            assert sum(stand.messages("q")) == 1


async def test_a_message_that_comes_twice_is_deleted_twice(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    with consumer.subscribed("T-2", lambda: None):
        await receive(consumer, publish, "T-1")
        await consumer.delete("T-1")
        publish(about("T-1"))
        deletions = stand.requests("SMQ:BatchDeleteMessage")
        await until(lambda: stand.requests("SMQ:BatchDeleteMessage") > deletions)
        await until(lambda: stand.messages("q") == (0, 0))


async def test_all_subscribers_of_a_loop_share_one_receiver(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    async def read(box: QueueConsumer | None, name: str) -> None:
        assert box is not None
        arrived = asyncio.Event()
        with box.subscribed(name, arrived.set):
            await asyncio.wait_for(arrived.wait(), 20)
        await box.delete(name)

    async with quick_services(stand.settings({"smq_queue": "q"}, conn_id="other")) as other:
        first = asyncio.create_task(read(other.queue_consumer, "T-0"))
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(read(consumer, f"T-{number}")) for number in range(1, 40)]
        await asyncio.sleep(0)
        assert len(receivers()) == 1
        for number in range(20):
            publish(about(f"T-{number}"))
        await asyncio.gather(first, *tasks[:19])
    # The one whose client was used has gone.
    for number in range(20, 40):
        publish(about(f"T-{number}"))
    await asyncio.gather(*tasks)
    await until(lambda: not receivers())
    # 16 to a request.
    assert stand.requests("SMQ:BatchDeleteMessage") < 20
    assert stand.messages("q") == (0, 0)


async def test_trouble_with_the_queue_is_waited_out(
    stand: Any, consumer: QueueConsumer, publish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand.service.add_fault("refuse", match="SMQ:BatchReceiveMessage", status=503)
    stand.service.add_fault("throttle", match="SMQ:BatchReceiveMessage", seconds=0.05)
    stand.service.add_fault("close", match="SMQ:BatchReceiveMessage")
    arrived = asyncio.Event()
    publish(about("T-1"))
    with consumer.subscribed("T-1", arrived.set):
        await asyncio.wait_for(arrived.wait(), 10)
    assert stand.requests("SMQ:BatchReceiveMessage") >= 4
    assert [record.levelname for record in caplog.records if "q" in record.message].count("WARNING") == 1


async def test_a_queue_that_is_not_there_ends_nothing(stand: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with quick_services(stand.settings({"smq_queue": "none"})) as services:
        assert services.queue_consumer is not None
        with services.queue_consumer.subscribed("T-1", lambda: None):
            await until(lambda: "Check queue and topic" in caplog.text)
            assert len(receivers()) == 1


async def test_a_deletion_that_fails_ends_nothing(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    stand.service.add_fault("refuse", match="SMQ:BatchDeleteMessage", status=500)
    with consumer.subscribed("T-2", lambda: None):
        await receive(consumer, publish, "T-1")
        await consumer.delete("T-1")
        # It comes again, and is deleted then.
        await until(lambda: stand.messages("q") == (0, 0))


async def test_a_deletion_while_another_is_under_way(
    stand: Any, consumer: QueueConsumer, queue: Queue, publish: Any
) -> None:
    queue.visibility = 30
    stand.service.add_fault("delay", match="SMQ:BatchDeleteMessage", seconds=0.3)
    received: set[str] = set()
    with (
        consumer.subscribed("T-1", lambda: received.add("T-1")),
        consumer.subscribed("T-2", lambda: received.add("T-2")),
    ):
        publish(about("T-1"))
        publish(about("T-2"))
        await until(lambda: len(received) == 2)
        first = asyncio.create_task(consumer.delete("T-1"))
        while not stand.requests("SMQ:BatchDeleteMessage"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await consumer.delete("T-2")
        await first
    assert stand.messages("q") == (0, 0)
