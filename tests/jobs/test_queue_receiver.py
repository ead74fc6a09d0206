"""The one receiver of a queue: what becomes of messages. Its consumers are tested with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.jobs.queue_receiver import QueueReceiver, receiver_of
from airflow_provider_oss_async.local.server.broker import Message, Queue
from tests.support.event_bodies import job_body, object_body
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.queue_receiver import ReceivedMessage, Verdict


class Taker:
    """A consumer that answers always the same."""

    def __init__(self, client: SMQClient, verdict: Verdict) -> None:
        self.client = client
        self.verdict = verdict
        self.full = False
        self.messages: list[ReceivedMessage] = []
        self.errors: list[Exception] = []

    def take(self, message: ReceivedMessage) -> Verdict:
        self.messages.append(message)
        return self.verdict

    def refused(self, error: Exception) -> None:
        self.errors.append(error)


@pytest.fixture
def queue(stand: Any) -> Queue:
    stand.service.cloud.broker.queues["q"] = Queue("q")
    return stand.service.cloud.broker.queues["q"]  # type: ignore[no-any-return]


@pytest.fixture
async def client(stand: Any, queue: Queue) -> AsyncIterator[SMQClient]:
    async with quick_services(stand.settings()) as services:
        assert services.smq is not None
        yield services.smq


def publish(stand: Any, *bodies: str) -> None:
    for body in bodies:
        stand.service._loop.call_soon_threadsafe(stand.service.cloud.broker.queues["q"].put, Message(body))


async def until(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def receiver(**options: Any) -> QueueReceiver:
    return QueueReceiver("q", **{"backoff": Backoff(0.05, 0.2), **options})


async def test_one_receiver_for_a_queue(client: SMQClient) -> None:
    assert receiver_of(client, "q") is receiver_of(client, "q")
    assert receiver_of(client, "q") is not receiver_of(client, "other")


async def test_a_message_that_is_left_comes_back_soon_and_then_later(stand: Any, client: SMQClient) -> None:
    """Others shall get it, and it shall not run through the receptions of a dead-letter policy."""
    taker, own = Taker(client, "left"), receiver()
    publish(stand, object_body("a"))
    own.join(taker)
    await asyncio.sleep(5)
    own.leave(taker)
    # After 1 and 2 more seconds; the next time would be after 4 more.
    assert [message.dequeue_count for message in taker.messages] == [1, 2, 3]
    assert sum(stand.messages("q")) == 1


async def test_a_message_is_deleted_when_all_have_stored_it(stand: Any, client: SMQClient) -> None:
    first, second, other = (Taker(client, verdict) for verdict in ("held", "held", "left"))
    own = receiver()
    for taker in (first, second, other):
        own.join(taker)
    publish(stand, object_body("a"))
    await until(lambda: second.messages)
    await own.settle(first.messages, "stored", client)
    assert sum(stand.messages("q")) == 1
    await own.settle(second.messages, "unwanted", client)
    assert sum(stand.messages("q")) == 0
    for taker in (first, second, other):
        own.leave(taker)


@pytest.mark.parametrize("outcomes", [("stored", "again"), ("unwanted", "unwanted"), ("unwanted", "again")])
async def test_a_message_comes_again(stand: Any, client: SMQClient, outcomes: Any) -> None:
    first, second = Taker(client, "held"), Taker(client, "held")
    own = receiver()
    own.join(first)
    own.join(second)
    publish(stand, object_body("a"))
    await until(lambda: second.messages)
    for taker, outcome in zip((first, second), outcomes, strict=True):
        await own.settle(list(taker.messages), outcome, client)
    await until(lambda: len(first.messages) == 2)
    assert first.messages[0].id == first.messages[1].id
    own.leave(first)
    own.leave(second)


async def test_whoever_takes_a_message_first_has_it(stand: Any, client: SMQClient) -> None:
    waiting, holding = Taker(client, "taken"), Taker(client, "held")
    own = receiver()
    own.join(holding)
    own.join(waiting, first=True)
    publish(stand, job_body("T-1"))
    await until(lambda: waiting.messages)
    assert not holding.messages
    await own.delete([waiting.messages[0].handle], client)
    assert sum(stand.messages("q")) == 0
    own.leave(waiting)
    own.leave(holding)


async def test_a_held_message_that_comes_back_is_not_offered_again(
    stand: Any, client: SMQClient, queue: Queue
) -> None:
    """Its new handle is the good one."""
    queue.visibility = 0.3
    taker, own = Taker(client, "held"), receiver()
    stand.service.add_fault("refuse", match="SMQ:ChangeMessageVisibility", status=403, code="AccessDenied")
    publish(stand, object_body("a"))
    own.join(taker)
    await until(lambda: stand.requests("SMQ:BatchReceiveMessage") >= 3)
    await own.settle(taker.messages, "stored", client)
    await until(lambda: sum(stand.messages("q")) == 0)
    assert len(taker.messages) == 1
    own.leave(taker)


async def test_a_deleted_message_that_comes_back_is_not_offered_again(
    stand: Any, client: SMQClient, queue: Queue
) -> None:
    queue.visibility = 0.5
    taker, own = Taker(client, "held"), receiver()
    stand.service.add_fault("refuse", match="SMQ:BatchDeleteMessage", status=500)
    publish(stand, object_body("a"))
    own.join(taker)
    await until(lambda: taker.messages)
    await own.settle(taker.messages, "stored", client)
    assert sum(stand.messages("q")) == 1
    await until(lambda: sum(stand.messages("q")) == 0)
    assert len(taker.messages) == 1
    own.leave(taker)


async def test_held_messages_stay_hidden(stand: Any, client: SMQClient, queue: Queue) -> None:
    queue.visibility = 2
    taker, own = Taker(client, "held"), receiver(hold=2)
    publish(stand, *(object_body(str(number)) for number in range(20)))
    own.join(taker)
    await until(lambda: len(taker.messages) == 20)
    await asyncio.sleep(4)
    assert stand.messages("q") == (0, 20)
    await own.settle(taker.messages, "stored", client)
    await until(lambda: sum(stand.messages("q")) == 0)
    assert len(taker.messages) == 20
    own.leave(taker)


async def test_a_refused_right_is_not_tried_with_each_message(
    stand: Any, client: SMQClient, caplog: pytest.LogCaptureFixture
) -> None:
    stand.service.add_fault("refuse", match="SMQ:ChangeMessageVisibility", status=403, code="AccessDenied")
    taker, own = Taker(client, "left"), receiver()
    publish(stand, object_body("a"))
    own.join(taker)
    await until(lambda: stand.requests("SMQ:ChangeMessageVisibility"))
    publish(stand, object_body("b"))
    await until(lambda: len(taker.messages) == 2)
    await asyncio.sleep(0.2)
    assert stand.requests("SMQ:ChangeMessageVisibility") == 1
    assert "Grant mns:ChangeMessageVisibility" in caplog.text
    own.leave(taker)


async def test_foreign_messages_stay_as_they_are(
    stand: Any, client: SMQClient, caplog: pytest.LogCaptureFixture
) -> None:
    taker, own = Taker(client, "held"), receiver()
    publish(stand, "foreign", '{"source": "acs.ecs"}')
    own.join(taker)
    await until(lambda: own.foreign == 2)
    assert not taker.messages
    assert stand.requests("SMQ:ChangeMessageVisibility") == stand.requests("SMQ:BatchDeleteMessage") == 0
    assert "they are not deleted" in caplog.text
    own.leave(taker)


async def test_trouble_is_logged_once_and_waited_out(
    stand: Any, client: SMQClient, caplog: pytest.LogCaptureFixture
) -> None:
    del stand.service.cloud.broker.queues["q"]
    taker, own = Taker(client, "held"), receiver()
    own.join(taker)
    await until(lambda: len(taker.errors) >= 4)
    stand.service.cloud.broker.queues["q"] = Queue("q")
    publish(stand, object_body("a"))
    await until(lambda: taker.messages)
    assert caplog.text.count("No messages are received from the SMQ queue q") == 1
    assert "Check queue and topic" in caplog.text
    own.leave(taker)
    own.forget(taker.messages)
