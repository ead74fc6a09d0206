from __future__ import annotations

import asyncio
import json
import time
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.waiting import Following
from airflow_provider_oss_async.process import VideoConvert
from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger

pytestmark = pytest.mark.usefixtures("quick", "connect")


async def submit(target: str = "out.mp4") -> OSSJob:
    return await OSSAsyncHook().asubmit("in.mov", VideoConvert(container="mp4"), target=target)


def trigger(job: OSSJob, seconds: float = 10.0, **options: Any) -> OSSAsyncTaskTrigger:
    following = Following(job, "imm", time.time() + seconds, poll_interval=0.2)
    return OSSAsyncTaskTrigger(following=following.to_dict(), **options)


async def event_of(trigger: OSSAsyncTaskTrigger) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event


def test_a_trigger_can_be_made_again() -> None:
    before = trigger(
        OSSJob("T", "MediaConvert", "oss://media/a"),
        oss_conn_id="mine",
        region="cn-beijing",
        end_from_trigger=True,
    )
    path, arguments = before.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == before.serialize()
    assert set(arguments) == {"following", "oss_conn_id", "region", "end_from_trigger"}


async def test_the_event_brings_the_result(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    job = await submit()
    event = (await event_of(trigger(job))).payload
    assert event["status"] == "succeeded"
    assert event["result"]["task_id"] == job.task_id
    assert event["result"]["outputs"] == ["oss://media/out.mp4"]
    assert json.loads(json.dumps(event)) == event


async def test_the_task_can_be_ended_by_the_trigger(stand: Any) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    event = await event_of(trigger(await submit(), end_from_trigger=True))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is not None
    assert event.xcoms["return_value"]["status"] == "succeeded"
    # Not for a job that has failed: its task has to hear of that.
    stand.service.add_fault("job_fail")
    event = await event_of(trigger(await submit(), end_from_trigger=True))
    assert not isinstance(event, TaskSuccessEvent)
    assert event.payload["status"] == "failed"


async def test_a_job_that_fails_or_takes_too_long(stand: Any) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    event = (await event_of(trigger(await submit()))).payload
    assert (event["status"], event["code"], event["detail"]) == ("failed", "InvalidFile", "not a video")
    stand.service.add_fault("job_delay", seconds=5)
    event = (await event_of(trigger(await submit(), seconds=0.2))).payload
    assert event["status"] == "timeout"


async def test_a_missing_right_is_told(stand: Any) -> None:
    job = await submit()
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=0)
    event = (await event_of(trigger(job))).payload
    assert event["status"] == "error"
    assert "imm:GetTask" in event["message"]


async def test_a_connection_that_is_no_good_is_told(connect: Any) -> None:
    job = await submit()
    connect({"region": ""})
    event = (await event_of(trigger(job, oss_conn_id="oss_async_default"))).payload
    assert event["status"] == "error"
    assert "region" in event["message"]


async def test_a_secret_that_is_changed_while_waiting_is_found(stand: Any, connect: Any) -> None:
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    stand.service.add_fault("job_delay", seconds=0.6)
    job = await submit()
    waiting = asyncio.create_task(event_of(trigger(job)))
    while not stand.requests("IMM:GetTask"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stand.service.cloud.verifier.add(AccessKey("local", "rotated"))
    connect(password="rotated")
    event = (await waiting).payload
    assert event["status"] == "succeeded"


@pytest.mark.parametrize("taken", [True, False])
async def test_a_message_is_deleted_when_the_event_is_taken(stand: Any, connect: Any, taken: bool) -> None:
    stand.service.cloud.broker.subscribe("done", "waiting")
    queue = stand.service.cloud.broker.queues["waiting"]
    connect({"smq_queue": "waiting"})
    stand.service.add_fault("job_delay", seconds=0.5)
    job = await OSSAsyncHook().asubmit(
        "in.mov", VideoConvert(container="mp4"), target="out.mp4", notify_topic="done"
    )
    events = OSSAsyncTaskTrigger(following=Following(job, "smq", time.time() + 20).to_dict()).run()
    assert (await anext(events)).payload["status"] == "succeeded"
    assert sum(queue.counts()) == 1
    if taken:
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert sum(queue.counts()) == 0
    else:
        # A triggerer that dies here has not stored the event; the message stays for the next one.
        await events.aclose()  # type: ignore[attr-defined]
        assert sum(queue.counts()) == 1


async def test_many_triggers_share_their_requests(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.8, times=0)
    jobs = [await submit(f"{number}.mp4") for number in range(40)]
    before = stand.requests("IMM:GetTask") + stand.requests("IMM:ListTasks")
    events = await asyncio.gather(*(event_of(trigger(job)) for job in jobs))
    assert {event.payload["status"] for event in events} == {"succeeded"}
    assert stand.requests("IMM:GetTask") + stand.requests("IMM:ListTasks") - before < 60


async def test_a_trigger_that_is_cancelled_leaves_the_others_alone(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    job = await submit()
    first, second = (asyncio.create_task(event_of(trigger(job))) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).payload["status"] == "succeeded"


async def test_after_its_event_a_trigger_has_nothing_to_say(stand: Any) -> None:
    import structlog.testing

    waiting = trigger(await submit())
    await event_of(waiting)
    with structlog.testing.capture_logs() as logs:
        await waiting.on_kill()
    assert not logs


async def test_killing_says_that_the_job_goes_on() -> None:
    import structlog.testing

    with structlog.testing.capture_logs() as logs:
        await trigger(OSSJob("T-77", "MediaConvert", "oss://media/a")).on_kill()
    assert "T-77" in str(logs)
