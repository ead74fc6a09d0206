"""Batches of messages: when they end, what is full, and what becomes of their messages."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.events.collector import EventCollector
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError
from airflow_provider_oss_async.jobs.queue_receiver import QueueReceiver, receiver_of
from airflow_provider_oss_async.local.server.broker import Message, Queue
from tests.support.event_bodies import job_body, object_body
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_oss_async.clients.smq import SMQClient


@pytest.fixture
async def client(stand: Any) -> AsyncIterator[SMQClient]:
    for name in ("q", "other"):
        stand.service.cloud.broker.queues[name] = Queue(name)
    async with quick_services(stand.settings()) as services:
        assert services.smq is not None
        yield services.smq


@pytest.fixture
async def attached(client: SMQClient) -> AsyncIterator[Callable[..., EventCollector]]:
    made: list[EventCollector] = []

    def attach(*kinds: str, **options: Any) -> EventCollector:
        collector = EventCollector(
            kinds or ("object",), **{"collect_for": 0.2, "batch_interval": 0.0, **options}
        )
        collector.attach(receiver_of(client, "q", backoff=Backoff(0.05, 0.5)), client)
        made.append(collector)
        return collector

    yield attach
    for collector in made:
        await collector.close()


def publish(stand: Any, *bodies: str, queue: str = "q") -> None:
    for body in bodies:
        stand.service._loop.call_soon_threadsafe(stand.service.cloud.broker.queues[queue].put, Message(body))


async def batch_of(collector: EventCollector) -> Any:
    return await asyncio.wait_for(collector.next_batch(), 15)


async def until(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_batch_ends_after_its_time(stand: Any, attached: Any) -> None:
    collector = attached(collect_for=0.8)
    publish(stand, object_body("a"))
    await asyncio.sleep(0.3)
    publish(stand, object_body("b", "c"))
    batch = await batch_of(collector)
    assert [event.key for _, event in batch.objects()] == ["a", "b", "c"]
    assert len(batch.messages) == 2


async def test_a_batch_ends_when_it_is_large_enough(stand: Any, attached: Any) -> None:
    collector = attached(collect_for=60, max_batch=3)
    publish(stand, *(object_body(str(number)) for number in range(6)))
    for expected in (3, 3):
        batch = await batch_of(collector)
        assert len(list(batch.objects())) == expected
        batch.wanted.update(message.id for message in batch.messages)
        await collector.settle(batch, stored=True)
    # A message is never split.
    publish(stand, object_body("w"), object_body("x", "y", "z"))
    assert len(list((await batch_of(collector)).objects())) == 4


async def test_batches_are_some_time_apart(stand: Any, attached: Any) -> None:
    collector = attached(collect_for=0.0, max_batch=1, batch_interval=0.7)
    publish(stand, object_body("a"), object_body("b"))
    await batch_of(collector)
    begin = time.monotonic()
    await batch_of(collector)
    assert time.monotonic() - begin > 0.6


async def test_no_more_is_received_than_can_be_stored(stand: Any, attached: Any) -> None:
    collector = attached(collect_for=0.0, max_batch=16)
    publish(stand, *(object_body(str(number)) for number in range(64)))
    first, second = await batch_of(collector), await batch_of(collector)
    await until(lambda: collector.full)
    await asyncio.sleep(0.5)
    received = stand.requests("SMQ:BatchReceiveMessage")
    await asyncio.sleep(0.3)
    assert stand.requests("SMQ:BatchReceiveMessage") == received
    for batch in (first, second):
        batch.wanted.update(message.id for message in batch.messages)
        await collector.settle(batch, stored=True)
    seen = len(first.messages) + len(second.messages)
    while seen < 64:
        batch = await batch_of(collector)
        batch.wanted.update(message.id for message in batch.messages)
        seen += len(batch.messages)
        await collector.settle(batch, stored=True)
    await until(lambda: sum(stand.messages("q")) == 0)


@pytest.mark.parametrize(("stored", "wanted", "left"), [(True, True, 0), (True, False, 1), (False, True, 1)])
async def test_settling(stand: Any, attached: Any, stored: bool, wanted: bool, left: int) -> None:
    collector = attached()
    publish(stand, object_body("a"))
    batch = await batch_of(collector)
    if wanted:
        batch.wanted.add(batch.messages[0].id)
    await collector.settle(batch, stored=stored)
    assert batch.stored is stored
    assert sum(stand.messages("q")) == left
    # Once is enough.
    await collector.settle(batch, stored=True)
    assert sum(stand.messages("q")) == left


async def test_what_was_collected_is_given_back(stand: Any, attached: Any) -> None:
    collector = attached(collect_for=60)
    publish(stand, object_body("a"))
    await until(lambda: collector._waiting)
    await collector.close()
    again = attached()
    # After one second, and not after the visibility timeout.
    assert len((await batch_of(again)).messages) == 1


async def test_kinds(stand: Any, attached: Any) -> None:
    objects, jobs = attached("object"), attached("job")
    publish(stand, object_body("a"), job_body("T-1"))
    batch = await batch_of(objects)
    assert [event.key for _, event in batch.objects()] == ["a"]
    assert list(batch.jobs()) == []
    batch = await batch_of(jobs)
    assert [job.task_id for _, job in batch.jobs()] == ["T-1"]
    assert list(batch.objects()) == []


async def test_what_never_can_be_an_event_is_deleted(
    stand: Any, attached: Any, caplog: pytest.LogCaptureFixture
) -> None:
    collector = attached("object", "job")
    odd = json.dumps(
        {
            "events": [
                {
                    "eventName": "ObjectCreated:PutObject",
                    "oss": {"bucket": {"name": "media"}, "object": {"key": "a/../b"}},
                }
            ]
        }
    )
    publish(stand, odd, job_body("T-1", "Running"))
    await until(lambda: stand.requests("SMQ:BatchDeleteMessage"))
    await until(lambda: sum(stand.messages("q")) == 0)
    assert "no operator could take a name like that" in caplog.text
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            pytest.fail(str(await collector.next_batch()))


async def test_a_refused_client_is_said(stand: Any, attached: Any, client: SMQClient) -> None:
    collector = attached()
    await asyncio.sleep(0.1)
    stand.service.add_fault("refuse", match="SMQ:BatchReceiveMessage", status=503)
    # The poll under way ends with the message, the one after it with the fault, which passes.
    publish(stand, object_body("a"))
    assert len((await batch_of(collector)).messages) == 1
    stand.service.add_fault("refuse", match="SMQ:BatchReceiveMessage", status=403, code="AccessDenied")
    publish(stand, object_body("b"))
    with pytest.raises(OSSServiceError) as caught:
        await batch_of(collector)
    assert caught.value.status == 403
    # With another client it goes on, with what it holds.
    collector.attach(receiver_of(client, "q"), client)
    assert [event.key for _, event in (await batch_of(collector)).objects()] == ["b"]


async def test_another_queue(stand: Any, attached: Any, client: SMQClient) -> None:
    collector = attached(collect_for=1.0)
    publish(stand, object_body("a"))
    await until(lambda: collector._waiting)
    collector.attach(receiver_of(client, "other"), client)
    publish(stand, object_body("b"), queue="other")
    batch = await batch_of(collector)
    assert (batch.queue, [event.key for _, event in batch.objects()]) == ("other", ["b"])


async def test_before_there_is_a_connection() -> None:
    collector = EventCollector()
    with pytest.raises(OSSConnectionError, match="No connection"):
        _ = collector.client
    await collector.close()
    assert not collector.full


def test_receivers_have_names() -> None:
    assert QueueReceiver("q").queue == "q"
