"""The event trigger, run by Airflow's own manager of shared streams against the queues of the stand-in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="this Airflow has no shared streams")
from airflow.triggers.shared_stream import AckTimeout

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.hooks.shared import shared_services
from airflow_provider_oss_async.jobs.queue_receiver import receiver_of
from tests.support.event_bodies import job_body, object_body
from tests.support.event_triggers import add_queue, keys, publish, queue, trigger
from tests.support.shared_streams import Triggerer

__all__ = ["publish", "queue"]


def all_keys(payloads: list[Any]) -> list[str]:
    return [key for payload in payloads for key in keys(payload)]


async def test_one_event_of_what_arrives_together(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"), object_body("in/b"), "foreign")
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: triggerer.events[one])
        (payload,) = triggerer.events[one]
        assert payload["queue"] == "q"
        assert payload["version"] == 1
        assert payload["watch"] == {"prefix": "in/", "suffix": None, "pattern": None, "exclude": []}
        assert keys(payload) == ["in/a", "in/b"]
        assert json.loads(json.dumps(payload)) == payload
        # Deleted when stored; the foreign one stays.
        await triggerer.until(lambda: sum(stand.messages("q")) == 1)


async def test_nothing_is_deleted_before_the_event_is_stored(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await asyncio.sleep(0.5)
        assert stand.requests("SMQ:BatchDeleteMessage") == 0
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_an_event_that_was_not_stored_comes_again_with_its_id(stand: Any, publish: Any) -> None:
    add_queue(stand, "q", visibility=1)
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.stop(one)
        two = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[two])
        assert triggerer.events[one] == triggerer.events[two]


async def test_a_batch_that_waits_is_kept_hidden(stand: Any, publish: Any) -> None:
    """Longer than the visibility timeout of the queue, so that it has a new handle when it is deleted."""
    add_queue(stand, "q", visibility=2)
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await asyncio.sleep(3)
        assert stand.messages("q") == (0, 1)
        assert stand.requests("SMQ:ChangeMessageVisibility") == 1
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert len(triggerer.events[one]) == 1


async def test_what_is_not_stored_in_time_is_received_again(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"))
    async with Triggerer(stores=False, ack_timeout=0.5) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: one in triggerer.errors)
        assert isinstance(triggerer.errors[one], AckTimeout)
        # Airflow starts it again.
        two = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[two])
        assert triggerer.events[one] == triggerer.events[two]


async def test_several_watchers_share_one_consumer(stand: Any, publish: Any) -> None:
    async with Triggerer() as triggerer:
        images = triggerer.start(trigger(prefix="img/"))
        videos = triggerer.start(trigger(suffix=".mov"))
        await asyncio.sleep(0.5)
        receivers = [t for t in asyncio.all_tasks() if t.get_name() == "oss-async-queue-receiver"]
        assert len(receivers) == 1
        publish(object_body("img/a.jpg"), object_body("in/b.mov"), object_body("img/c.mov"))
        await triggerer.until(lambda: triggerer.events[images] and triggerer.events[videos])
        assert all_keys(triggerer.events[images]) == ["img/a.jpg", "img/c.mov"]
        assert all_keys(triggerer.events[videos]) == ["in/b.mov", "img/c.mov"]
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_watchers_of_different_settings_each_get_what_they_want(stand: Any, publish: Any) -> None:
    """They do not share a stream, and share the receiver: a message is deleted when both are done with it."""
    async with Triggerer(stores=False) as triggerer:
        soon = triggerer.start(trigger(collect_for=0.1))
        late = triggerer.start(trigger(collect_for=1.0))
        await asyncio.sleep(0.5)
        publish(object_body("in/a"))
        await triggerer.until(lambda: triggerer.events[soon])
        triggerer.store()
        await asyncio.sleep(0.3)
        assert sum(stand.messages("q")) == 1
        await triggerer.until(lambda: triggerer.events[late])
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert triggerer.events[soon] == triggerer.events[late]


async def test_what_nobody_here_wants_is_left_to_others(stand: Any, publish: Any) -> None:
    """A sibling may join late, as after a restart, or be in another process."""
    publish(object_body("out/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: stand.requests("SMQ:ChangeMessageVisibility"))
        two = triggerer.start(trigger(prefix="out/"))
        await triggerer.until(lambda: triggerer.events[two])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert not triggerer.events[one]


async def test_what_nobody_has_wanted_for_long_is_deleted(stand: Any, publish: Any) -> None:
    publish(object_body("out/a"), "foreign")
    async with shared_services(OSSAsyncHook()) as services, Triggerer() as triggerer:
        assert services.smq is not None
        receiver_of(services.smq, "q", unwanted_age=0.0)
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: sum(stand.messages("q")) == 1)
        assert not triggerer.events[one]


async def test_events_that_are_not_of_finished_objects(stand: Any, publish: Any) -> None:
    for name in ("UploadPart", "InitiateMultipartUpload", "CompleteMultipartUpload", "AppendObject"):
        publish(object_body(f"in/{name}", eventName=f"ObjectCreated:{name}"))
    publish(object_body("in/gone", eventName="ObjectRemoved:DeleteObject"))
    async with Triggerer() as triggerer:
        finished = triggerer.start(trigger())
        appended = triggerer.start(trigger(events=["AppendObject", "ObjectCreated:PutObject"]))
        await triggerer.until(lambda: triggerer.events[finished] and triggerer.events[appended])
        assert all_keys(triggerer.events[finished]) == ["in/CompleteMultipartUpload"]
        assert all_keys(triggerer.events[appended]) == ["in/AppendObject"]


async def test_events_that_come_twice_are_one(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"), object_body("in/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        # Later, in another message.
        publish(object_body("in/a"))
        publish(object_body("in/b"))
        await triggerer.until(lambda: len(triggerer.events[one]) == 2)
        assert all_keys(triggerer.events[one]) == ["in/a", "in/b"]
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_a_deletion_that_fails_makes_no_second_event(stand: Any, publish: Any) -> None:
    add_queue(stand, "q", visibility=1)
    stand.service.add_fault("refuse", match="SMQ:BatchDeleteMessage", status=500)
    publish(object_body("in/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert len(triggerer.events[one]) == 1
        assert stand.requests("SMQ:BatchDeleteMessage") == 2


async def test_a_burst_is_few_events(stand: Any, publish: Any) -> None:
    publish(*(object_body(f"in/{number}") for number in range(300)))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(max_batch=120, collect_for=5))
        await triggerer.until(lambda: len(all_keys(triggerer.events[one])) == 300, 40)
        assert [len(keys(payload)) for payload in triggerer.events[one]][:2] == [120, 120]
        assert len(triggerer.events[one]) == 3
        assert sorted(all_keys(triggerer.events[one])) == sorted(f"in/{number}" for number in range(300))
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_ended_jobs_have_a_queue_of_their_own(stand: Any, publish: Any) -> None:
    add_queue(stand, "ended")
    publish(job_body("T-1"), job_body("T-2", "Failed"), job_body("T-3", "Running"), to="ended")
    publish(object_body("in/a"), to="ended")
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(kinds=["job"], queue="ended"))
        await triggerer.until(lambda: triggerer.events[one])
        (payload,) = triggerer.events[one]
        assert [(job["task_id"], job["state"]) for job in payload["jobs"]] == [
            ("T-1", "succeeded"),
            ("T-2", "failed"),
        ]
        assert payload["objects"] == []
        # The object event is another's.
        await triggerer.until(lambda: sum(stand.messages("ended")) == 1)


async def test_tasks_that_wait_and_watchers_share_a_queue(stand: Any, publish: Any) -> None:
    arrived = asyncio.Event()
    async with shared_services(OSSAsyncHook()) as services, Triggerer() as triggerer:
        consumer = services.queue_consumer
        assert consumer is not None
        with consumer.subscribed("T-1", arrived.set):
            one = triggerer.start(trigger())
            await asyncio.sleep(0.5)
            publish(job_body("T-1"), object_body("in/a"), job_body("of-others"))
            await asyncio.wait_for(arrived.wait(), 10)
            await triggerer.until(lambda: triggerer.events[one])
            await consumer.delete("T-1")
            # The message about a job that is waited for elsewhere stays.
            await triggerer.until(lambda: sum(stand.messages("q")) == 1)


async def test_job_events_from_the_queue_of_waiting_tasks_are_refused(
    stand: Any, publish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publish(job_body("T-1"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(kinds=["job"], queue="q"))
        await triggerer.until(lambda: "Name another queue than smq_queue" in caplog.text)
        assert not triggerer.errors
        assert not triggerer.events[one]
    assert stand.messages("q") == (1, 0)
