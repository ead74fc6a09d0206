from __future__ import annotations

import asyncio
import json
import time
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog.testing

from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.hooks import shared
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.result import result_from
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.process import VideoConvert
from airflow_provider_oss_async.triggers.oss_async import HOLD_MARGIN, OSSAsyncTaskTrigger, event_hold
from tests.support.supervisor import TASK_INSTANCE, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import TriggerEvent

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick", "connect")


async def submit(target: str = "out.mp4") -> OSSJob:
    return await OSSAsyncHook().asubmit("in.mov", VideoConvert(container="mp4"), target=target)


def trigger(job: OSSJob, seconds: float = 10.0, **options: Any) -> OSSAsyncTaskTrigger:
    spec = WaitSpecification(job, "imm", time.time() + seconds, max_poll_interval=0.2)
    return OSSAsyncTaskTrigger(wait_specification=spec.to_dict(), **options)


async def event_of(trigger: OSSAsyncTaskTrigger) -> TriggerEvent:
    (event,) = [event async for event in trigger.run()]
    assert json.loads(json.dumps(event.payload)) == event.payload
    return event


def error_of(event: TriggerEvent) -> OSSAsyncError:
    """Return the error that a worker raises on account of an event."""
    with pytest.raises(OSSAsyncError) as caught:
        result_from(event.payload)
    return caught.value


def test_a_trigger_can_be_made_again() -> None:
    before = trigger(
        OSSJob("T", "MediaConvert", "oss://media/a"),
        oss_conn_id="mine",
        region="cn-beijing",
        end_from_trigger=True,
        deferred_at=1.5,
        event_hold=10.0,
    )
    path, arguments = before.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == before.serialize()
    assert set(arguments) == {
        "wait_specification",
        "oss_conn_id",
        "region",
        "end_from_trigger",
        "deferred_at",
        "event_hold",
    }


async def test_the_event_brings_the_result(stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    job = await submit()
    event = (await event_of(trigger(job))).payload
    assert set(event) == {"version", "status", "result"}
    assert (event["version"], event["status"]) == (1, "success")
    assert event["result"]["task_id"] == job.task_id
    assert event["result"]["outputs"] == ["oss://media/out.mp4"]


async def test_arguments_of_another_release_are_refused_with_a_sentence() -> None:
    before = trigger(OSSJob("T-5", "MediaConvert", "oss://media/a"))
    before.wait_specification["version"] = 99
    error = error_of(await event_of(before))
    for part in ("version 99", "same release", "OSSAsyncTaskSensor", "T-5"):
        assert part in str(error)


# Ending the task here


async def test_the_task_can_be_ended_by_the_trigger(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    supervisor = Supervisor().install(monkeypatch)
    ending = trigger(await submit(), end_from_trigger=True)
    ending.task_instance = TASK_INSTANCE
    event = await event_of(ending)
    assert isinstance(event, TaskSuccessEvent)
    # Airflow would store these as text.
    assert event.xcoms is None
    # What consumers read is what a worker would have pushed.
    result = supervisor.xcoms["return_value"]
    assert (result["status"], result["outputs"]) == ("succeeded", ["oss://media/out.mp4"])
    assert supervisor.xcoms["outputs"] == ["oss://media/out.mp4"]
    assert {
        (m.dag_id, m.task_id, m.run_id, m.map_index) for m in supervisor.sent if hasattr(m, "run_id")
    } == {("d", "t", "r", -1)}


async def test_a_failed_job_is_left_to_a_worker(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    supervisor = Supervisor().install(monkeypatch)
    stand.service.add_fault("job_fail")
    ending = trigger(await submit(), end_from_trigger=True)
    ending.task_instance = TASK_INSTANCE
    event = await event_of(ending)
    assert not isinstance(event, TaskSuccessEvent)
    assert event.payload["status"] == "error"
    assert supervisor.xcoms == {}


class Refusing(Supervisor):
    """Takes the first XCom and not the second, as an API server that goes away."""

    def send(self, msg: Any) -> Any:
        if getattr(msg, "key", "") == "return_value":
            raise RuntimeError("API server error")
        return super().send(msg)


async def test_a_result_that_cannot_be_stored_here_is_left_to_a_worker(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    Refusing().install(monkeypatch)
    ending = trigger(await submit(), end_from_trigger=True)
    ending.task_instance = TASK_INSTANCE
    with structlog.testing.capture_logs() as logs:
        event = await event_of(ending)
    assert not isinstance(event, TaskSuccessEvent)
    assert result_from(event.payload)["outputs"] == ["oss://media/out.mp4"]
    assert "The task ends on a worker" in str(logs)


async def test_without_a_task_instance_the_task_ends_on_a_worker(stand: Stand) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    event = await event_of(trigger(await submit(), end_from_trigger=True))
    assert not isinstance(event, TaskSuccessEvent)
    assert result_from(event.payload)["status"] == "succeeded"


# Errors


async def test_errors_keep_class_and_fields(stand: Stand) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    job = await submit()
    error = error_of(await event_of(trigger(job)))
    assert type(error).__name__ == "OSSJobFailedError"
    assert (error.code, error.detail, error.job) == ("InvalidFile", "not a video", job.to_dict())
    assert (error.source, error.target) == ("oss://media/in.mov", "oss://media/out.mp4")
    assert error.request_id == job.request_id
    assert error.advice
    stand.service.add_fault("job_delay", seconds=5)
    error = error_of(await event_of(trigger(await submit(), seconds=0.2)))
    assert type(error).__name__ == "OSSJobTimeoutError"


async def test_a_missing_right_is_named_together_with_the_job(stand: Stand) -> None:
    job = await submit()
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=0)
    error = error_of(await event_of(trigger(job)))
    assert type(error).__name__ == "OSSServiceError"
    assert (error.service, error.action, error.status) == ("IMM", "GetTask", 403)
    assert "imm:GetTask" in str(error)
    assert error.job["task_id"] == job.task_id
    assert job.task_id in str(error)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_connection_that_cannot_be_used_is_told_together_with_the_job(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    job = await submit()
    if gone:
        monkeypatch.delenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT")
    else:
        connect({"region": ""})
    error = error_of(await event_of(trigger(job)))
    assert type(error).__name__ == "OSSConnectionError"
    assert ("There is no Airflow connection 'oss_async_default'" if gone else "region") in str(error)
    assert error.job["task_id"] == job.task_id
    assert "will be billed" in str(error)


async def test_a_defect_ends_in_an_event_that_names_the_job() -> None:
    job = OSSJob("T-6", "MediaConvert", "oss://media/a", process="video/convert", imm_project="local-project")
    waiting = trigger(job)
    waiting.wait_specification["completion"] = "nonsense"
    error = error_of(await event_of(waiting))
    assert "T-6" in str(error)
    broken = OSSAsyncTaskTrigger(wait_specification={**waiting.wait_specification, "job": None})
    assert "Waiting for the job failed" in str(error_of(await event_of(broken)))


async def test_a_defect_shows_no_password() -> None:
    job = OSSJob("T-7", "MediaConvert", "oss://media/a", process="video/convert", imm_project="local-project")
    # A text that no layer below has taken for an error of a service.
    broken = OSSAsyncTaskTrigger(wait_specification=trigger(job).wait_specification)
    broken.wait_specification["deadline"] = "http://user:secret-password@proxy"
    text = str(error_of(await event_of(broken)))
    assert "Waiting for the job failed" in text
    assert "secret-password" not in text


async def test_a_secret_that_is_changed_while_waiting_is_found(
    stand: Stand, connect: Callable[..., None]
) -> None:
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    stand.service.add_fault("job_delay", seconds=0.6)
    job = await submit()
    waiting = asyncio.create_task(event_of(trigger(job)))
    while not stand.requests("IMM:GetTask"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stand.service.cloud.verifier.add(AccessKey("local", "rotated"))
    connect(password="rotated")
    event = (await waiting).payload
    assert event["status"] == "success"


# Airflow's race after a deferral


async def held(waiting: OSSAsyncTaskTrigger) -> float:
    """Return the seconds until the event."""
    began = time.monotonic()
    await event_of(waiting)
    return time.monotonic() - began


@pytest.mark.parametrize("fails", [False, True])
async def test_an_event_that_wakes_a_worker_is_held(stand: Stand, fails: bool) -> None:
    if fails:
        stand.service.add_fault("job_fail")
    job = await submit()
    now = time.time()
    assert await held(trigger(job, deferred_at=now, event_hold=1.5)) >= 1.4
    # Nothing is left to hold for a job that takes longer, or where no hold is wanted.
    assert await held(trigger(job, deferred_at=now - 60, event_hold=1.5)) < 1.0
    assert await held(trigger(job, deferred_at=now, event_hold=0.0)) < 1.0
    # The worker's clock may be ahead.
    assert 1.4 <= await held(trigger(job, deferred_at=time.time() + 3600, event_hold=1.5)) < 3.0


async def test_an_event_that_ends_the_task_is_not_held(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    Supervisor().install(monkeypatch)
    ending = trigger(await submit(), end_from_trigger=True, deferred_at=time.time(), event_hold=30.0)
    ending.task_instance = TASK_INSTANCE
    assert await held(ending) < 5.0


async def test_nothing_is_open_and_nothing_is_sent_while_an_event_is_held(stand: Stand) -> None:
    job = await submit()
    waiting = asyncio.create_task(held(trigger(job, deferred_at=time.time(), event_hold=2.0)))
    while not stand.requests("OSS:HeadObject"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    before = stand.requests("IMM:GetTask"), stand.requests("IMM:ListTasks")
    # No client, and so no poller with an entry.
    assert not shared._loops[asyncio.get_running_loop()].open
    assert await waiting >= 1.9
    assert (stand.requests("IMM:GetTask"), stand.requests("IMM:ListTasks")) == before


def test_how_long_events_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD")
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "7")
    assert event_hold() == 7 + HOLD_MARGIN
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "3.5")
    assert event_hold() == 3.5
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "-1")
    assert event_hold() == 0


def test_no_event_is_held_without_a_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "30")
    assert event_hold() == 30
    # What dag.test() installs.
    monkeypatch.setattr(
        task_runner, "SUPERVISOR_COMMS", InProcessSupervisorComms(supervisor=cast("Any", None)), raising=False
    )
    assert event_hold() == 0


# Many triggers, and messages


@pytest.mark.parametrize("taken", [True, False])
async def test_a_message_is_deleted_when_the_event_is_taken(
    stand: Stand, connect: Callable[..., None], taken: bool
) -> None:
    stand.service.cloud.broker.subscribe("done", "waiting")
    connect({"smq_queue": "waiting"})
    stand.service.add_fault("job_delay", seconds=0.5)
    job = await OSSAsyncHook().asubmit(
        "in.mov", VideoConvert(container="mp4"), target="out.mp4", notify_topic="done"
    )
    spec = WaitSpecification(job, "smq", time.time() + 20)
    events = OSSAsyncTaskTrigger(wait_specification=spec.to_dict()).run()
    assert (await anext(events)).payload["status"] == "success"
    assert sum(stand.messages("waiting")) == 1
    if taken:
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert sum(stand.messages("waiting")) == 0
    else:
        # A triggerer that dies here has not stored the event; the message stays for the next one.
        await events.aclose()  # type: ignore[attr-defined]
        assert sum(stand.messages("waiting")) == 1


async def test_many_triggers_share_their_requests(stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=0.8, times=0)
    jobs = [await submit(f"{number}.mp4") for number in range(40)]
    before = stand.requests("IMM:GetTask") + stand.requests("IMM:ListTasks")
    events = await asyncio.gather(*(event_of(trigger(job)) for job in jobs))
    assert {event.payload["status"] for event in events} == {"success"}
    assert stand.requests("IMM:GetTask") + stand.requests("IMM:ListTasks") - before < 60


async def test_a_trigger_that_is_cancelled_leaves_the_others_alone(stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    job = await submit()
    first, second = (asyncio.create_task(event_of(trigger(job))) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).payload["status"] == "success"


# Killing


async def logged_at_kill(waiting: OSSAsyncTaskTrigger) -> str:
    with structlog.testing.capture_logs() as logs:
        await waiting.on_kill()
    return str(logs) if logs else ""


async def test_after_its_event_a_trigger_says_nothing(stand: Stand) -> None:
    waiting = trigger(await submit())
    await event_of(waiting)
    assert await logged_at_kill(waiting) == ""


@pytest.mark.parametrize(
    ("state", "says"), [("deferred", False), ("failed", True), ("success", True), (None, True)]
)
@pytest.mark.parametrize("map_index", [-1, 3])
async def test_only_where_the_task_was_cancelled_it_is_said_that_the_job_goes_on(
    monkeypatch: pytest.MonkeyPatch, state: str | None, says: bool, map_index: int
) -> None:
    """Where another triggerer takes over, Airflow cancels triggers in the same way."""
    Supervisor(state).install(monkeypatch)
    waiting = trigger(OSSJob("T-77", "MediaConvert", "oss://media/a"))
    waiting.task_instance = cast("Any", SimpleNamespace(**{**vars(TASK_INSTANCE), "map_index": map_index}))
    assert ("T-77" in await logged_at_kill(waiting)) is says


async def test_without_a_task_instance_it_is_said_that_the_job_goes_on() -> None:
    assert "T-77" in await logged_at_kill(trigger(OSSJob("T-77", "MediaConvert", "oss://media/a")))
